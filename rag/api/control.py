"""The command line's routes: a Backend over HTTP, for `ingest` and `rag` while a server owns the storage folder.

They read files of this machine by path, so they answer only to who can read the secret in the storage folder, and each
request brings a token that opens nothing but itself.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rag.answering.modes.route import Shares
from rag.api.dependencies import AppServices
from rag.api.errors import unknown_error
from rag.api.route_policy import PUBLIC
from rag.errors import Forbidden, RagError, set_caller
from rag.operations.control_protocol import (
    AskRequest,
    BackupRequest,
    ExportRequest,
    IngestRequest,
    ReindexRequest,
    SearchRequest,
    TagRequest,
    error_body,
    error_line,
    event_line,
    is_request_token,
)
from rag.operations.local_backend import LocalBackend
from rag.telemetry.spans import note_error
from rag.types.documents import Document, Hit
from rag.types.ingest import FileReport, IngestProgress, Job

_STEP = 0.05  # seconds between two attempts to end work that nobody waits for
_CANCELLING = 10.0  # seconds to wait for a cancelled job to end


class _ControlRoute(APIRoute):
    """A route whose errors keep message and hint apart: the command line shows each on a line of its own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except (HTTPException, RequestValidationError, ClientDisconnect):  # which have no hint
                raise
            except Exception as error:  # noqa: BLE001  (the edge)
                known = _noted(error)
                return JSONResponse(error_body(known), known.status)

        return handled


async def _require_token(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    scheme, _, token = authorization.partition(" ")
    scope = request.scope
    target = b"?".join(filter(None, [scope["raw_path"], scope["query_string"]]))
    is_theirs = is_request_token(token, request.app.state.control_secret, request.method, target, await request.body())
    if scheme != "Bearer" or not is_theirs:
        raise Forbidden("This address is for the command line of this machine.")
    set_caller(runs_footnote=True)


def _backend(services: AppServices) -> LocalBackend:
    return LocalBackend(services)


AnyBackend = Annotated[LocalBackend, Depends(_backend)]
router = APIRouter(
    prefix="/local", dependencies=[PUBLIC, Depends(_require_token)], include_in_schema=False, route_class=_ControlRoute
)


# --------------------------------------------------------------------------------------------- questions and documents


@router.get("/collections")
def collections(backend: AnyBackend) -> list[str]:
    """What the collections are called."""
    return backend.collections()


@router.get("/documents")
def documents(backend: AnyBackend, collection: str | None = None) -> list[Document]:
    """All documents, or those of a collection; a path whose bytes are no UTF-8 as it is shown, not as it is."""
    return [_shown(document) for document in backend.documents(collection)]


@router.get("/documents/{document_id}/text")
def page_text(document_id: str, backend: AnyBackend, page_index: int | None = None) -> tuple[Document, str]:
    """A document and the text of one of its pages."""
    document, text = backend.page_text(document_id, page_index)
    return _shown(document), text


@router.patch("/documents/{document_id}")
def tag(document_id: str, body: TagRequest, backend: AnyBackend) -> Document:
    """Give attributes to a document."""
    return _shown(backend.tag(document_id, body.attributes))


@router.get("/impaired")
def impaired(backend: AnyBackend) -> list[str]:
    """What of the index is incomplete for now."""
    return backend.impaired()


@router.post("/search")
async def search(body: SearchRequest, backend: AnyBackend) -> Sequence[Hit]:
    """The best chunks for a question."""
    return await backend.search(body)


@router.post("/ask")
async def ask(body: AskRequest, backend: AnyBackend) -> StreamingResponse:
    """The events of the answer."""
    return _events(backend.ask(body))


@router.get("/models")
async def measure_models(backend: AnyBackend) -> StreamingResponse:
    """How fast every model is."""
    return _events(backend.measure_models())


@router.get("/route")
def route_shares(backend: AnyBackend) -> Shares:
    """Who answered in the mode `route`."""
    return backend.route_shares()


# ---------------------------------------------------------------------------------------------------------- write side


@router.post("/ingest")
def ingest(body: IngestRequest, services: AppServices) -> StreamingResponse:
    """Ingest paths."""

    def steps() -> Iterator[IngestProgress]:
        yield from services.ingest.add_paths(body.paths, body.collection, body.options)
        services.ingest.wait_for_repair()

    return _progress(steps())


@router.delete("/documents/{document_id}")
def delete(document_id: str, services: AppServices) -> FileReport:
    """Delete a document."""
    return services.ingest.delete(document_id)


@router.post("/reindex")
def reindex(body: ReindexRequest, services: AppServices) -> StreamingResponse:
    """Switch to another embedding model."""
    return _progress(services.ingest.reindex(body.chosen))


@router.get("/jobs")
def jobs(services: AppServices) -> list[Job]:
    """The uploads, newest first."""
    return services.ingest.jobs()


@router.delete("/jobs/{job_id}")
def cancel(job_id: str, services: AppServices) -> Job:
    """Stop a job; the answer comes when it is over, or after some seconds."""
    services.ingest.cancel(job_id)
    return services.ingest.wait(job_id, _CANCELLING)


# ------------------------------------------------------------------------------------------------------------ archives


@router.post("/export")
def export(body: ExportRequest, backend: AnyBackend) -> StreamingResponse:
    """Write an archive; the last event tells what was written."""
    return _progress(backend.export(body))


@router.post("/backup")
def back_up(body: BackupRequest, backend: AnyBackend) -> StreamingResponse:
    """Write a backup; the last event tells what was written."""
    return _progress(backend.back_up(body))


# ------------------------------------------------------------------------------------------------------- lines of JSON


def _shown(document: Document) -> Document:
    return replace(document, content=Path(os.fsencode(document.content).decode("utf-8", "backslashreplace")))


def _events(events: AsyncGenerator[Any, None]) -> StreamingResponse:
    """The events, one a line, and what failed as the last one."""

    async def lines() -> AsyncIterator[str]:
        try:
            async with aclosing(events):
                async for event in events:
                    yield event_line(event)
        except Exception as error:  # noqa: BLE001  (the edge of a stream that has begun)
            yield error_line(_noted(error))

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _progress(events: Iterator[Any]) -> StreamingResponse:
    """The same of work that blocks. When the client leaves, the work ends."""
    steps = (event for event in events)

    async def in_thread() -> AsyncGenerator[Any, None]:
        try:
            while (event := await asyncio.to_thread(next, steps, None)) is not None:
                yield event
        finally:
            threading.Thread(target=_end, args=(steps,), daemon=True).start()  # may take seconds, not the server's

    return _events(in_thread())


def _end(steps: Generator[Any]) -> None:
    while True:
        try:
            steps.close()
        except ValueError:  # the thread that took the last step is still at it
            time.sleep(_STEP)
        else:
            return


def _noted(error: Exception) -> RagError:
    known = error if isinstance(error, RagError) else unknown_error(error)
    note_error(known.code)
    return known
