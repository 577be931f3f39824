"""Repair: indexes that were lost or damaged become what the catalog says.

They are compared with it by number alone, which costs nothing; only a difference makes us look at every id. What takes
longer than a moment is done by a thread, while the other index answers; what is damaged is put aside until then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag.errors import BackendError
from rag.index.dense import VectorIndex
from rag.index.lexical import LexicalWriter, live_entries
from rag.index.opening import delete_set_aside
from rag.storage.catalog import Catalog
from rag.text.analysis import ANALYSIS_VERSION, contextual_text
from rag.types.documents import Chunk, Collection, Document
from rag.types.models import Embedding

logger = logging.getLogger(__name__)

Part = Literal["vectors", "words"]

_BATCH = 256  # vectors: while Chroma takes more, no other thread gets on
_DOCUMENTS = 64  # between which others may write
PATIENCE = 10.0  # seconds for which opening waits for a repair
_LOOK = 0.1  # seconds between two looks at how far it is


@dataclass(frozen=True, slots=True)
class RepairProgress:
    """How far a repair is: chunks of `total`."""

    part: Part
    done: int
    total: int


class Repairer:
    """Repairs the words, where this process writes them, and the vectors. `writing` keeps everybody else from writing
    while it is held."""

    def __init__(
        self, storage: Path, catalog: Catalog, words: LexicalWriter | None, writing: AbstractContextManager[None]
    ) -> None:
        self.under_repair: frozenset[Part] = frozenset()
        self.progress: RepairProgress | None = None
        self._storage = storage
        self._catalog = catalog
        self._words = words
        self._writing = writing
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, "repair")
        self._running: Future[None] | None = None

    def start(self, vectors: VectorIndex, embedding: Embedding, patience: float = PATIENCE) -> None:
        """Repair what does not fit; this returns when it is done, or goes on in a thread after `patience` seconds.
        Raises what stands against it."""
        with self._writing:
            self.under_repair = self._misfits(vectors)
            is_copied = all(vectors.is_copied(collection.id) for collection in self._catalog.collections())
        if not self.under_repair and is_copied:
            delete_set_aside(self._storage)
            return
        self._stop.clear()
        self._running = self._thread.submit(self._run, vectors, embedding)
        with suppress(TimeoutError):
            self._running.result(patience)

    def stop(self) -> bool:
        """Stop soon, between two groups of documents; whether a repair went on. It can be started again."""
        was_running = self._running is not None and not self._running.done()
        self._stop.set()
        if self._running is not None:
            wait([self._running])
        return was_running

    def follow(self) -> Iterator[RepairProgress]:
        """How far the repair is, until it is done. Raises what stands against it."""
        while self._running is not None and not self._running.done():
            if self.progress is not None:
                yield self.progress
            time.sleep(_LOOK)
        if self._running is not None:
            self._running.result()

    def close(self) -> None:
        """Stop; the next start goes on."""
        self._stop.set()
        self._thread.shutdown()

    def repair_now(self, vectors: VectorIndex, embedding: Embedding) -> None:
        """Repair what does not fit, while the caller holds `writing`."""
        self._stop.clear()
        self._repair(vectors, embedding, nullcontext())

    def _misfits(self, vectors: VectorIndex) -> frozenset[Part]:
        misfits: set[Part] = set()
        if self._words is not None and not self._words_fit(self._words):
            misfits.add("words")
        if not all(self._fit(vectors, collection) for collection in self._catalog.collections()):
            misfits.add("vectors")
        return frozenset(misfits)

    def _words_fit(self, words: LexicalWriter) -> bool:
        is_current = self._catalog.property("words") == ANALYSIS_VERSION
        return is_current and words.index.count() == sum(chunks for _, chunks in self._catalog.census().values())

    def _fit(self, vectors: VectorIndex, collection: Collection) -> bool:
        return vectors.count(collection.id) == self._catalog.count_vectors(collection.id)

    def _run(self, vectors: VectorIndex, embedding: Embedding) -> None:
        try:
            self._repair(vectors, embedding, self._writing)
        except Exception as error:
            logger.error("The index is not whole, and its repair failed: %s `rag repair` tries it again.", error)  # noqa: TRY400
            raise
        finally:
            self.progress = None

    def _repair(self, vectors: VectorIndex, embedding: Embedding, writing: AbstractContextManager[None]) -> None:
        """Repair until nothing is found that does not fit; others may have written meanwhile. Then what was put aside
        is worth nothing any more."""
        revision: int | None = None
        while True:
            with writing:
                self.under_repair = self._misfits(vectors)
                seen, revision = revision, self._catalog.revision
            if seen is not None and not self.under_repair:
                delete_set_aside(self._storage)
                return
            if seen == revision:  # nobody has written: it would go on for ever
                raise BackendError(
                    f"The {' and '.join(sorted(self.under_repair))} do not become what the catalog says.",
                    hint="`rag doctor --deep` may say why.",
                )
            if "words" in self.under_repair and self._words is not None:
                self._repair_words(self._words, writing)
            if self._stop.is_set():
                return
            self.under_repair -= {"words"}
            self._repair_vectors(vectors, embedding, writing)
            if self._stop.is_set():
                return

    def _repair_words(self, words: LexicalWriter, writing: AbstractContextManager[None]) -> None:
        """Index all documents again, and delete what is of none. Others search what is there and write meanwhile."""
        if self._catalog.property("words") == ANALYSIS_VERSION:
            logger.warning("The word index does not match the catalog; filling it again.")
        for group in self._groups("words", self._catalog.documents()):
            with writing:
                if self._stop.is_set():
                    return
                for live in self._catalog.live_versions([document.id for document in group]):
                    words.rewrite(live.name, live_entries(self._catalog, live.name))
                words.commit()
        with writing:
            if self._stop.is_set():
                return
            documents = [document.id for document in self._catalog.documents()]
            words.delete(words.index.versions() - {live.name for live in self._catalog.live_versions(documents)})
            self._catalog.set_property("words", ANALYSIS_VERSION)

    def _repair_vectors(
        self, vectors: VectorIndex, embedding: Embedding, writing: AbstractContextManager[None]
    ) -> None:
        """Add what lacks its vector, from the copy or else embedded again, and delete vectors that stand for nothing;
        then complete the copy."""
        for collection in self._catalog.collections():
            with writing:
                fits = self._fit(vectors, collection)
            if not fits:
                logger.warning("The vectors of %r do not match the catalog; mending them.", collection.name)
                self._mend(vectors, embedding, collection.id, writing)
            with writing:
                lacking = [] if self._stop.is_set() else vectors.lacking_copies(collection.id)
            for start in range(0, len(lacking), _BATCH):
                with writing:
                    if self._stop.is_set():
                        return
                    vectors.copy_from_chroma(collection.id, lacking[start : start + _BATCH])

    def _mend(
        self, vectors: VectorIndex, embedding: Embedding, collection_id: str, writing: AbstractContextManager[None]
    ) -> None:
        documents = self._catalog.documents(collection_id)
        present = set(vectors.ids(collection_id))
        for group in self._groups("vectors", documents):
            with writing:
                if self._stop.is_set():
                    return
                self._add_missing(vectors, embedding, collection_id, group, present)
        with writing:
            if self._stop.is_set():
                return
            documents = self._catalog.documents(collection_id)
            needed = {vector_id for document in documents for vector_id in self._catalog.vector_ids(document.id)}
            vectors.delete(collection_id, sorted(set(vectors.ids(collection_id)) - needed))

    def _add_missing(
        self,
        vectors: VectorIndex,
        embedding: Embedding,
        collection_id: str,
        documents: Sequence[Document],
        present: set[str],
    ) -> None:
        """Add the vectors of the documents that are not `present`, and note them there."""
        missing: dict[str, tuple[Document, Chunk]] = {}
        for document in documents:
            ids, chunks = self._catalog.vector_ids(document.id), self._catalog.chunks_of(document.id)
            missing |= {i: (document, chunk) for i, chunk in zip(ids, chunks, strict=True) if i not in present}
        ids = list(missing)
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            found = vectors.copied(collection_id, batch)
            texts = {
                vector_id: contextual_text(document.title, chunk.heading, chunk.text)
                for vector_id in batch
                if vector_id not in found
                for document, chunk in (missing[vector_id],)
            }
            if texts:
                found |= zip(texts, embedding.embed_passages(list(texts.values())), strict=True)
            vectors.add(collection_id, list(found), list(found.values()))
        present |= missing.keys()

    def _groups(self, part: Part, documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
        """The documents, some at a time, noting how far one is."""
        done, total = 0, sum(document.chunks for document in documents)
        for start in range(0, len(documents), _DOCUMENTS):
            self.progress = RepairProgress(part, done, total)
            group = documents[start : start + _DOCUMENTS]
            yield group
            done += sum(document.chunks for document in group)
