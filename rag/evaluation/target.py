"""What is measured: the engine over the storage folder, opened here, or the server that owns the folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

from rag.answering.engine import ChatEngine
from rag.operations.server_client import ServerClient, find_server, require_index
from rag.operations.services import open_engine, open_models, open_storage
from rag.settings import Settings
from rag.storage.catalog import Catalog
from rag.storage.connect import open_catalog
from rag.storage.selection import EVERYTHING, Selection, scope_of
from rag.types.documents import Event, Hit, Message, Scope


class EvaluationTarget(Protocol):
    """Answers questions as the product does, one at a time; the catalog tells what documents there are."""

    @property
    def catalog(self) -> Catalog:
        """The catalog that it searches."""
        ...

    async def search(self, question: str, limit: int) -> Sequence[Hit]:
        """The best hits."""
        ...

    async def relevance(self, question: str, hits: Sequence[Hit]) -> float:
        """What the gate compares with its threshold; `hits` are those of the answer's ChunksRetrieved."""
        ...

    def ask(self, question: str) -> AsyncGenerator[Event, None]:
        """The events of an answer; the model is asked after the first ChunksRetrieved, so whoever closes it then asks
        none."""
        ...


@dataclass(frozen=True, slots=True)
class _Here:
    engine: ChatEngine
    scope: Scope

    @property
    def catalog(self) -> Catalog:
        return self.engine.retriever.index.catalog

    async def search(self, question: str, limit: int) -> Sequence[Hit]:
        return await self.engine.retrieve(question, self.scope, limit)

    async def relevance(self, question: str, hits: Sequence[Hit]) -> float:
        return await self.engine.retriever.relevance(question, hits)

    def ask(self, question: str) -> AsyncGenerator[Event, None]:
        return self.engine.stream([Message("user", question)], self.scope)


@dataclass(frozen=True, slots=True)
class _AtServer:
    server: ServerClient
    catalog: Catalog
    collection: str
    selection: Selection

    async def search(self, question: str, limit: int) -> Sequence[Hit]:
        return await asyncio.to_thread(self.server.search, question, self.collection, limit, self.selection)

    async def relevance(self, question: str, hits: Sequence[Hit]) -> float:
        return await asyncio.to_thread(self.server.relevance, question, self.collection, len(hits), self.selection)

    def ask(self, question: str) -> AsyncGenerator[Event, None]:
        return self.server.ask([Message("user", question)], self.collection, self.selection)


@contextmanager
def open_target(settings: Settings, collection: str, selection: Selection = EVERYTHING) -> Iterator[EvaluationTarget]:
    """The running server, or the engine over the storage folder. Raises NotFound and InvalidRequest where there is no
    such collection or part of it, and what opening either raises."""
    server = find_server(settings)
    if server is not None:
        with closing(open_catalog(settings.storage)) as catalog:  # several processes may read
            scope_of(catalog, collection, selection)  # raises before the first question
            yield _AtServer(server, catalog, collection, selection)
        return
    require_index(settings)
    with open_storage(settings) as storage, open_models(settings) as models:
        engine = open_engine(settings, storage, models)
        yield _Here(engine, scope_of(storage.index.catalog, collection, selection))
