"""Notices changes in folders, so that an ingest can follow them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Self

from ingest.discovery import is_ignored
from ingest.loaders import SUPPORTED_SUFFIXES, suffix_of
from rag.errors import RagError
from rag.operations.backend import IngestService
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.database import Database
from rag.types.ingest import IngestOptions

logger = logging.getLogger(__name__)

_SETTLE_MS = 1_600  # changes that follow each other faster are one: an editor's save by rename, a copied folder
_LISTENING_MS = 1_000  # between two looks at whether to stop
_QUIET_MS = 400  # no change for so long: what was going on is over
_STAND_BY = 2.0  # seconds until a process asks again whether it is its turn
_PAUSE = 10.0  # seconds until a folder that could not be followed, perhaps not there, is tried again


def changes(
    paths: Sequence[Path], stop: threading.Event | None = None, suffixes: Collection[str] = SUPPORTED_SUFFIXES
) -> Iterator[None]:
    """Yields at the start, when it watches, and after every burst of changes to documents (of these suffixes) at or
    below `paths`, until `stop` is set (or Ctrl-C).

    It says only that something changed: the ingest that follows compares files with what is known, so nothing is lost
    when the system drops a notice among many, and a save by rename is one change.
    """
    from watchfiles import watch

    is_watching = False
    for seen in watch(
        *{path if path.is_dir() else path.parent for path in paths},
        watch_filter=lambda _, path: _is_document(Path(path), paths, suffixes),
        debounce=_SETTLE_MS,
        step=_QUIET_MS,
        stop_event=stop,
        raise_interrupt=False,
        ignore_permission_denied=True,
        yield_on_timeout=True,
        rust_timeout=_LISTENING_MS,
    ):
        if seen or not is_watching:
            is_watching = True
            yield


class FolderWatcher:
    """Keeps documents as the files in some folders are, in a thread, until the `with` block ends. Of several processes
    with one `database` one does so, and the others stand by."""

    def __init__(
        self, ingest: IngestService, paths: Sequence[Path], database: Database, collection: str = DEFAULT_COLLECTION
    ) -> None:
        self._ingest = ingest
        self._database = database
        self._paths = paths
        self._folders = ", ".join(map(str, paths))
        self._collection = collection
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)

    def __enter__(self) -> Self:
        if self._paths:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._paths:
            self._thread.join()

    def _follow(self) -> None:
        last_error = ""
        while not self._stop.is_set():
            try:
                with self._database.exclusive("watch", wait=False) as is_ours:
                    for _ in changes(self._paths, self._stop, self._ingest.suffixes) if is_ours() else ():
                        if not is_ours():
                            break
                        last_error = ""
                        self._take_in()
                self._stop.wait(_STAND_BY)
            except Exception as error:
                if last_error != str(error):  # a disk may be away for days
                    last_error = str(error)
                    trace = None if isinstance(error, RagError | OSError) else error
                    logger.warning("Following %s failed (%s); trying again.", self._folders, last_error, exc_info=trace)
                self._stop.wait(_PAUSE)

    def _take_in(self) -> None:
        for progress in self._ingest.add_paths(self._paths, self._collection, IngestOptions(prune=True)):
            if self._stop.is_set():
                break
            report = progress.report
            if report and report.outcome != "unchanged":
                logger.info("%s %s %s", report.outcome, report.source, report.error)


def _is_document(path: Path, roots: Sequence[Path], suffixes: Collection[str]) -> bool:
    """Whether a change of `path` may concern a document; of a folder that is gone only its name is left to judge by."""
    below = next((path.relative_to(root.absolute()) for root in roots if path.is_relative_to(root.absolute())), path)
    could_be = suffix_of(path.name) in suffixes or not path.is_file()
    return could_be and not any(is_ignored(part) for part in below.parts if part != os.sep)
