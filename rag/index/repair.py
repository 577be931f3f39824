"""Repair: indexes that were lost or damaged become what the catalog says.

They are compared with it by number alone, which costs nothing; only a difference makes us look at every id. What takes
longer than a moment is done by a thread, while the other index answers; what is damaged is put aside until then.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Literal, TypeVar

from rag.index.dense import VectorIndex
from rag.index.integrity import damage_of_vectors
from rag.index.lexical import LexicalWriter, lexical_entries
from rag.index.vector_copy import COPY_NAME, damage_of_copy, delete_copy
from rag.storage.catalog import Catalog
from rag.storage.unwritable import unwritable
from rag.text.analysis import ANALYSIS_VERSION, contextual_text
from rag.types.documents import Chunk, Collection, Document, Embedding

logger = logging.getLogger(__name__)

Part = Literal["vectors", "words"]

_BATCH = 256  # vectors: while Chroma takes more, no other thread gets on
_DOCUMENTS = 64  # between which others may write
_PATIENCE = 10.0  # seconds for which opening waits for a repair
_LOOK = 0.1  # seconds between two looks at how far it is
_AnyIndex = TypeVar("_AnyIndex", VectorIndex, LexicalWriter)


@dataclass(frozen=True, slots=True)
class RepairProgress:
    """How far a repair is: chunks of `total`."""

    part: Part
    done: int
    total: int


def open_or_set_aside(
    open_index: Callable[[Path], _AnyIndex], folder: Path, examine: Callable[[Path], str]
) -> _AnyIndex:
    """The index in `folder`; where `examine` finds damage, or it cannot be opened, it is put aside, and an empty one
    opened to be filled."""
    if problem := examine(folder):
        _set_aside(folder, problem)
    try:
        return open_index(folder)
    except (OSError, ImportError):  # the disk, the rights or the installation, not the index
        raise
    except Exception as error:
        if unwritable(error, folder):  # nor a full disk, told in other words
            raise
        _set_aside(folder, " ".join(str(error).split()) or repr(error))
        return open_index(folder)


def examine_vectors(folder: Path, *, deep: bool) -> str:
    """What is wrong with Chroma's files; `deep` looks at the copy, too, and deletes one that is damaged beside sound
    files, from which it is made again."""
    problem = damage_of_vectors(folder, deep=deep)
    if deep and not problem and (damage := damage_of_copy(folder)):
        logger.error("The copy of the vectors is damaged (%s), and is made again.", damage)
        delete_copy(folder)
    return problem


def _set_aside(folder: Path, problem: str) -> None:
    """Put a damaged index aside, but not the copy of its vectors, which has checksums."""
    aside = folder.with_name(f"{folder.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    message = "The %s in %s are damaged: %s. They are made again from the catalog; until then they are kept as %s."
    logger.error(message, folder.name, folder, problem, aside.name)
    folder.rename(aside)
    folder.mkdir()
    for file in aside.glob(f"{COPY_NAME}*"):
        file.rename(folder / file.name)


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
        self._repair: Future[None] | None = None

    def start(self, vectors: VectorIndex, embedding: Embedding) -> None:
        """Repair what does not fit; this returns when it is done, or goes on in a thread after some seconds. Raises
        what stands against it."""
        with self._writing:
            self.under_repair = self._misfits(vectors)
            is_copied = all(vectors.is_copied(collection.id) for collection in self._catalog.collections())
        if not self.under_repair and is_copied:
            self._delete_set_aside()
            return
        self._repair = self._thread.submit(self._run, vectors, embedding)
        with suppress(TimeoutError):
            self._repair.result(_PATIENCE)

    def follow(self) -> Iterator[RepairProgress]:
        """How far the repair is, until it is done. Raises what stands against it."""
        while self._repair is not None and not self._repair.done():
            if self.progress is not None:
                yield self.progress
            time.sleep(_LOOK)
        if self._repair is not None:
            self._repair.result()

    def close(self) -> None:
        """Stop; the next start goes on."""
        self._stop.set()
        self._thread.shutdown()

    def repair_now(self, vectors: VectorIndex, embedding: Embedding) -> None:
        """Repair what does not fit, while the caller holds `writing`."""
        if self._words is not None:
            self._repair_words(self._words)
        self._repair_vectors(vectors, embedding, nullcontext())

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
            if self._words is not None:
                with self._writing:
                    self._repair_words(self._words)
            self.under_repair -= {"words"}
            self._repair_vectors(vectors, embedding, self._writing)
            if self._stop.is_set():
                return
            self.under_repair = frozenset()
            self._delete_set_aside()
        except Exception as error:
            logger.error("The index is not whole, and its repair failed: %s `rag repair` tries it again.", error)  # noqa: TRY400
            raise
        finally:
            self.progress = None

    def _repair_words(self, words: LexicalWriter) -> None:
        """Fill the words again where they do not match the catalog, or are of another analysis; until that is done the
        old ones answer."""
        if self._words_fit(words):
            return
        if self._catalog.property("words") == ANALYSIS_VERSION:
            logger.warning("The word index does not match the catalog; filling it again.")
        documents = self._catalog.documents()
        collections = {collection.name: collection.id for collection in self._catalog.collections()}
        words.replace_all(
            entry
            for document in self._counted("words", documents)
            for entry in lexical_entries(
                document.title, collections[document.collection], self._catalog.chunks_of(document.id)
            )
        )
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
                if not self._stop.is_set():
                    vectors.complete_copy(collection.id)

    def _mend(
        self, vectors: VectorIndex, embedding: Embedding, collection_id: str, writing: AbstractContextManager[None]
    ) -> None:
        documents = self._catalog.documents(collection_id)
        present = set(vectors.ids(collection_id))
        counted = self._counted("vectors", documents)
        while group := list(islice(counted, _DOCUMENTS)):
            with writing:
                if self._stop.is_set():
                    return
                self._add_missing(vectors, embedding, collection_id, group, present)
        with writing:
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

    def _counted(self, part: Part, documents: Sequence[Document]) -> Iterator[Document]:
        """The documents, noting how far one is."""
        done, total = 0, sum(document.chunks for document in documents)
        for document in documents:
            self.progress = RepairProgress(part, done, total)
            yield document
            done += document.chunks

    def _delete_set_aside(self) -> None:
        for folder in chain(self._storage.glob("words.damaged-*"), self._storage.glob("vectors.damaged-*")):
            shutil.rmtree(folder, ignore_errors=True)
