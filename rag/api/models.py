"""`GET /v1/models`: the chat model first, then one entry `footnote/<collection>` a collection.

Clients that can only choose a model choose a collection with it.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from rag.catalog import DEFAULT_COLLECTION
from rag.errors import NotFound
from rag.services import Services

router = APIRouter()

COLLECTION_PREFIX = "footnote/"


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, object]:
    """The models in OpenAI's list shape."""
    names = await asyncio.to_thread(model_names, request.app.state.services)
    return {"object": "list", "data": [_model(name) for name in names]}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, request: Request) -> dict[str, object]:
    """One model. 404 when there is none of that name."""
    await asyncio.to_thread(collection_of, name, request.app.state.services)
    return _model(name)


def model_names(services: Services) -> list[str]:
    """The names that a request may give as its model. A model whose server has not answered yet has none."""
    return [
        *filter(None, [services.model.name]),
        *(COLLECTION_PREFIX + collection.name for collection in services.catalog.collections()),
    ]


def collection_of(model: str, services: Services) -> str:
    """The collection that a request for this model asks. Raises NotFound for an unknown model."""
    known = model_names(services)
    if model not in known:
        raise NotFound(f"There is no model {model!r}.", hint=f"There are: {', '.join(known)}.")
    return model.removeprefix(COLLECTION_PREFIX) if model.startswith(COLLECTION_PREFIX) else DEFAULT_COLLECTION


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "footnote"}
