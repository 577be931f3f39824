"""Questions and documents, of a storage folder that this process has open: a command's, or the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from rag.answering.modes.request import Mode, Request
from rag.answering.modes.route import Shares
from rag.answering.personas import addressed
from rag.models.benchmark import Speed, measure_all
from rag.operations.backend import Backend
from rag.operations.services import LazyServices, Services
from rag.storage import document_attributes
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.selection import EVERYTHING, Selection, scope_of
from rag.types.documents import AttributeValue, Document, Event, Hit, Message, Scope


class LocalBackend(Backend):
    """The machine's view, to which all collections are open: see Access for that of a user."""

    def __init__(self, services: Services | LazyServices) -> None:
        self._services = services

    def warm_up(self) -> None:
        assert self._services.retriever  # which is opened by that

    async def search(
        self, question: str, collection: str | None, limit: int, selection: Selection = EVERYTHING
    ) -> Sequence[Hit]:
        retriever = self._services.retriever
        return await retriever.retrieve(question, await self._scope(collection, selection), limit)

    async def relevance(
        self, question: str, collection: str | None, limit: int, selection: Selection = EVERYTHING
    ) -> float:
        hits = await self.search(question, collection, limit, selection)
        return await self._services.retriever.relevance(question, hits)

    async def ask(
        self,
        messages: Sequence[Message],
        collection: str,
        selection: Selection = EVERYTHING,
        mode: Mode | None = None,
        models: Sequence[str] = (),
    ) -> AsyncGenerator[Event, None]:
        self.warm_up()
        scope = await self._scope(collection, selection)
        request = addressed(Request(messages, scope, models=tuple(models)), collection, self._services.roles, mode)
        async with aclosing(self._services.ask(request)) as events:
            async for event in events:
                yield event

    def collections(self) -> list[str]:
        return [collection.name for collection in self._services.catalog.collections()]

    def documents(self, collection: str | None = None) -> list[Document]:
        return self._services.catalog.documents(collection)

    def page_text(self, document_id: str, page_index: int | None) -> tuple[Document, str]:
        catalog = self._services.catalog
        return catalog.document(document_id), catalog.page_text(document_id, page_index)

    def tag(self, document_id: str, attributes: Mapping[str, AttributeValue | None]) -> Document:
        return document_attributes.tag(self._services.catalog, document_id, attributes)

    def measure_models(self) -> AsyncGenerator[Speed, None]:
        return measure_all(self._services.models)

    def route_shares(self) -> Shares:
        return self._services.route_counts.shares

    async def _scope(self, collection: str | None, selection: Selection) -> Scope:
        return await asyncio.to_thread(scope_of, self._services.catalog, collection or DEFAULT_COLLECTION, selection)
