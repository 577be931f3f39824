"""What runs: the opened storage, and with a model over it everything that UI, API and command line ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Self

from rag.answering.engine import ChatEngine
from rag.answering.event_stream import EventStream
from rag.answering.modes.dispatch import answer
from rag.answering.modes.request import Request
from rag.answering.modes.route import RouteCounts
from rag.answering.personas import Role, read_roles
from rag.auth.access import Access
from rag.auth.principals import Principal
from rag.errors import IndexMismatch, NotFound
from rag.index.chroma_server import chroma_server
from rag.index.index import Index
from rag.models.embedding import LazyEmbedding, is_configured, open_embedding
from rag.models.models_file import load_models_file
from rag.models.registry import LanguageModels
from rag.models.reranker import open_reranker
from rag.operations.archive.format import EmbeddingIdentity
from rag.operations.backend import IngestService, require_index
from rag.operations.shutdown import Shutdown
from rag.retrieval.retriever import HybridRetriever
from rag.settings import EmbeddingSettings, Settings
from rag.storage.catalog import Catalog
from rag.storage.connect import has_catalog, open_catalog, open_database
from rag.storage.lock import StorageLock
from rag.telemetry.metrics import Inventory, Telemetry
from rag.telemetry.spans import measured
from rag.types.documents import Answer, Embedding, Emit, LanguageModel


@dataclass(frozen=True, slots=True)
class Storage:
    """An owned storage folder: its lock and its index."""

    lock: StorageLock
    index: Index

    @property
    def embedding(self) -> Embedding:
        """The embedding model that the index is made with."""
        return self.index.embedding


@dataclass(frozen=True, slots=True)
class Services:
    """The whole application. `ingest` is the write side, handed over by `app.py`; `roles` are the personas;
    `route_counts` tell who answered in the mode `route`, `telemetry` is told what is measured, and `stopping` ends the
    answers when the program ends."""

    settings: Settings
    storage: Storage
    models: LanguageModels
    engine: ChatEngine
    ingest: IngestService
    roles: tuple[Role, ...] = ()
    route_counts: RouteCounts = field(default_factory=RouteCounts)
    telemetry: Telemetry = field(default_factory=Telemetry)
    stopping: Shutdown = field(default_factory=Shutdown)

    @property
    def catalog(self) -> Catalog:
        """The catalog of the storage folder."""
        return self.storage.index.catalog

    @property
    def retriever(self) -> HybridRetriever:
        """What finds chunks."""
        return self.engine.retriever

    @property
    def model(self) -> LanguageModel:
        """The model that is asked where none is named."""
        return self.models.get()

    def engine_with(self, model: str) -> ChatEngine:
        """An engine that asks the model of that name, empty for the default one; blocking: it may be opened. Raises
        NotFound, ConfigurationError."""
        return replace(self.engine, model=self.models.get(model))

    def ask(self, request: Request) -> EventStream:
        """Answer a request in its mode: see rag/answering/modes/dispatch.py."""

        async def work(emit: Emit) -> Answer:
            async with self.stopping.limit():
                return await answer(request, self.engine_with, self.models.file, self.route_counts, emit)

        question = request.messages[-1].content if request.messages else ""
        return EventStream(partial(measured, work, request.mode, question, self.telemetry.finish))

    def inventory(self) -> Inventory:
        """What there is at the moment; blocking, a moment."""
        census = self.catalog.census()
        documents = {status: documents for status, (documents, _) in census.items()}
        chunks = sum(chunks for _, chunks in census.values())
        return Inventory(documents, chunks, self.ingest.jobs_by_state(), self.ingest.counts())

    def access(self, principal: Principal) -> Access:
        """What somebody may reach."""
        return Access(self.catalog, principal)


class LazyServices:
    """What a command needs of the application: each part is opened when it is first used, and closed at the end of the
    `with` block. A list of documents needs no model, and works beside another process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.route_counts = RouteCounts()
        self.resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    @cached_property
    def storage(self) -> Storage:
        """The storage folder, which is made if need be. Raises like `open_storage`."""
        return self.resources.enter_context(open_storage(self.settings))

    @property
    def catalog(self) -> Catalog:
        """The catalog, also while another process owns the folder. Raises NotFound where there is none."""
        return self.storage.index.catalog if "storage" in vars(self) else self._catalog

    @cached_property
    def _catalog(self) -> Catalog:
        require_index(self.settings)
        return self.resources.enter_context(closing(open_catalog(self.settings.storage)))

    @cached_property
    def retriever(self) -> HybridRetriever:
        """What finds chunks. Raises NotFound where nothing was ever ingested, and like `open_storage`."""
        require_index(self.settings)
        return open_retriever(self.settings, self.storage.index)

    @cached_property
    def models(self) -> LanguageModels:
        """The language models. Raises ConfigurationError."""
        return self.resources.enter_context(open_models(self.settings))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The personas. Raises ConfigurationError."""
        return read_roles(self.models.file)

    def ask(self, request: Request) -> EventStream:
        """Answer a request in its mode."""

        def engine_with(model: str) -> ChatEngine:
            return ChatEngine(self.retriever, self.models.get(model), self.settings)

        return EventStream(lambda emit: answer(request, engine_with, self.models.file, self.route_counts, emit))


@contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """Take the storage folder and open what is in it; blocking, seconds (the embedding model is loaded).

    Raises StorageLocked, IndexMismatch, ConfigurationError, and BackendError where the Chroma server is not there.
    """
    lock = StorageLock(settings.storage.dir, shared=settings.storage.is_shared).acquire()
    try:
        embedding = open_embedding(settings.embedding)
        index = Index(settings.storage.dir, embedding, open_database(settings.storage), chroma_server(settings.storage))
        try:
            yield Storage(lock, index)
        finally:
            index.close()
    finally:
        lock.release()


@contextmanager
def open_index(settings: Settings, coming: EmbeddingIdentity | None = None) -> Iterator[Index]:
    """Take the storage folder without loading the embedding model: for what has all vectors at hand.

    `coming` is what made the vectors that are to be added, None where none are. Raises StorageLocked; IndexMismatch
    when they do not fit those that are there (in an empty folder, the settings); NotFound when there is nothing.
    """
    lock = StorageLock(settings.storage.dir, shared=settings.storage.is_shared).acquire()
    try:
        embedding = _dormant_embedding(settings, coming)
        database, chroma = open_database(settings.storage), chroma_server(settings.storage)
        with closing(Index(settings.storage.dir, embedding, database, chroma)) as index:
            yield index
    finally:
        lock.release()


def _dormant_embedding(settings: Settings, coming: EmbeddingIdentity | None) -> LazyEmbedding:
    stored = None
    if has_catalog(settings.storage):
        with closing(open_catalog(settings.storage)) as catalog:
            stored = json.loads(catalog.property("embedding") or "null") if catalog.documents() else None
    if stored is not None:
        if coming is not None and coming.fingerprint != stored["fingerprint"]:
            raise IndexMismatch(
                f"The archive's vectors were made with the embedding model {coming.model}, those of this index with "
                f"{stored['model']} (or the prefixes differ).",
                hint="Import it into an empty folder (RAG_STORAGE__DIR), or first set "
                f"RAG_EMBEDDING__MODEL={coming.model} and run `rag reindex`.",
            )
        return LazyEmbedding(settings.embedding, stored["model"], stored["fingerprint"])
    if coming is None:
        raise NotFound(f"There are no documents in {settings.storage.dir.absolute()}.", hint="`ingest PATH` adds some.")
    require_configured(settings.embedding, coming)
    return LazyEmbedding(settings.embedding, settings.embedding.model, coming.fingerprint)


def require_configured(settings: EmbeddingSettings, coming: EmbeddingIdentity) -> None:
    """Raises IndexMismatch unless the settings name the embedding model that an archive's vectors were made with."""
    if not is_configured(settings, coming.model, coming.fingerprint):
        raise IndexMismatch(
            f"The archive's vectors were made with the embedding model {coming.model}; the settings name "
            f"{settings.model} (or other prefixes).",
            hint=f"Set RAG_EMBEDDING__MODEL={coming.model}, now and from then on.",
        )


def open_retriever(settings: Settings, index: Index) -> HybridRetriever:
    """What finds chunks in the index, with the reranker if one is named. Raises ConfigurationError."""
    return HybridRetriever(index, settings.retrieval, open_reranker(settings.retrieval))


@contextmanager
def open_models(settings: Settings) -> Iterator[LanguageModels]:
    """The language models that the settings and `models.toml` describe. Raises ConfigurationError."""
    with closing(LanguageModels(settings, load_models_file(settings))) as models:
        yield models


def open_engine(settings: Settings, storage: Storage, models: LanguageModels) -> ChatEngine:
    """A chat engine over the storage, with the default model. Raises ConfigurationError."""
    return ChatEngine(open_retriever(settings, storage.index), models.get(), settings)
