"""`GET /v1/models`: what a request may name as its model, in one scheme.

- a language model, the default one first: it is asked, from the documents;
- `footnote/<collection>`: that collection is asked, by the default model or its persona's;
- `chat/<language model>`: the model alone is asked, without documents;
- the embedding model, for `/v1/embeddings`.

Clients that can only choose a model choose a collection with it, or none. Where there is only one language model, any
other name is taken for it, and a header of the answer says so: clients send names like `gpt-4o` unasked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from rag.answering.modes.request import Mode
from rag.api.dependencies import AppServices, Caller
from rag.auth.access import Access
from rag.errors import NotFound
from rag.operations.services import Services
from rag.storage.vector_stores import unix_time
from rag.types.documents import LOCAL_PRINCIPAL, Collection

router = APIRouter()

COLLECTION_PREFIX = "footnote/"
CHAT_PREFIX = "chat/"
STAND_IN_HEADER = "x-footnote-model"


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What the name of a model means: a collection, or a language model, and the mode, where the name says one."""

    collection: Collection | None = None
    model: str = ""
    mode: Mode | None = None


@router.get("/v1/models")
async def list_models(services: AppServices, caller: Caller) -> dict[str, object]:
    """The models in OpenAI's list shape."""
    created = await asyncio.to_thread(_offered, services, caller)
    return {"object": "list", "data": [_model(name, seconds) for name, seconds in created.items()]}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, services: AppServices, caller: Caller) -> dict[str, object]:
    """One model. 404 when there is none of that name."""
    created = await asyncio.to_thread(_offered, services, caller)
    if name not in created:
        await asyncio.to_thread(resolve_model, name, services, caller)
    return _model(name, created.get(name, min(created.values())))


def resolve_model(name: str, services: Services, caller: Access) -> NamedModel:
    """What a request means by this name of a model; models that are not offered can be named, too. Raises NotFound."""
    if model := _known_model(name, services):
        return NamedModel(model=model)
    if name.startswith(CHAT_PREFIX) and (model := _known_model(name.removeprefix(CHAT_PREFIX), services)):
        return NamedModel(model=model, mode="chat")
    is_embedding = name == services.index.embedding.name
    if name.startswith(COLLECTION_PREFIX):
        try:
            return NamedModel(caller.collection(name.removeprefix(COLLECTION_PREFIX)))
        except NotFound:
            pass  # the error below is of models
    elif name and not is_embedding and len(services.models.described) == 1:
        return NamedModel(model=services.models.default_name, mode="chat" if name.startswith(CHAT_PREFIX) else None)
    message = f"{name!r} makes vectors, for /v1/embeddings." if is_embedding else f"There is no model {name!r}."
    raise NotFound(message, hint=f"There are: {', '.join(model_names(services, caller))}.")


def with_stand_in(response: Response, name: str, services: Services) -> Response:
    """The response; where the request named a model that is not there, a header has the one that was asked."""
    is_known = name.startswith(COLLECTION_PREFIX) or _known_model(name.removeprefix(CHAT_PREFIX), services)
    if not is_known:
        response.headers[STAND_IN_HEADER] = quote(services.models.default_name, safe="/:@+ ")
    return response


def _known_model(name: str, services: Services) -> str:
    """The name itself, if it is that of a language model; else empty."""
    return name if name in services.models.described or name in services.models.names else ""


def model_names(services: Services, caller: Access) -> list[str]:
    """The names that are offered. A model whose server has not answered yet may have none."""
    return [*_offered(services, caller)]


def _offered(services: Services, caller: Access) -> dict[str, int]:
    """The names that are offered, each with the time when what it names was made, in seconds since 1970: a file of a
    model, a collection; else the storage folder."""
    times = {made: unix_time(time) for made, time in services.catalog.creation_times().items()}
    first_start = times[LOCAL_PRINCIPAL]
    models = {name: _file_time(services, name) or first_start for name in services.models.names}
    collections = {COLLECTION_PREFIX + name: times[found.id] for name, found in caller.names().items()}
    alone = models if services.model.llm is not None else {}
    return {
        **models,
        **collections,
        **{CHAT_PREFIX + name: seconds for name, seconds in alone.items()},
        services.index.embedding.name: first_start,
    }


def _file_time(services: Services, name: str) -> int:
    """When the file of a model was last written; 0 where it has none."""
    described = services.models.described.get(name)
    path = services.models.file.folder / Path(described.model if described else "").expanduser()
    return int(path.stat().st_mtime) if path.is_file() else 0


def _model(name: str, created: int) -> dict[str, object]:
    return {"id": name, "object": "model", "created": created, "owned_by": "footnote"}
