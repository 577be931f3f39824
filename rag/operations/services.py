"""What runs: the opened storage, and with a model over it everything that UI, API and command line ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cached_property, partial
from typing import Self

from rag.answering.engine import ChatEngine
from rag.answering.event_stream import EventStream
from rag.answering.history import Summaries
from rag.answering.modes.dispatch import answer
from rag.answering.modes.request import Request
from rag.answering.modes.route import RouteCounts
from rag.answering.personas import Role, read_roles
from rag.auth.access import Access
from rag.auth.principals import Principal
from rag.errors import IndexMismatch, NotFound, StorageUnwritable
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
from rag.storage.database import CATALOG_NAME
from rag.storage.exchange import owned
from rag.storage.sqlite import check_catalog
from rag.storage.unwritable import readable_copy, release_reserve, unwritable
from rag.telemetry.metrics import Inventory, Telemetry
from rag.telemetry.spans import measured
from rag.types.documents import Answer, Emit
from rag.types.models import Embedding, LanguageModel

_CHECKED_AT_A_START = 256 << 20  # bytes of a catalog that every start reads whole: a larger one takes too long
_OpenIngest = Callable[..., AbstractContextManager[IngestService]]


class Services:
    """The application. Each part is opened when it is first used, and closed at the end of the `with` block: a list of
    documents needs no model, and works beside another process. A server opens all at its start.

    `open_ingest` opens the write side, given settings, index, and whether it `takes_jobs`; who hands none over has
    none. `route_counts` tell who answered in the mode `route`, `telemetry` is told what is measured, and `stopping`
    ends the answers when the program ends. `unwritable`: why nothing can be stored at the moment, None where it can."""

    def __init__(
        self, settings: Settings, open_ingest: _OpenIngest | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self.settings = settings
        self.route_counts = RouteCounts()
        self.telemetry = telemetry or Telemetry()
        self.stopping = Shutdown()
        self.unwritable: StorageUnwritable | None = None
        self.resources = ExitStack()
        self._open_ingest = open_ingest
        self._summaries = Summaries()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    def open_all(self) -> None:
        """Open all parts now: a server is not to fail with the first question. Raises what each of them raises.

        Of a storage folder that cannot be written to, not even in the room that was kept for that, it is a copy: then
        documents stay as they are, and all else that is written is lost at the end. Raises StorageUnwritable where
        there is nothing to copy, or no room for it."""
        try:
            self._open_index()
        except StorageUnwritable as error:
            self._open_copy(error)
        _ = self.index, self.ingest, self.models, self.engine, self.roles

    def _open_index(self) -> None:
        try:
            _ = self.index
        except StorageUnwritable:
            if not release_reserve(self.settings.storage.dir):
                raise
            _ = self.index

    def _open_copy(self, error: StorageUnwritable) -> None:
        if not has_catalog(self.settings.storage):
            raise error
        try:
            self.settings = self._copied
            _ = self.index
        except OSError as failure:
            raise error from failure
        self.unwritable = error

    @cached_property
    def index(self) -> Index:
        """The index of the storage folder, which is made if need be. Raises like `open_index`."""
        return self.resources.enter_context(open_index(self.settings))

    @cached_property
    def _index_to_read(self) -> Index:
        """The index for searching alone: of a copy, where the folder cannot be written to. Raises like `open_index`."""
        if self._open_ingest is not None or "index" in vars(self):
            return self.index
        try:
            self.index = self.resources.enter_context(open_index(self.settings))
        except StorageUnwritable:
            return self.resources.enter_context(open_index(self._copied))
        return self.index

    @cached_property
    def _copied(self) -> Settings:
        """The settings, with a copy of the storage folder to read from."""
        folder = self.settings.storage.dir
        copy = self.resources.enter_context(readable_copy(folder))
        return self.settings.model_copy(update={"storage": self.settings.storage.model_copy(update={"dir": copy})})

    @cached_property
    def dormant_index(self) -> Index:
        """The index for what asks no embedding model: that is not loaded for it. Raises NotFound where nothing was ever
        ingested, and like `open_dormant_index`."""
        if "index" in vars(self):
            return self.index
        require_index(self.settings)
        return self.resources.enter_context(open_dormant_index(self.settings))

    @property
    def dormant_index_to_read(self) -> Index:
        """The same for what writes elsewhere: of a copy, where the folder cannot be written to."""
        try:
            return self.dormant_index
        except StorageUnwritable:
            return self.resources.enter_context(open_dormant_index(self._copied))

    @property
    def catalog(self) -> Catalog:
        """The catalog, also while another process owns the folder. Raises NotFound where there is none."""
        return self.index.catalog if "index" in vars(self) else self._catalog

    @cached_property
    def _catalog(self) -> Catalog:
        require_index(self.settings)
        try:
            return self.resources.enter_context(closing(open_catalog(self.settings.storage)))
        except StorageUnwritable:
            catalog = self.resources.enter_context(closing(open_catalog(self._copied.storage)))
            catalog.database.refuse_writes()
            return catalog

    @cached_property
    def ingest(self) -> IngestService:
        """The write side."""
        assert self._open_ingest is not None, "nobody has handed it over"
        takes_jobs = self.unwritable is None
        return self.resources.enter_context(self._open_ingest(self.settings, self.index, takes_jobs=takes_jobs))

    @cached_property
    def retriever(self) -> HybridRetriever:
        """What finds chunks. Raises NotFound where nothing was ever ingested, and like `open_index`."""
        require_index(self.settings)
        return open_retriever(self.settings, self._index_to_read)

    @cached_property
    def models(self) -> LanguageModels:
        """The language models that the settings and `models.toml` describe. Raises ConfigurationError."""
        return self.resources.enter_context(closing(LanguageModels(self.settings, load_models_file(self.settings))))

    @property
    def model(self) -> LanguageModel:
        """The model that is asked where none is named."""
        return self.models.get()

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The personas. Raises ConfigurationError."""
        return read_roles(self.models.file)

    @cached_property
    def engine(self) -> ChatEngine:
        """The engine that asks the default model."""
        return self.engine_with("")

    def engine_with(self, model: str) -> ChatEngine:
        """An engine that asks the model of that name, empty for the default one; blocking: it may be opened. Raises
        NotFound, ConfigurationError."""
        return ChatEngine(self.retriever, self.models.get(model), self.settings, summaries=self._summaries)

    def under(self, settings: Settings) -> Services:
        """The same index and language models, searched under other settings of the retrieval. It is closed with this
        one."""
        other = Services(settings)
        other.index, other.models = self._index_to_read, self.models
        return other

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
        return Access(self.catalog, principal, self.unwritable)


