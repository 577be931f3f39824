"""`/v1/vector_stores`: collections as OpenAI's vector stores; `vector_store_files.py` has what is in them.

A collection that the command line filled is one, too: its name serves as its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from rag.answering.engine import ChatEngine
from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import JsonRoute, NullIsAbsent
from rag.api.openai.files import listing
from rag.api.openai.response_stream import found_file
from rag.api.openai.vector_store_files import ChunkingStrategy, chunking_of, cursor_of
from rag.auth.access import Access, share
from rag.auth.principals import may
from rag.auth.users import Users
from rag.errors import InvalidRequest
from rag.storage.catalog import Catalog
from rag.storage.paging import Cursor
from rag.storage.selection import Selection
from rag.storage.vector_stores import VectorStore, unix_time
from rag.types.documents import Hit

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"], route_class=JsonRoute)

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
QueryText = Annotated[str, Field(max_length=4096)]


class ExpiresAfter(BaseModel):
    """When a store that nobody uses goes."""

    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class Sharing(BaseModel):
    """Who may read a store beside its owner: users by name, or everybody who may come in. A field of Footnote's own."""

    users: list[str] = Field(default_factory=list, max_length=1000)
    public: bool = False


class UpdateStore(BaseModel):
    """What is to change; what is not named stays, null removes."""

    name: str | None = Field(None, max_length=256)
    description: str | None = Field(None, max_length=512)
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None
    sharing: Sharing | None = None


class CreateStore(UpdateStore):
    """A new store, with files in it from the start if wished."""

    file_ids: list[str] = Field(default_factory=list, max_length=500)
    chunking_strategy: ChunkingStrategy | None = None


class RankingOptions(NullIsAbsent):
    """The lowest score (0 to 1) of what is shown; rankers are accepted, ours is used."""

    ranker: str | None = None
    score_threshold: float = Field(0.0, ge=0, le=1)


class Search(NullIsAbsent):
    """A question, or several at once."""

    query: QueryText | Annotated[list[QueryText], Field(min_length=1, max_length=10)]
    filters: dict[str, Any] | None = None
    max_num_results: int = Field(10, ge=1, le=50)
    ranking_options: RankingOptions = RankingOptions()
    rewrite_query: bool = False


