"""The command line's routes: what `ingest` and `rag` do while a server owns the storage folder.

They read files of this machine by path, so they answer only to who can read the token in the storage folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, TypeAdapter

from rag.answering.modes import request as modes
from rag.answering.modes.route import Shares
from rag.answering.personas import addressed
from rag.api.errors import unknown_error
from rag.api.route_policy import PUBLIC
from rag.errors import Forbidden, RagError
from rag.models.benchmark import Speed, measure_all
from rag.operations.archive.format import ArchiveProgress
from rag.operations.archive.writer import WrittenArchive, back_up, export
from rag.operations.services import Services
from rag.settings import EmbeddingSettings
from rag.storage import document_attributes
from rag.storage.selection import EVERYTHING, Selection, scope_of
from rag.telemetry.spans import note_error
from rag.types.documents import AttributeValue, Document, Event, Hit, Message
from rag.types.ingest import FileReport, IngestOptions, IngestProgress, Job

_Progress = TypeVar("_Progress")
_STEP = 0.05  # seconds between two attempts to end work that nobody waits for
_CANCELLING = 10.0  # seconds to wait for a cancelled job to end


def _require_token(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    if not secrets.compare_digest(authorization.encode(), f"Bearer {request.app.state.token}".encode()):
        raise Forbidden("This address is for the command line of this machine.")


router = APIRouter(prefix="/local", dependencies=[PUBLIC, Depends(_require_token)], include_in_schema=False)


class IngestRequest(BaseModel):
    """Absolute paths on this machine, their bytes quoted with percent signs."""

    paths: list[str]
    collection: str
    options: IngestOptions = IngestOptions()


class ExportRequest(BaseModel):
    """The absolute path of the archive to write, its bytes quoted with percent signs, and what is to be in it."""

    archive: str
    collections: list[str]
    with_files: bool
    overwrite: bool


class BackupRequest(BaseModel):
    """The absolute path of the backup to write, its bytes quoted with percent signs."""

    backup: str
    overwrite: bool


class SearchRequest(BaseModel):
    """A question to search for."""

    question: str
    collection: str
    limit: int
    selection: Selection = EVERYTHING


class AskRequest(BaseModel):
    """A conversation to answer; without a mode, the collection's persona decides it."""

    messages: list[Message]
    collection: str
    selection: Selection = EVERYTHING
    mode: modes.Mode | None = None
    models: tuple[str, ...] = ()


class TagRequest(BaseModel):
    """Attributes to give to a document; null takes one away."""

    attributes: dict[str, AttributeValue | None]


@router.post("/ingest")
def ingest(body: IngestRequest, request: Request) -> StreamingResponse:
    """Ingest paths; one JSON line a sign of progress."""
    services: Services = request.app.state.services
    paths = [_path(path) for path in body.paths]
    return _stream(services.ingest.add_paths(paths, body.collection, body.options), TypeAdapter(IngestProgress))


@router.post("/reindex")
def reindex(body: EmbeddingSettings, request: Request) -> StreamingResponse:
    """Switch to another embedding model; one JSON line a sign of progress."""
    services: Services = request.app.state.services
    return _stream(services.ingest.reindex(body), TypeAdapter(IngestProgress))


@router.post("/export")
def export_archive(body: ExportRequest, request: Request) -> StreamingResponse:
    """Write an archive; one JSON line a sign of progress, the last one tells what was written."""
    services: Services = request.app.state.services
    writing = export(
        services.storage.index,
        _path(body.archive),
        body.collections,
        with_files=body.with_files,
        overwrite=body.overwrite,
    )
    return _stream(writing, TypeAdapter(ArchiveProgress | WrittenArchive))


@router.post("/backup")
def back_up_everything(body: BackupRequest, request: Request) -> StreamingResponse:
    """Write a backup; one JSON line a sign of progress, the last one tells what was written."""
    services: Services = request.app.state.services
    storage = services.settings.storage.dir
    writing = back_up(services.storage.index, storage, _path(body.backup), overwrite=body.overwrite)
    return _stream(writing, TypeAdapter(ArchiveProgress | WrittenArchive))


@router.get("/collections")
def collections(request: Request) -> list[str]:
    """What the collections are called."""
    services: Services = request.app.state.services
    return [collection.name for collection in services.catalog.collections()]


@router.get("/documents")
def documents(request: Request, collection: str | None = None) -> list[Document]:
    """All documents, or those of a collection; a path whose bytes are no UTF-8 as it is shown, not as it is."""
    services: Services = request.app.state.services
    return [_shown(document) for document in services.catalog.documents(collection)]


@router.get("/documents/{document_id}/text")
def page_text(document_id: str, request: Request, page_index: int | None = None) -> tuple[Document, str]:
    """A document and the text of one of its pages."""
    services: Services = request.app.state.services
    document = services.catalog.document(document_id)
    return _shown(document), services.catalog.page_text(document_id, page_index)


