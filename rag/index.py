"""Catalog, vectors and words as one thing that is never half-written.

A document is replaced in three steps: (a) the new version's vectors and words are added, (b) one catalog transaction
makes it the live version — the commit point —, (c) the old version's vectors and words are removed. The catalog notes
beforehand what each step leaves behind if the process dies, and `sweep` cleans that up at the next start. Until (b) the
old version answers, from (b) on the new one: hits that are not live in the catalog are never shown.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rag.catalog import Catalog, StoredChunk, VersionedChunks
from rag.errors import IndexMismatch
from rag.lexical import LexicalEntry, LexicalIndex
from rag.types import Chunk, Document, Embedding, Page, Scope
from rag.vectors import DIRECT_COMPARISON, VectorIndex

if TYPE_CHECKING:
    from rag.types import Vector

logger = logging.getLogger(__name__)

_WIDENING = 20  # a wide scope of documents is searched by asking for so many times more and dropping the rest
_WIDEST = 2_000
_REPAIR_BATCH = 256

_AnyIndex = TypeVar("_AnyIndex", VectorIndex, LexicalIndex)


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """A whole new version of a document; `vectors` has shape (len(chunks), dimension)."""

    document: Document
    pages: Sequence[Page]
    chunks: Sequence[Chunk]
    vectors: Vector


def contextual_text(title: str, heading: str, body: str) -> str:
    """What is embedded of a chunk: its body under the document's title and the heading path, which a reader would see
    on the page; what is quoted is the body alone."""
    return "\n".join(part for part in (title, heading, body) if part)


class Index:
    """The open index of a storage folder. Reading is safe from any thread; writes go one at a time."""

    def __init__(self, storage: Path, embedding: Embedding) -> None:
        """Open, sweep and, where an index does not hold what the catalog says, repair. Raises IndexMismatch when the
        vectors were made by another embedding model."""
        self.catalog = Catalog(storage / "catalog.sqlite3")
        self._embedding = embedding
        self._writing = threading.Lock()
        try:
            self._check_embedding()
            self._vectors = _opened(lambda folder: VectorIndex(folder, embedding.fingerprint), storage / "vectors")
            self._words = _opened(LexicalIndex, storage / "words")
        except BaseException:
            self.catalog.close()
            raise
        self.sweep()
        self._repair()

    def close(self) -> None:
        """Release the files."""
        with self._writing:
            self._words.close()
            self._vectors.close()
            self.catalog.close()

    # --------------------------------------------------------------------------------------------------- writing

    def replace_documents(self, versions: Sequence[DocumentVersion]) -> None:
        """Make these the live versions of their documents; several at once cost little more than one."""
        with self._writing:
            self._remove_unfinished()  # of a write that failed: this one may use the same ids
            coming = [
                VersionedChunks(d.id, d.version, self.catalog.collection(d.collection).id, d.chunks)
                for d in (version.document for version in versions)
            ]
            self.catalog.begin(coming)
            for version, place in zip(versions, coming, strict=True):
                self._vectors.add(place.collection_id, place.ids, version.vectors)
            self._words.add(
                entry
                for version, place in zip(versions, coming, strict=True)
                for entry in _entries(version.document.title, place.collection_id, version.chunks)
            )
            for version in versions:
                self.catalog.commit_document(version.document, version.pages, version.chunks)
            self._remove_unfinished()

    def remove_document(self, document_id: str) -> None:
        """Forget a document: text, vectors, words. Raises NotFound."""
        with self._writing:
            self.catalog.remove_document(document_id)
            self._remove_unfinished()

    def sweep(self) -> None:
        """Remove what an interrupted write left in vectors and words."""
        with self._writing:
            self._remove_unfinished()

    def _remove_unfinished(self) -> None:
        leftovers = self.catalog.unfinished()
        if leftovers:
            for left in leftovers:
                self._vectors.remove(left.collection_id, left.ids)
            self._words.remove([left.name for left in leftovers])
            self.catalog.finish(leftovers)

    # --------------------------------------------------------------------------------------------------- reading

    def search_dense(self, query: Vector, scope: Scope, limit: int) -> list[tuple[str, float]]:
        """Chunk ids nearest to the query vector with cosine similarity, best first."""
        found: list[tuple[str, float]] = []
        ids = None if scope.document_ids is None else self._chunk_ids(scope.document_ids)
        for collection_id in scope.collection_ids:
            if ids is None:
                found += self._vectors.search(collection_id, query, limit)
            elif len(ids) <= DIRECT_COMPARISON:
                found += self._vectors.compare(collection_id, query, ids, limit)
            else:
                wanted = set(ids)
                wide = self._vectors.search(collection_id, query, min(limit * _WIDENING, _WIDEST))
                found += [hit for hit in wide if hit[0] in wanted]
        return sorted(found, key=lambda hit: -hit[1])[:limit]

    def search_lexical(self, question: str, scope: Scope, limit: int) -> list[tuple[str, float]]:
        """Chunk ids with the question's words and their BM25 scores, best first."""
        versions = None
        if scope.document_ids is not None:
            versions = [
                version.name
                for version in self.catalog.live_versions(sorted(scope.document_ids))
                if version.collection_id in scope.collection_ids
            ]
        return self._words.search(question, scope.collection_ids, limit, versions)

    def term_weights(self, question: str) -> dict[str, float]:
        """The question's words with how much each tells: rare ones much, common ones little."""
        return self._words.term_weights(question)

    def live_chunks(self, ids: Sequence[str], scope: Scope) -> dict[str, StoredChunk]:
        """The chunks that exist and lie inside the scope, by id. The last word on what may be shown."""
        return {
            chunk_id: stored
            for chunk_id, stored in self.catalog.chunks(ids).items()
            if stored.collection_id in scope.collection_ids
            and (scope.document_ids is None or stored.chunk.document_id in scope.document_ids)
        }

    def _chunk_ids(self, document_ids: Iterable[str]) -> list[str]:
        return [chunk_id for version in self.catalog.live_versions(document_ids) for chunk_id in version.ids]

    # -------------------------------------------------------------------------------------------------- integrity

    def _check_embedding(self) -> None:
        present = {"model": self._embedding.name, "fingerprint": self._embedding.fingerprint}
        stored = json.loads(self.catalog.property("embedding") or "null")
        if stored is None or (stored != present and not self.catalog.documents()):
            self.catalog.set_property("embedding", json.dumps(present))
        elif stored["fingerprint"] != present["fingerprint"]:
            raise IndexMismatch(
                f"This index was built with the embedding model {stored['model']} (or other prefixes for it); "
                f"the settings name {present['model']}.",
                hint=f"Either set RAG_EMBEDDING__MODEL={stored['model']} as it was, or choose an empty folder with "
                "RAG_STORAGE__DIR and ingest the documents again.",
            )

    def _repair(self) -> None:
        """Bring vectors and words back to what the catalog says, if one of them was lost or damaged.

        Both are compared by number alone, which costs nothing; only a difference makes us look at every id.
        """
        documents = self.catalog.documents()
        if self._words.count() != sum(document.chunks for document in documents):
            logger.warning("The word index does not match the catalog; filling it again.")
            self._words.clear()
            collections = {collection.name: collection.id for collection in self.catalog.collections()}
            for document in documents:
                chunks = self.catalog.chunks_of(document.id)
                self._words.add(_entries(document.title, collections[document.collection], chunks))
        for collection in self.catalog.collections():
            members = [document for document in documents if document.collection == collection.name]
            if self._vectors.count(collection.id) != sum(document.chunks for document in members):
                logger.warning("The vectors of %r do not match the catalog; mending them.", collection.name)
                self._repair_vectors(collection.id, members)

    def _repair_vectors(self, collection_id: str, documents: Sequence[Document]) -> None:
        strangers = set(self._vectors.ids(collection_id))
        for document in documents:
            chunks = list(self.catalog.chunks_of(document.id))
            missing = [chunk for chunk in chunks if chunk.id not in strangers]
            strangers.difference_update(chunk.id for chunk in chunks)
            for start in range(0, len(missing), _REPAIR_BATCH):
                batch = missing[start : start + _REPAIR_BATCH]
                texts = [contextual_text(document.title, chunk.heading, chunk.text) for chunk in batch]
                vectors = self._embedding.embed_passages(texts)
                self._vectors.add(collection_id, [chunk.id for chunk in batch], vectors)
        self._vectors.remove(collection_id, sorted(strangers))


def _opened(open_index: Callable[[Path], _AnyIndex], folder: Path) -> _AnyIndex:
    """The index in `folder`; a damaged one is put aside, and an empty one opened for `_repair` to fill."""
    try:
        return open_index(folder)
    except OSError:  # the disk or the rights, not the index
        raise
    except Exception:
        aside = folder.with_name(f"{folder.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        logger.exception("The index in %s is damaged. It is put aside as %s and made again.", folder, aside.name)
        folder.rename(aside)
        return open_index(folder)


def _entries(title: str, collection_id: str, chunks: Iterable[Chunk]) -> list[LexicalEntry]:
    return [LexicalEntry(chunk.id, collection_id, title, chunk.heading, chunk.text) for chunk in chunks]
