"""`GET /v1/models`: the language models, the default one first, then an entry `footnote/<collection>` a collection.

Clients that can only choose a model choose a collection with it.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from rag.api.dependencies import AppServices, Caller
from rag.auth.access import Access
from rag.errors import NotFound
from rag.operations.services import Services
from rag.types.documents import Collection

router = APIRouter()

COLLECTION_PREFIX = "footnote/"


@router.get("/v1/models")
async def list_models(services: AppServices, caller: Caller) -> dict[str, object]:
    """The models in OpenAI's list shape."""
    names = await asyncio.to_thread(model_names, services, caller)
    return {"object": "list", "data": [_model(name) for name in names]}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, services: AppServices, caller: Caller) -> dict[str, object]:
    """One model. 404 when there is none of that name."""
    await asyncio.to_thread(resolve_model, name, services, caller)
    return _model(name)


def model_names(services: Services, caller: Access) -> list[str]:
    """The names that are offered. A model whose server has not answered yet may have none."""
    return [*services.models.names, *(COLLECTION_PREFIX + name for name in caller.names())]


def resolve_model(name: str, services: Services, caller: Access) -> tuple[Collection | None, str | None]:
    """The collection, or else the language model, that a request means by this name of a model; models that are not
    offered can be named, too. Raises NotFound."""
    if (name and name in services.models.described) or name in services.models.names:
        return None, name
    try:
        if name.startswith(COLLECTION_PREFIX):
            return caller.collection(name.removeprefix(COLLECTION_PREFIX)), None
    except NotFound:
        pass  # the error below is of models
    offered = ", ".join(model_names(services, caller))
    raise NotFound(f"There is no model {name!r}.", hint=f"There are: {offered}.")


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "footnote"}
