"""The running server as the command line sees it: the same verbs, over HTTP on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter

from rag.answering.modes.route import Shares
from rag.errors import StorageLocked
from rag.models.benchmark import Speed
from rag.operations.archive.format import ArchiveProgress
from rag.operations.archive.writer import WrittenArchive
from rag.operations.backend import Backend, Ingestion
from rag.operations.control_protocol import (
    TOKEN_SECONDS,
    AskRequest,
    BackupRequest,
    ExportRequest,
    IngestRequest,
    ReindexRequest,
    SearchRequest,
    TagRequest,
    read_error,
    read_event,
    request_token,
)
from rag.settings import EmbeddingSettings
from rag.storage.lock import Owner
from rag.types.documents import AttributeValue, Document, Event, Hit
from rag.types.ingest import FileReport, IngestOptions, IngestProgress, Job

_Result = TypeVar("_Result")
_TIMEOUT = httpx.Timeout(10, read=None)  # the server may think for long; whether it lives shows when connecting


class ServerClient(Backend, Ingestion):
    """A server that owns the storage folder. Raises what the server raised, or StorageLocked if it does not answer."""

    def __init__(self, owner: Owner) -> None:
        self._options: dict[str, Any] = {
            "base_url": f"{owner.address}/local/",
            "auth": RequestTokens(owner.secret),
            "headers": {"Host": urlsplit(owner.url).netloc},  # by its own name, as it may answer to no other
            "timeout": _TIMEOUT,
            "trust_env": False,
        }
        self._address = owner.address

    # -------------------------------------------------------------------------------- questions, documents and archives

    def warm_up(self) -> None:
        self.collections()  # all else is open there

    async def search(self, request: SearchRequest) -> list[Hit]:
        return await asyncio.to_thread(self._request, list[Hit], "POST", "search", request)

    def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        return self._events("POST", "ask", request)

    def collections(self) -> list[str]:
        return self._request(list[str], "GET", "collections")

    def documents(self, collection: str | None = None) -> list[Document]:
        return self._request(list[Document], "GET", "documents", collection=collection)

    def page_text(self, document_id: str, page_index: int | None) -> tuple[Document, str]:
        path = f"documents/{quote(document_id, safe='')}/text"
        return self._request(tuple[Document, str], "GET", path, page_index=page_index)

    def impaired(self) -> list[str]:
        return self._request(list[str], "GET", "impaired")

    def tag(self, document_id: str, attributes: Mapping[str, AttributeValue | None]) -> Document:
        body = TagRequest(attributes=dict(attributes))
        return self._request(Document, "PATCH", f"documents/{quote(document_id, safe='')}", body)

    def export(self, request: ExportRequest) -> Iterator[ArchiveProgress | WrittenArchive]:
        return self._progress("export", request)

    def back_up(self, request: BackupRequest) -> Iterator[ArchiveProgress | WrittenArchive]:
        return self._progress("backup", request)

    def measure_models(self) -> AsyncGenerator[Speed, None]:
        return self._events("GET", "models")

    def route_shares(self) -> Shares:
        return self._request(Shares, "GET", "route")

    # ------------------------------------------------------------------------------------------------------ write side

    def add_paths(
        self, paths: Sequence[Path], collection: str, options: IngestOptions = IngestOptions()
    ) -> Iterator[IngestProgress]:
        return self._progress("ingest", IngestRequest(paths=list(paths), collection=collection, options=options))

    def delete(self, document_id: str) -> FileReport:
        return self._request(FileReport, "DELETE", f"documents/{quote(document_id, safe='')}")

    def reindex(self, embedding: EmbeddingSettings) -> Iterator[IngestProgress]:
        key = embedding.api_key.get_secret_value()
        return self._progress("reindex", ReindexRequest(embedding=embedding, api_key=key))

    def jobs(self) -> list[Job]:
        return self._request(list[Job], "GET", "jobs")

    def cancel(self, job_id: str) -> Job:
        return self._request(Job, "DELETE", f"jobs/{quote(job_id, safe='')}")

    # ------------------------------------------------------------------------------------------------------------ HTTP

    def _request(
        self, kind: type[_Result], method: str, path: str, body: BaseModel | None = None, **query: object
    ) -> _Result:
        parameters = {name: str(value) for name, value in query.items() if value is not None}
        with self._reached(), httpx.Client(**self._options) as client:
            response = client.request(method, path, params=parameters, json=_json(body))
            _raise_for(response)
            return TypeAdapter(kind).validate_json(response.content)

    def _progress(self, path: str, body: BaseModel) -> Iterator[Any]:
        with (
            self._reached(),
            httpx.Client(**self._options) as client,
            client.stream("POST", path, json=_json(body)) as response,
        ):
            if response.is_error:
                response.read()
            _raise_for(response)
            for line in response.iter_lines():
                yield read_event(line)

    async def _events(self, method: str, path: str, body: BaseModel | None = None) -> AsyncGenerator[Any, None]:
        with self._reached():
            async with (
                httpx.AsyncClient(**self._options) as client,
                client.stream(method, path, json=_json(body)) as response,
            ):
                if response.is_error:
                    await response.aread()
                _raise_for(response)
                async for line in response.aiter_lines():
                    yield read_event(line)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise StorageLocked(
                f"The server at {self._address} owns the storage folder, but does not answer.",
                hint="Wait for it, or end it and try again.",
            ) from error


class RequestTokens(httpx.Auth):
    """Gives each request the token that opens it, and nothing else."""

    requires_request_body = True

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        expires = int(time.time()) + TOKEN_SECONDS
        target = request.url.raw_path
        token = request_token(self._secret, request.method, target, request.content, expires)
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


def _json(body: BaseModel | None) -> object:
    return None if body is None else body.model_dump(mode="json")


def _raise_for(response: httpx.Response) -> None:
    if response.is_error:
        raise read_error(response.json())