@router.post("")
def create_vector_store(body: CreateStore, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Make a vector store."""
    caller.require_own()
    for file_id in body.file_ids:
        caller.file(file_id)
    readers = _readers(caller, body.sharing)
    days = body.expires_after.days if body.expires_after else None
    store = caller.stores.create(caller.principal.id, body.name, body.description, body.metadata, days)
    if body.file_ids:
        chunking = chunking_of(body.file_ids, body.chunking_strategy)
        services.ingest.attach({file_id: {} for file_id in body.file_ids}, store.id, chunking=chunking)
    _share(caller, store.id, body.sharing, readers)
    return store_object(caller, caller.stores.get(store.id))


@router.get("")
def list_vector_stores(caller: Caller, cursor: Annotated[Cursor, Depends(cursor_of)]) -> dict[str, Any]:
    """The vector stores, a page at a time."""
    page = caller.stores.page(cursor, [collection.id for collection in caller.collections()])
    return listing([store_object(caller, store) for store in page.items], has_more=page.has_more)


@router.get("/{store_id}")
def get_vector_store(store_id: str, caller: Caller) -> dict[str, Any]:
    """One vector store."""
    return store_object(caller, caller.store(store_id))


@router.post("/{store_id}")
def update_vector_store(store_id: str, body: UpdateStore, caller: Caller) -> dict[str, Any]:
    """Rename a vector store, or change its metadata or its time."""
    columns = {
        "name": ("label", body.name or ""),
        "description": ("description", body.description or None),
        "metadata": ("metadata", body.metadata or {}),
        "expires_after": ("expires_days", body.expires_after.days if body.expires_after else None),
    }
    changes = dict(value for field, value in columns.items() if field in body.model_fields_set)
    store = caller.collection(store_id, "manage")
    _share(caller, store.id, body.sharing, _readers(caller, body.sharing))
    return store_object(caller, caller.stores.update(store.id, changes))


@router.delete("/{store_id}")
def delete_vector_store(store_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Delete a vector store with its documents; the files stay."""
    store = caller.collection(store_id, "manage")
    services.ingest.delete_collection(store.id)
    return {"id": store.id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{store_id}/search")
async def search_vector_store(store_id: str, body: Search, services: AppServices, caller: Caller) -> dict[str, Any]:
    """The best passages for a query, best first."""
    queries = [body.query] if isinstance(body.query, str) else body.query
    if not all(query.strip() for query in queries):
        raise InvalidRequest("There is no query.", param="query")
    hits = await search(services.engine, caller, store_id, queries, body.filters, body.max_num_results)
    shown = [hit for hit in hits if hit.probability >= body.ranking_options.score_threshold]
    return {
        "object": "vector_store.search_results.page",
        "search_query": queries,
        "data": await asyncio.to_thread(lambda: [_result(services.catalog, hit) for hit in shown]),
        "has_more": False,
        "next_page": None,
    }


async def search(
    engine: ChatEngine,
    caller: Access,
    store_id: str,
    queries: Sequence[str],
    filters: dict[str, Any] | None,
    limit: int,
) -> list[Hit]:
    """The best hits for any of the queries. Raises NotFound, InvalidRequest for an expired store or a bad filter."""
    scope = await asyncio.to_thread(caller.scope, store_id, Selection(filters=filters))
    found = await asyncio.gather(*(engine.retrieve(query, scope, limit) for query in queries))
    best: dict[str, Hit] = {}
    for hit in (hit for hits in found for hit in hits):
        if hit.chunk.id not in best or best[hit.chunk.id].score < hit.score:
            best[hit.chunk.id] = hit
    await asyncio.to_thread(caller.touch, scope)
    return sorted(best.values(), key=lambda hit: -hit.score)[:limit]


def _result(catalog: Catalog, hit: Hit) -> dict[str, Any]:
    return {**found_file(catalog, hit), "content": [{"type": "text", "text": hit.chunk.text}]}


def _readers(caller: Access, sharing: Sharing | None) -> frozenset[str]:
    """The ids of those a store is to be shared with. Raises NotFound."""
    users = Users(caller.catalog.database)
    return frozenset(users.get(name).id for name in sharing.users) if sharing else frozenset()


def _share(caller: Access, store_id: str, sharing: Sharing | None, readers: frozenset[str]) -> None:
    if sharing is not None:
        before = caller.catalog.collection(store_id).readers
        share(caller.catalog, store_id, add=readers, delete=before - readers, public=sharing.public)


def store_object(caller: Access, store: VectorStore) -> dict[str, Any]:
    """A store in OpenAI's shape; with whom it is shared is told to who may change that."""
    collection = caller.catalog.collection(store.id)
    sharing = {}
    if may(caller.principal, "manage", collection):
        users = Users(caller.catalog.database).names(collection.readers)
        sharing = {"sharing": {"users": users, "public": collection.is_public}}
    working = store.counts["in_progress"] > 0
    expiry = None if store.expires_days is None else {"anchor": "last_active_at", "days": store.expires_days}
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": unix_time(store.created_at),
        "name": store.name,
        "description": store.description,
        "usage_bytes": store.usage_bytes,
        "file_counts": {**store.counts, "total": sum(store.counts.values())},
        "status": "expired" if store.is_expired else "in_progress" if working else "completed",
        "expires_after": expiry,
        "expires_at": None if store.expires_at is None else unix_time(store.expires_at),
        "last_active_at": unix_time(store.active_at),
        "metadata": dict(store.metadata),
        **sharing,
    }
