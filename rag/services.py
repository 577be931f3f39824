"""What runs: the opened storage, and with a model over it everything that UI, API and command line ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rag.backends.embeddings import open_embedding
from rag.backends.llms import close_language_model, open_language_model
from rag.catalog import Catalog
from rag.engine import ChatEngine
from rag.index import Index
from rag.lock import StorageLock
from rag.retrieval import HybridRetriever
from rag.settings import Settings
from rag.types import Embedding, Ingest, LanguageModel, Scope


@dataclass(frozen=True, slots=True)
class Storage:
    """An owned storage folder: its lock, its index, and the embedding model the index is made with."""

    lock: StorageLock
    index: Index
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Services:
    """The whole application. `ingest` is the write side, handed over by `app.py`."""

    settings: Settings
    storage: Storage
    model: LanguageModel
    engine: ChatEngine
    ingest: Ingest

    @property
    def catalog(self) -> Catalog:
        """The catalog of the storage folder."""
        return self.storage.index.catalog

    def scope(self, collection: str) -> Scope:
        """What a question to that collection may search. Raises NotFound."""
        return scope_of(self.catalog, collection)


def scope_of(catalog: Catalog, collection: str) -> Scope:
    """What a question to a collection (name or id) may search. Raises NotFound."""
    return Scope((catalog.collection(collection).id,))


@contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """Take the storage folder and open what is in it; blocking, seconds (the embedding model is loaded).

    Raises StorageLocked, IndexMismatch, ConfigurationError.
    """
    lock = StorageLock(settings.storage.dir).acquire()
    try:
        embedding = open_embedding(settings.embedding)
        index = Index(settings.storage.dir, embedding)
        try:
            yield Storage(lock, index, embedding)
        finally:
            index.close()
    finally:
        lock.release()


@contextmanager
def open_engine(settings: Settings, storage: Storage) -> Iterator[ChatEngine]:
    """A chat engine over the storage, with the model that the settings name. Raises ConfigurationError."""
    model = open_language_model(settings)
    try:
        yield ChatEngine(HybridRetriever(storage.index, storage.embedding, settings.retrieval), model, settings)
    finally:
        close_language_model(model)