@contextmanager
def _causes_told(settings: Settings) -> Iterator[None]:
    """What fails because the storage folder cannot be written to says so."""
    try:
        yield
    except Exception as error:
        failure = unwritable(error, settings.storage.dir)
        if failure is None or failure is error:
            raise
        raise failure from error


@contextmanager
def open_index(
    settings: Settings, choose_embedding: Callable[[], Embedding] | None = None, *, deep: bool = False
) -> Iterator[Index]:
    """Take the storage folder and open what is in it; blocking, seconds where the embedding model is loaded (that of
    the settings, if none is chosen). `deep` looks for damage in all files, and for every vector.

    Raises StorageLocked, IndexMismatch, ConfigurationError, and BackendError where the Chroma server is not there.
    """
    with owned(settings.storage):
        with _causes_told(settings):
            path = settings.storage.dir / CATALOG_NAME
            if path.exists() and (deep or path.stat().st_size <= _CHECKED_AT_A_START):
                check_catalog(path)  # before anything is written into it
            embedding = choose_embedding() if choose_embedding else open_embedding(settings.embedding)
            database, chroma = open_database(settings.storage), chroma_server(settings.storage)
            index = Index(settings.storage.dir, embedding, database, chroma, deep=deep)
        with closing(index):
            yield index


@contextmanager
def open_dormant_index(
    settings: Settings, coming: EmbeddingIdentity | None = None, *, deep: bool = False
) -> Iterator[Index]:
    """Take the storage folder without loading the embedding model: for what has all vectors at hand. `deep` is as in
    `open_index`.

    `coming` is what made the vectors that are to be added, None where none are. Raises StorageLocked; IndexMismatch
    when they do not fit those that are there (in an empty folder, the settings); NotFound when there is nothing.
    """
    with open_index(settings, lambda: _dormant_embedding(settings, coming), deep=deep) as index:
        yield index


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
    return HybridRetriever(index, settings.retrieval, open_reranker(settings.reranker))
