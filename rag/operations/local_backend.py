"""Questions and documents, of a storage folder that this process has open: a command's, or the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing

from rag.answering.modes.request import Request
from rag.answering.modes.route import Shares
from rag.answering.personas import addressed
from rag.models.benchmark import Speed, measure_all
from rag.operations.archive import writer
from rag.operations.archive.format import ArchiveProgress
from rag.operations.archive.writer import WrittenArchive
from rag.operations.backend import Backend
from rag.operations.control_protocol import AskRequest, BackupRequest, ExportRequest, SearchRequest
from rag.operations.services import Services
from rag.storage.attributes import tag
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.selection import scope_of
from rag.types.documents import AttributeValue, Document, Event, Hit, Scope


class LocalBackend(Backend):
    """The machine's view, to which all collections are open: see Access for that of a user."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def warm_up(self) -> None:
        _ = self._services.retriever  # which is opened by that

    async def search(self, request: SearchRequest) -> Sequence[Hit]:
        retriever = self._services.retriever
        return await retriever.retrieve(request.question, await self._scope(request), request.limit)

    async def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        self.warm_up()
        question = Request(request.messages, await self._scope(request), models=request.models)
        question = addressed(question, request.collection, self._services.roles, request.mode)
        async with aclosing(self._services.ask(question)) as events:
            async for event in events:
                yield event

    def collections(self) -> list[str]:
        return [collection.name for collection in self._services.catalog.collections()]

    def documents(self, collection: str | None = None) -> list[Document]:
        return self._services.catalog.documents(collection)

    def page_text(self, document_id: str, page_index: int | None) -> tuple[Document, str]:
        catalog = self._services.catalog
        return catalog.document(document_id), catalog.page_text(document_id, page_index)

    def impaired(self) -> list[str]:
        return sorted(self._services.retriever.index.impaired)  # which may be that of a copy

    def tag(self, document_id: str, attributes: Mapping[str, AttributeValue | None]) -> Document:
        return tag(self._services.catalog, document_id, attributes)

    def export(self, request: ExportRequest) -> Iterator[ArchiveProgress | WrittenArchive]:
        index = self._services.dormant_index_to_read
        options = {"with_files": request.with_files, "overwrite": request.overwrite}
        return writer.export(index, request.archive, request.collections, **options)

    def back_up(self, request: BackupRequest) -> Iterator[ArchiveProgress | WrittenArchive]:
        index, folder = self._services.dormant_index_to_read, self._services.settings.storage.dir
        return writer.back_up(index, folder, request.backup, overwrite=request.overwrite)

    def measure_models(self) -> AsyncGenerator[Speed, None]:
        return measure_all(self._services.models)

    def route_shares(self) -> Shares:
        return self._services.route_counts.shares

    async def _scope(self, request: SearchRequest | AskRequest) -> Scope:
        collection = request.collection or DEFAULT_COLLECTION
        return await asyncio.to_thread(scope_of, self._services.catalog, collection, request.selection)
