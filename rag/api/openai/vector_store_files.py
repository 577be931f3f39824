"""`/v1/vector_stores/{id}/files` and `/file_batches`: attaching files to a vector store, and what becomes of them.

Attaching is a durable job: it goes on after a restart. Statuses and counts are right from the first answer on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, model_validator

from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import JsonRoute
from rag.api.openai.files import Order, listing
from rag.auth.access import Access
from rag.errors import Conflict, InvalidRequest, public_sentences
from rag.storage.attributes import check_attributes, set_attributes
from rag.storage.ids import new_id
from rag.storage.paging import Cursor
from rag.storage.vector_stores import FileStatus, StoreFile, VectorStore, VectorStores, unix_time
from rag.types.documents import Chunking

router = APIRouter(prefix="/v1/vector_stores/{store_id}", tags=["vector stores"], route_class=JsonRoute)

_POLL = {"openai-poll-after-ms": "500"}
_UNSUPPORTED = "cannot be read: no loader for"  # in the words of the loaders


class StaticChunking(BaseModel):
    """OpenAI's sizes; the embedding model's own limit holds below them."""

    max_chunk_size_tokens: int = Field(800, ge=100, le=4096)
    chunk_overlap_tokens: int = Field(400, ge=0)

    @model_validator(mode="after")
    def _at_most_half(self) -> StaticChunking:
        if 2 * self.chunk_overlap_tokens > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens may be half of max_chunk_size_tokens at most")
        return self


class ChunkingStrategy(BaseModel):
    """How a file is to be cut: by OpenAI's sizes (`static`), or by structure and what the embedding model reads."""

    type: Literal["auto", "static", "other"] = "auto"
    static: StaticChunking | None = None

    @model_validator(mode="after")
    def _has_sizes(self) -> ChunkingStrategy:
        if (self.type == "static") != (self.static is not None):
            raise ValueError("a static strategy has its sizes in `static`, and no other has")
        return self


def chunking_of(files: Iterable[str], strategy: ChunkingStrategy | None) -> dict[str, Chunking]:
    """The files with the sizes that the strategy sets, if it does."""
    if strategy is None or strategy.static is None:
        return {}
    sizes = Chunking(strategy.static.max_chunk_size_tokens, strategy.static.chunk_overlap_tokens)
    return dict.fromkeys(files, sizes)


class Attach(BaseModel):
    """A file to attach."""

    file_id: str
    attributes: dict[str, Any] | None = None
    chunking_strategy: ChunkingStrategy | None = None


class Batch(BaseModel):
    """Files to attach, either all alike or each with its attributes."""

    file_ids: list[str] = Field(default_factory=list, max_length=2000)
    files: list[Attach] = Field(default_factory=list, max_length=2000)
    attributes: dict[str, Any] | None = None
    chunking_strategy: ChunkingStrategy | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Batch:
        if bool(self.file_ids) == bool(self.files):
            raise ValueError("either file_ids or files must be given")
        return self


class UpdateAttributes(BaseModel):
    """New attributes, instead of those there are."""

    attributes: dict[str, Any] | None


def cursor_of(
    after: str | None = None,
    before: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
) -> Cursor:
    """Which part of a list a request wants."""
    return Cursor(after, before, limit, newest_first=order == "desc")


@router.post("/files")
def attach_file(store_id: str, body: Attach, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Attach a file; its text can be searched once its status is `completed`."""
    store = _open_store(caller, store_id)
    caller.file(body.file_id)
    chunking = chunking_of([body.file_id], body.chunking_strategy)
    services.ingest.attach({body.file_id: check_attributes(body.attributes or {})}, store.id, chunking=chunking)
    return store_file_object(caller.stores.file(store.id, body.file_id))


@router.get("/files")
def list_store_files(
    store_id: str,
    caller: Caller,
    cursor: Annotated[Cursor, Depends(cursor_of)],
    filter: FileStatus | None = None,  # noqa: A002  (OpenAI's name)
) -> dict[str, Any]:
    """The files of a store, a page at a time."""
    page = caller.stores.files(caller.collection(store_id).id, cursor, filter)
    return listing([store_file_object(file) for file in page.items], has_more=page.has_more)


@router.get("/files/{file_id}")
def get_store_file(store_id: str, file_id: str, caller: Caller, response: Response) -> dict[str, Any]:
    """One file of a store."""
    response.headers.update(_POLL)
    return store_file_object(caller.stores.file(caller.collection(store_id).id, file_id))


@router.post("/files/{file_id}")
def update_store_file(store_id: str, file_id: str, body: UpdateAttributes, caller: Caller) -> dict[str, Any]:
    """Give a file other attributes."""
    stores = caller.stores
    file = stores.file(caller.collection(store_id, "write").id, file_id)
    if file.document_id is None:
        raise Conflict(f"The file {file_id!r} has no text in this store yet.", hint="Wait until it is completed.")
    set_attributes(caller.catalog, file.document_id, check_attributes(body.attributes or {}))
    return store_file_object(stores.file(file.store_id, file_id))


@router.delete("/files/{file_id}")
def detach_file(store_id: str, file_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Take a file out of a store; the file itself stays."""
    file = caller.stores.file(caller.collection(store_id, "write").id, file_id)
    if file_id == file.document_id:  # of a folder
        services.ingest.delete(file_id)
    else:
        services.ingest.detach(file_id, file.store_id)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}


