"""A process's own index of words, where several share a catalog: it follows what the catalog says.

It lies in a folder of its own that goes with the process, and is filled at the start. Before every look into it one
small query tells whether the catalog has changed since; then what is new is added and what is gone is taken out, so
that a process finds what another one has written.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rag.catalog import Catalog, VersionedChunks
from rag.lexical import LexicalEntry, LexicalIndex

_LIVE = "SELECT id, version, collection_id FROM documents WHERE version > 0"


class OwnWords:
    """The words of all live chunks of a catalog. What others do for a LexicalIndex it does itself."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._folder = tempfile.TemporaryDirectory(prefix="footnote-words-", ignore_cleanup_errors=True)
        self._index = LexicalIndex(Path(self._folder.name))
        self._following = threading.Lock()
        self._revision = -1
        self._indexed: frozenset[VersionedChunks] = frozenset()

    def close(self) -> None:
        """Delete the index."""
        self._index.close()
        self._folder.cleanup()

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """They come with the next look into the index."""

    def replace_all(self, entries: Iterable[LexicalEntry]) -> None:
        """There is nothing else in it."""

    def remove(self, versions: Iterable[str]) -> None:
        """They go with the next look into the index."""

    def count(self) -> int:
        """How many chunks are indexed."""
        self._follow()
        return self._index.count()

    def search(
        self,
        question: str,
        collection_ids: Sequence[str] | None,
        limit: int,
        versions: Sequence[str] | None = None,
        pages: tuple[int, int] | None = None,
    ) -> list[tuple[str, float]]:
        """See LexicalIndex."""
        self._follow()
        return self._index.search(question, collection_ids, limit, versions, pages)

    def term_weights(self, question: str) -> dict[str, float]:
        """See LexicalIndex."""
        self._follow()
        return self._index.term_weights(question)

    def _follow(self) -> None:
        if self._catalog.revision == self._revision:
            return
        with self._following:
            revision = self._catalog.revision  # before the versions: what comes in between is seen next time
            if revision == self._revision:
                return
            live = frozenset(VersionedChunks(*row) for row in self._catalog.database.read(_LIVE))
            before, self._indexed = self._indexed, frozenset()  # what fails leaves nobody knows what
            added = list[VersionedChunks]()
            if before:
                if gone := before - live:
                    self._index.remove([version.name for version in gone])
                self._index.add(self._entries(live - before, added))
            else:
                self._index.replace_all(self._entries(live, added))
            self._indexed = (before & live) | frozenset(added)
            self._revision = revision

    def _entries(self, versions: Iterable[VersionedChunks], added: list[VersionedChunks]) -> Iterator[LexicalEntry]:
        """What is to be indexed of the versions; those that are live still are added to the list."""
        for version in sorted(versions, key=lambda version: version.name):
            document = self._catalog.find_document(version.document_id)
            chunks = list(self._catalog.chunks_of(version.document_id))
            if document is None or any(chunk.id.rpartition(":")[0] != version.name for chunk in chunks):
                continue  # replaced meanwhile: the revision has grown
            added.append(version)
            for chunk in chunks:
                yield LexicalEntry(
                    chunk.id, version.collection_id, document.title, chunk.heading, chunk.text, chunk.page_index
                )
