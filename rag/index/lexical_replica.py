"""A process's own index of words, where several share a catalog: it follows what the catalog says.

It lies in a folder of its own that goes with the process. The first look into it fills it; from then on a thread takes
in what is new in the catalog, deletes what is gone and, while nothing else is to be done, purges it from the disk. A
look waits for the catalog's news for a moment, so that what another process has just written is found, and then makes
do with what is there.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from rag.errors import DatabaseUnavailable
from rag.index.lexical import LexicalIndex, LexicalWriter, live_entries
from rag.index.purge import purge_words
from rag.storage.catalog import Catalog, VersionedChunks

logger = logging.getLogger(__name__)

_LIVE = "SELECT id, version, collection_id FROM documents WHERE version > 0"
_PREFIX = "footnote-words-"
_PATIENCE = 0.5  # seconds for which a look waits for what is new
_LOOK = 1.0  # seconds between two looks at the catalog that nobody asked for
_REST = 4  # times as long as it took to follow a change, nothing is done
_TOGETHER = 256  # documents indexed at once


class LexicalReplica:
    """The words of all live chunks of a catalog, to read."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        _sweep(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = _locked(self._folder)
        self._index = LexicalIndex(self._folder / "words")
        self._writer = LexicalWriter(self._index)
        self._news = threading.Condition()
        self._wanted = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._revision = -1  # of the catalog, that is in the index
        self._indexed: set[VersionedChunks] = set()
        self._deleted: set[str] = set()  # documents whose words are to be purged

    def close(self) -> None:
        """Delete the index."""
        self._closing.set()  # before the lock, which whoever fills the index has
        with self._news:
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    @property
    def index(self) -> LexicalIndex:
        """The index, after a moment's wait for what is new in the catalog, and until all is there the first time."""
        revision = self._catalog.revision
        if self._revision == revision:
            return self._index
        with self._news:
            if self._thread is None and not self._closing.is_set():
                self._catch_up()
                self._thread = threading.Thread(target=self._run, name="words", daemon=True)
                self._thread.start()
            self._wanted = True
            self._news.notify_all()
            self._news.wait_for(lambda: self._revision >= revision or self._closing.is_set(), _PATIENCE)
        return self._index

    def _run(self) -> None:
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                if self._catalog.revision != self._revision:
                    self._catch_up()
                elif (deleted := frozenset(self._deleted)) and purge_words(  # while these are purged more may come
                    self._writer, deleted, self._rewrite, self._closing
                ):
                    self._deleted -= deleted
            except DatabaseUnavailable as error:
                logger.warning("The words stay as they are for now: %s", error.message)
            except Exception:  # what is there is there; it is tried again
                logger.exception("the words could not follow the catalog")
            rest = _REST * (time.monotonic() - began)
            with self._news:
                self._wanted = False
                self._news.notify_all()
                self._news.wait_for(self._closing.is_set, min(rest, _LOOK))
                self._news.wait_for(lambda: self._wanted or self._closing.is_set(), _LOOK)

    def _catch_up(self) -> None:
        """Delete what is gone and take in what is new; what fails is left for the next time."""
        revision = self._catalog.revision  # before the versions: what comes in between is seen next time
        live = {VersionedChunks(*row) for row in self._catalog.database.read(_LIVE)}
        if gone := self._indexed - live:
            self._writer.delete([version.name for version in gone])
            self._indexed -= gone
            self._deleted |= {version.document_id for version in gone} - {version.document_id for version in live}
        new = sorted(live - self._indexed, key=lambda version: version.name)
        for start in range(0, len(new), _TOGETHER):
            batch = new[start : start + _TOGETHER]
            entries = {version: live_entries(self._catalog, version.name) for version in batch}
            self._writer.add(itertools.chain.from_iterable(entries.values()))
            self._indexed |= {version for version, found in entries.items() if found}
            if self._closing.is_set():
                return
        self._revision = revision

    def _rewrite(self, version: str) -> int:
        """Move a version out of a segment that is being purged; what is new in the catalog need not wait."""
        entries = live_entries(self._catalog, version)
        self._writer.rewrite(version, entries)
        if self._catalog.revision != self._revision:
            self._catch_up()
            with self._news:
                self._news.notify_all()
        return len(entries)


def _locked(folder: Path) -> int:
    """A lock in the folder, which ends with this process; it has its name once it is taken."""
    taken = folder / "lock.new"
    descriptor = os.open(taken, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    taken.rename(folder / "lock")
    return descriptor


def _sweep(folder: Path) -> None:
    """Delete what processes of ours that were killed have left in a folder."""
    for left in folder.glob(f"{_PREFIX}*/lock"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.getuid():
                shutil.rmtree(left.parent, ignore_errors=True)
        except BlockingIOError:  # it lives
            pass
        finally:
            os.close(descriptor)