@router.get("/files/{file_id}/content")
def get_store_file_content(store_id: str, file_id: str, caller: Caller) -> dict[str, Any]:
    """The text of a file as it was read, one part a page."""
    file = caller.stores.file(caller.collection(store_id).id, file_id)
    sections = caller.catalog.sections(file.document_id) if file.document_id else []
    data = [{"type": "text", "text": section.text} for section in sections]
    return {"object": "vector_store.file_content.page", "data": data, "has_more": False, "next_page": None}


@router.post("/file_batches")
def create_batch(store_id: str, body: Batch, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Attach many files at once."""
    store = _open_store(caller, store_id)
    shared = check_attributes(body.attributes or {})
    wanted = dict.fromkeys(body.file_ids, shared)
    wanted |= {file.file_id: check_attributes(file.attributes or {}) for file in body.files}
    for file_id in wanted:
        caller.file(file_id)
    chunking = chunking_of(wanted, body.chunking_strategy)
    for file in body.files:
        chunking |= chunking_of([file.file_id], file.chunking_strategy)
    batch_id = new_id("vsfb")
    services.ingest.attach(wanted, store.id, batch_id, chunking)
    return _batch_object(caller.stores, store.id, batch_id)


@router.get("/file_batches/{batch_id}")
def get_batch(store_id: str, batch_id: str, caller: Caller, response: Response) -> dict[str, Any]:
    """How far a batch is."""
    response.headers.update(_POLL)
    return _batch_object(caller.stores, caller.collection(store_id).id, batch_id)


@router.post("/file_batches/{batch_id}/cancel")
def cancel_batch(store_id: str, batch_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Stop a batch; what is done stays."""
    store = caller.collection(store_id, "write")
    caller.stores.batch(store.id, batch_id)
    for job_id in caller.stores.jobs_of_batch(batch_id):
        services.ingest.cancel(job_id)
    return _batch_object(caller.stores, store.id, batch_id)


@router.get("/file_batches/{batch_id}/files")
def list_batch_files(
    store_id: str,
    batch_id: str,
    caller: Caller,
    cursor: Annotated[Cursor, Depends(cursor_of)],
    filter: FileStatus | None = None,  # noqa: A002  (OpenAI's name)
) -> dict[str, Any]:
    """The files of a batch, a page at a time."""
    store = caller.collection(store_id)
    caller.stores.batch(store.id, batch_id)
    page = caller.stores.files(store.id, cursor, filter, batch_id)
    return listing([store_file_object(file) for file in page.items], has_more=page.has_more)


def store_file_object(file: StoreFile) -> dict[str, Any]:
    """A file of a store in OpenAI's shape."""
    error = None
    if file.status == "failed":
        is_ours = file.error.startswith(("Something went wrong", *public_sentences()))  # a hint may follow
        kind = "server_error" if is_ours else "unsupported_file" if _UNSUPPORTED in file.error else "invalid_file"
        error = {"code": kind, "message": file.error}
    return {
        "id": file.id,
        "object": "vector_store.file",
        "created_at": unix_time(file.created_at),
        "usage_bytes": file.size if file.document_id else 0,
        "vector_store_id": file.store_id,
        "status": file.status,
        "last_error": error,
        "attributes": dict(file.attributes),
        "chunking_strategy": _chunking_strategy(file.chunking),
        "filename": file.name.rpartition("/")[2],
    }


def _chunking_strategy(chunking: Chunking | None) -> dict[str, Any]:
    if chunking is None:
        return {"type": "other"}
    sizes = {"max_chunk_size_tokens": chunking.tokens, "chunk_overlap_tokens": chunking.overlap}
    return {"type": "static", "static": sizes}


def _batch_object(stores: VectorStores, store_id: str, batch_id: str) -> dict[str, Any]:
    created_at, counts = stores.batch(store_id, batch_id)
    status = "completed"
    if counts["in_progress"]:
        status = "in_progress"
    elif counts["cancelled"]:
        status = "cancelled"
    elif counts["failed"] and not counts["completed"]:
        status = "failed"
    return {
        "id": batch_id,
        "object": "vector_store.files_batch",
        "created_at": unix_time(created_at),
        "vector_store_id": store_id,
        "status": status,
        "file_counts": {**counts, "total": sum(counts.values())},
    }


def _open_store(caller: Access, store_id: str) -> VectorStore:
    store = caller.store(store_id, "write")
    if store.is_expired:
        raise InvalidRequest(f"The vector store {store_id!r} has expired.", param="vector_store_id")
    return store
