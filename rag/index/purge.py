"""Purging: what was deleted from the index leaves the disk, too.

A deletion takes the time that its documents need, whatever else there is; after it their words are still in tantivy's
files, and their text may be in SQLite's. To get them out, what stands beside them must be written anew. That is done
once for all deletions of a moment, by a thread of its own, while everybody searches and writes. The catalog notes
before a deletion is committed that it is to be done: if the process ends first, the next one does it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from rag.errors import RagError
from rag.index.lexical import LexicalWriter, live_entries
from rag.index.segments import segments_with_deleted, unlisted_segments
from rag.storage.catalog import Catalog

logger = logging.getLogger(__name__)

_NOTE = "purge"  # the catalog's property: the ids of deleted documents, in JSON
_QUIET = 1.0  # seconds without another deletion before a purge begins
_LONGEST_DELAY = 5.0  # seconds that further deletions put it off
_RETRY = 10.0  # seconds after a purge that failed
_AT_CLOSE = 5.0  # seconds that closing waits for a purge
_COMMIT = 10_000  # chunks rewritten before they are committed: many small segments would all be merged again
_PACE = 0.00015  # seconds for a chunk, in which it is indexed: a commit waits for that, and others for the commit
_MERGE = 0.2  # seconds between two looks at files that a merge or a search still needs


def purge_words(
    writer: LexicalWriter, document_ids: Collection[str], rewrite: Callable[[str], int], stop: threading.Event
) -> bool:
    """Get the words of deleted documents out of the files of an index; False when `stop` was set before that was done.
    What was done until then is not done again.

    `rewrite` is given versions (`{document}:{version}`) that stand beside deleted ones; it calls
    `LexicalWriter.rewrite` for each, and says how many chunks it has."""
    path = writer.index.path
    passing = unlisted_segments(path)  # a merge that began before the deletion brings its words along
    segments = segments_with_deleted(path, document_ids)
    while True:
        rewritten = 0
        for version in sorted({version for versions in segments.values() for version in versions}):
            chunks = rewrite(version)
            if stop.wait(chunks * _PACE):
                break
            rewritten += chunks
            if rewritten >= _COMMIT:
                writer.commit()
                rewritten = 0
        writer.commit()
        passing = (passing | segments.keys()) & unlisted_segments(path)
        segments = segments_with_deleted(path, document_ids)
        if not passing and not segments:
            return True
        if stop.wait(_MERGE):
            return False


class Purger:
    """Purges words and catalog of a storage folder. `writing` keeps everybody else from writing while it is held;
    `sweep` deletes what deletions that failed half-way have left in the indexes."""

    def __init__(
        self,
        catalog: Catalog,
        writer: LexicalWriter,
        writing: AbstractContextManager[None],
        sweep: Callable[[], object],
    ) -> None:
        self._catalog = catalog
        self._writer = writer
        self._writing = writing
        self._sweep = sweep
        self._requests = threading.Condition()
        self._is_requested = False
        self._is_closing = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if self.is_pending():  # by a process that ended before it was done
            self.request()

    def note(self, document_ids: Collection[str]) -> None:
        """Note documents that are about to be deleted; to be called by who may write."""
        self._catalog.set_property(_NOTE, json.dumps([*self._noted(), *document_ids]))

    def is_pending(self) -> bool:
        """Whether there is anything deleted that may still be on the disk."""
        return bool(self._noted())

    def request(self) -> None:
        """Purge what was noted, soon."""
        with self._requests:
            self._is_requested = True
            self._requests.notify_all()
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._run, name="purge", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Finish what was requested, for some seconds; what is left is done after the next start."""
        with self._requests:
            self._is_closing = True
            self._requests.notify_all()
        if self._thread is not None:
            self._thread.join(_AT_CLOSE)
            self._stop.set()
            self._thread.join()

    def _noted(self) -> list[str]:
        return list(json.loads(self._catalog.property(_NOTE) or "[]"))

    def _run(self) -> None:
        while self._wait_for_request():
            try:
                self._purge()
            except Exception as error:
                message = "What was deleted is not gone from the disk yet, which is tried again: %s"
                logger.warning(message, error, exc_info=not isinstance(error, RagError))
                with self._requests:
                    self._requests.wait_for(lambda: self._is_closing, _RETRY)
                    self._is_requested = not self._is_closing

    def _wait_for_request(self) -> bool:
        """Wait for a request and then until no more come; False when there is none and the program ends."""
        with self._requests:
            self._requests.wait_for(lambda: self._is_requested or self._is_closing)
            latest = time.monotonic() + _LONGEST_DELAY
            while not self._is_closing and time.monotonic() < latest and self._requests.wait(_QUIET):
                pass
            is_requested, self._is_requested = self._is_requested, False
            return is_requested

    def _purge(self) -> None:
        with self._writing:
            self._sweep()
            document_ids = self._noted()
        self._catalog.database.shrink()
        if purge_words(self._writer, set(document_ids), self._rewrite, self._stop):
            with self._writing:  # more may have been noted meanwhile
                self._catalog.set_property(_NOTE, json.dumps(self._noted()[len(document_ids) :]))

    def _rewrite(self, version: str) -> int:
        with self._writing:
            entries = live_entries(self._catalog, version)
            self._writer.rewrite(version, entries)
        return len(entries)