@router.patch("/documents/{document_id}")
def tag(document_id: str, body: TagRequest, request: Request) -> Document:
    """Give attributes to a document."""
    services: Services = request.app.state.services
    return _shown(document_attributes.tag(services.catalog, document_id, body.attributes))


@router.delete("/documents/{document_id}")
def remove(document_id: str, request: Request) -> FileReport:
    """Remove a document."""
    services: Services = request.app.state.services
    return services.ingest.remove(document_id)


@router.get("/jobs")
def jobs(request: Request) -> list[Job]:
    """The uploads, newest first."""
    services: Services = request.app.state.services
    return services.ingest.jobs()


@router.delete("/jobs/{job_id}")
def cancel(job_id: str, request: Request) -> Job:
    """Stop a job; the answer comes when it is over, or after some seconds."""
    services: Services = request.app.state.services
    services.ingest.cancel(job_id)
    return services.ingest.wait(job_id, _CANCELLING)


@router.post("/search")
async def search(body: SearchRequest, request: Request) -> list[Hit]:
    """The best chunks for a question."""
    services: Services = request.app.state.services
    scope = await asyncio.to_thread(scope_of, services.catalog, body.collection, body.selection)
    return list(await services.engine.retrieve(body.question, scope, body.limit))


@router.post("/relevance")
async def relevance(body: SearchRequest, request: Request) -> float:
    """How far the best chunks speak to the question: see rag/retrieval/relevance_gate.py."""
    services: Services = request.app.state.services
    hits = await search(body, request)
    return await services.engine.retriever.relevance(body.question, hits)


@router.post("/ask")
async def ask(body: AskRequest, request: Request) -> StreamingResponse:
    """The events of the answer, one JSON line each."""
    services: Services = request.app.state.services
    scope = await asyncio.to_thread(scope_of, services.catalog, body.collection, body.selection)
    asked = addressed(
        modes.Request(body.messages, scope, models=body.models), body.collection, services.roles, body.mode
    )
    events = services.ask(asked)

    async def lines() -> AsyncGenerator[str]:
        async with aclosing(events):
            async for event in events:
                yield event_to_line(event)

    return StreamingResponse(_with_errors(lines()), media_type="application/x-ndjson")


@router.get("/models")
async def measure_models(request: Request) -> StreamingResponse:
    """How fast every model is, one JSON line each."""
    services: Services = request.app.state.services

    async def lines() -> AsyncGenerator[str]:
        async for speed in measure_all(services.models):
            yield TypeAdapter(Speed).dump_json(speed).decode() + "\n"

    return StreamingResponse(_with_errors(lines()), media_type="application/x-ndjson")


@router.get("/route")
def route_shares(request: Request) -> Shares:
    """Who answered in the mode `route`."""
    services: Services = request.app.state.services
    return services.route_counts.shares


def _shown(document: Document) -> Document:
    return replace(document, content=Path(os.fsencode(document.content).decode("utf-8", "backslashreplace")))


def _path(quoted: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(quoted)))


def _stream(progresses: Iterator[_Progress], adapter: TypeAdapter[_Progress]) -> StreamingResponse:
    """Signs of progress, one JSON line each, as they come. When the client leaves, the work ends."""

    def lines() -> Generator[str]:
        try:
            for progress in progresses:
                yield adapter.dump_json(progress).decode() + "\n"
        except RagError as error:
            yield _error_line(error)
        except Exception as error:  # noqa: BLE001  (the edge of a stream that has begun)
            yield _error_line(unknown_error(error))

    async def sent() -> AsyncIterator[str]:
        working = lines()
        try:
            while (line := await asyncio.to_thread(next, working, None)) is not None:
                yield line
        finally:
            threading.Thread(target=_end, args=(working,), daemon=True).start()  # may take seconds, not the server's

    return StreamingResponse(sent(), media_type="application/x-ndjson")


async def _with_errors(lines: AsyncGenerator[str]) -> AsyncIterator[str]:
    """The lines, and what failed as the last one."""
    try:
        async with aclosing(lines):
            async for line in lines:
                yield line
    except RagError as error:
        yield _error_line(error)
    except Exception as error:  # noqa: BLE001  (the edge of a stream that has begun)
        yield _error_line(unknown_error(error))


def _end(working: Generator[str]) -> None:
    while True:
        try:
            working.close()
        except ValueError:  # the thread that took the last step is still at it
            time.sleep(_STEP)
        else:
            return


def event_to_line(event: Event) -> str:
    """An event as one JSON line, with its kind's name."""
    kind = type(event)
    return json.dumps({"event": kind.__name__, "body": TypeAdapter(kind).dump_python(event, mode="json")}) + "\n"


def _error_line(error: RagError) -> str:
    note_error(error.code)
    body: dict[str, Any] = {"message": error.message, "hint": error.hint, "code": error.code}
    return json.dumps({"error": body}) + "\n"
