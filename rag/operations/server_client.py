"""The running server as the command line sees it: the same verbs, over HTTP on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_from_bytes, urlsplit

import httpx
from pydantic import TypeAdapter

from rag import errors
from rag.answering.modes.request import Mode
from rag.answering.modes.route import Shares
from rag.errors import NotFound, RagError, StorageLocked
from rag.models.benchmark import Speed
from rag.operations.archive.format import ArchiveProgress
from rag.operations.archive.writer import WrittenArchive
from rag.settings import EmbeddingSettings, Settings
from rag.storage.connect import has_catalog
from rag.storage.lock import Owner, StorageLock, read_owner
from rag.storage.selection import EVERYTHING, Selection
from rag.types.documents import (
    AnswerCompleted,
    AttributeValue,
    Candidate,
    ChunksRetrieved,
    Document,
    Event,
    Hit,
    Message,
    Progress,
    QueryCondensed,
    TextDelta,
)
from rag.types.ingest import FileReport, IngestOptions, IngestProgress, Job

_EVENTS: dict[str, TypeAdapter[Event]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (QueryCondensed, ChunksRetrieved, Progress, TextDelta, Candidate, AnswerCompleted)
}
_ERRORS = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RagError)}
_Progress = TypeVar("_Progress")
_TIMEOUT = httpx.Timeout(10, read=None)  # the server may think for long; whether it lives shows when connecting


class ServerClient:
    """A server that owns the storage folder. Raises what the server raised, or StorageLocked if it does not answer."""

    def __init__(self, owner: Owner) -> None:
        self._url = owner.address
        # by its own name, as it may answer to no other
        self._headers = {"Authorization": f"Bearer {owner.token}", "Host": urlsplit(owner.url).netloc}

    def add_paths(
        self, paths: Sequence[Path], collection: str, options: IngestOptions = IngestOptions()
    ) -> Iterator[IngestProgress]:
        """Ingest files and folders of this machine."""
        body = {
            "paths": [quote_from_bytes(os.fsencode(path.absolute())) for path in paths],  # names may be no UTF-8
            "collection": collection,
            "options": asdict(options),
        }
        return self._stream("/local/ingest", body, TypeAdapter(IngestProgress))

    def reindex(self, embedding: EmbeddingSettings) -> Iterator[IngestProgress]:
        """Switch to another embedding model."""
        return self._stream("/local/reindex", embedding.model_dump(), TypeAdapter(IngestProgress))

    def documents(self, collection: str | None = None) -> list[Document]:
        """All documents, or those of a collection."""
        query = {} if collection is None else {"collection": collection}
        return TypeAdapter(list[Document]).validate_json(self._request("GET", "/local/documents", params=query))

    def collections(self) -> list[str]:
        """What the collections are called."""
        return TypeAdapter(list[str]).validate_json(self._request("GET", "/local/collections"))

    def page_text(self, document_id: str, page_index: int | None) -> tuple[Document, str]:
        """A document and the text of one of its pages."""
        query = {} if page_index is None else {"page_index": page_index}
        path = f"/local/documents/{quote(document_id, safe='')}/text"
        return TypeAdapter(tuple[Document, str]).validate_json(self._request("GET", path, params=query))

    def remove(self, document_id: str) -> FileReport:
        """Remove a document."""
        return TypeAdapter(FileReport).validate_json(self._request("DELETE", f"/local/documents/{document_id}"))

    def tag(self, document_id: str, attributes: Mapping[str, AttributeValue | None]) -> Document:
        """Give attributes to a document; None takes one away."""
        body = {"attributes": attributes}
        answer = self._request("PATCH", f"/local/documents/{quote(document_id, safe='')}", json=body)
        return TypeAdapter(Document).validate_json(answer)

    def jobs(self) -> list[Job]:
        """The uploads."""
        return TypeAdapter(list[Job]).validate_json(self._request("GET", "/local/jobs"))

    def cancel(self, job_id: str) -> Job:
        """Stop a job."""
        return TypeAdapter(Job).validate_json(self._request("DELETE", f"/local/jobs/{quote(job_id, safe='')}"))

    def search(self, question: str, collection: str, limit: int, selection: Selection = EVERYTHING) -> list[Hit]:
        """The best chunks for a question."""
        body = {"question": question, "collection": collection, "limit": limit, "selection": asdict(selection)}
        return TypeAdapter(list[Hit]).validate_json(self._request("POST", "/local/search", json=body))

    def relevance(self, question: str, collection: str, limit: int, selection: Selection = EVERYTHING) -> float:
        """How far the best chunks speak to the question: what is compared with the threshold for refusing."""
        body = {"question": question, "collection": collection, "limit": limit, "selection": asdict(selection)}
        return TypeAdapter(float).validate_json(self._request("POST", "/local/relevance", json=body))

    def export(
        self, archive: Path, collections: Sequence[str], *, with_files: bool, overwrite: bool
    ) -> Iterator[ArchiveProgress | WrittenArchive]:
        """Have the server write an archive on this machine; last comes what was written."""
        body = {
            "archive": quote_from_bytes(os.fsencode(archive.absolute())),
            "collections": list(collections),
            "with_files": with_files,
            "overwrite": overwrite,
        }
        return self._stream("/local/export", body, TypeAdapter(ArchiveProgress | WrittenArchive))

    def back_up(self, backup: Path, *, overwrite: bool) -> Iterator[ArchiveProgress | WrittenArchive]:
        """Have the server write a backup on this machine; last comes what was written."""
        body = {"backup": quote_from_bytes(os.fsencode(backup.absolute())), "overwrite": overwrite}
        return self._stream("/local/backup", body, TypeAdapter(ArchiveProgress | WrittenArchive))

    async def ask(
        self,
        messages: Sequence[Message],
        collection: str,
        selection: Selection = EVERYTHING,
        mode: Mode | None = None,
        models: Sequence[str] = (),
    ) -> AsyncGenerator[Event, None]:
        """The events of an answer; without a mode, the collection's persona decides it."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        part = {"collection": collection, "selection": asdict(selection)}
        body = {"messages": turns, **part, "mode": mode, "models": list(models)}
        client = httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=_TIMEOUT, trust_env=False)
        async with client:
            try:
                async with client.stream("POST", "/local/ask", json=body) as response:
                    if response.is_error:
                        await response.aread()
                    _raise_for(response)
                    async for line in response.aiter_lines():
                        event = _parsed(line)
                        yield _EVENTS[event["event"]].validate_python(event["body"])
            except httpx.TransportError as error:
                raise self._gone() from error

    def models(self) -> Iterator[Speed]:
        """How fast every model is."""
        with self._client() as client, self._reached(), client.stream("GET", "/local/models") as response:
            _raise_for(response)
            for line in response.iter_lines():
                yield TypeAdapter(Speed).validate_python(_parsed(line))

    def route_shares(self) -> Shares:
        """Who answered in the mode `route`."""
        return TypeAdapter(Shares).validate_json(self._request("GET", "/local/route"))

    def _stream(self, path: str, body: dict[str, Any], adapter: TypeAdapter[_Progress]) -> Iterator[_Progress]:
        with self._client() as client, self._reached(), client.stream("POST", path, json=body) as response:
            _raise_for(response)
            for line in response.iter_lines():
                yield adapter.validate_python(_parsed(line))

    def _request(self, method: str, path: str, **options: Any) -> bytes:
        with self._client() as client, self._reached():
            response = client.request(method, path, **options)
            _raise_for(response)
            return response.content

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, headers=self._headers, timeout=_TIMEOUT, trust_env=False)

    def _gone(self) -> StorageLocked:
        return StorageLocked(
            f"The server at {self._url} owns the storage folder, but does not answer.",
            hint="Wait for it, or end it and try again.",
        )

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise self._gone() from error


def _raise_for(response: httpx.Response) -> None:
    if response.is_error:
        response.read()
        body = response.json()["error"]
        hint = body.get("hint") or ""
        raise _ERRORS.get(body["code"], RagError)(body["message"].removesuffix(hint).strip(), hint=hint)


def _parsed(line: str) -> Any:
    value = json.loads(line)
    if "error" in value:
        error = value["error"]
        raise _ERRORS.get(error["code"], RagError)(error["message"], hint=error["hint"])
    return value


def find_server(settings: Settings) -> ServerClient | None:
    """The server that owns the storage folder, None when there is none (another owner is met when opening)."""
    owner = read_owner(settings.storage.dir) if StorageLock(settings.storage.dir).is_taken() else None
    if owner is None or not owner.url:
        return None
    return ServerClient(owner)


def require_index(settings: Settings) -> None:
    """Raises NotFound where nothing was ever ingested: a command in the wrong folder must not make an empty index."""
    folder = settings.storage.dir.absolute()
    if not has_catalog(settings.storage):
        raise NotFound(
            f"There are no documents in {folder}.",
            hint="`ingest PATH` adds some; RAG_STORAGE__DIR names another storage folder.",
        )
