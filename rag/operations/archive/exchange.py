"""The exchange of a storage folder's parts for those of a restored backup, which a process may die in the midst of.

What was restored is built in a folder within the storage folder, whose name says how far it is:

    restoring    being built: worth nothing if its process dies
    restored     whole, the commit point: from here on it is finished, by whoever opens the storage folder next
    placing      all former parts lie in `replaced`; these take their places

Each step may be done again, and the last one deletes `replaced`. A folder in which an older program died has `replaced`
alone: with its catalog there and no other, what was there before is put back.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rag.errors import StorageLocked
from rag.settings import StorageSettings
from rag.storage.connect import open_postgres
from rag.storage.database import CATALOG_NAME
from rag.storage.lock import StorageLock

logger = logging.getLogger(__name__)

_RESTORING, _RESTORED, _PLACING, _REPLACED = "restoring", "restored", "placing", "replaced"
# The catalog comes last: without it the folder counts as empty, and nothing is done with what is there.
_PARTS = ("vectors", "words", "files", CATALOG_NAME)


@contextmanager
def restoring(storage: StorageSettings) -> Iterator[Path]:
    """A folder to build the new parts in; they take their places at the end of the block, and if it raises nothing has
    changed. To be called by who owns the storage folder."""
    folder = storage.dir / _RESTORING
    shutil.rmtree(folder, ignore_errors=True)  # of a restore that was interrupted
    folder.mkdir()
    try:
        yield folder
        folder.rename(storage.dir / _RESTORED)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    finish_exchange(storage)


def is_unfinished(storage: StorageSettings) -> bool:
    """Whether an exchange of parts was interrupted; takes nothing."""
    return any((storage.dir / name).exists() for name in (_RESTORED, _PLACING, _REPLACED))


def finish_interrupted(storage: StorageSettings) -> None:
    """Finish an exchange in which a process died; nothing where none did, or where another process owns the folder."""
    if is_unfinished(storage):
        try:
            with StorageLock(storage.dir, shared=storage.is_shared):
                finish_exchange(storage, is_late=True)
        except StorageLocked:
            return


def finish_exchange(storage: StorageSettings, *, is_late: bool = False) -> None:
    """Put in place what was restored whole, or put back what was taken away for nothing; to be called by who owns the
    storage folder. `is_late`: it was interrupted, which is told."""
    folder = storage.dir
    restored, placing, replaced = folder / _RESTORED, folder / _PLACING, folder / _REPLACED
    if restored.exists():
        if is_late:
            logger.warning("A restore was interrupted when it was nearly done; it is finished now.")
        _put_into_postgres(storage, restored)
        replaced.mkdir(exist_ok=True)
        _move([*folder.glob(f"{CATALOG_NAME}*"), *(folder / part for part in _PARTS[:-1])], replaced)
        restored.rename(placing)
    if placing.exists():
        _move([placing / part for part in _PARTS], folder)
        shutil.rmtree(placing)
    elif _has_catalog(replaced) and not _has_catalog(folder):
        logger.warning("A restore was interrupted before its end; what was there before is put back.")
        for part in _PARTS[:-1]:
            if (replaced / part).exists():
                shutil.rmtree(folder / part, ignore_errors=True)
        _move([replaced / part for part in _PARTS[:-1]], folder)
        _move(sorted(replaced.glob(f"{CATALOG_NAME}*"), reverse=True), folder)  # its log first
    shutil.rmtree(replaced, ignore_errors=True)


def _put_into_postgres(storage: StorageSettings, restored: Path) -> None:
    """Exchange the rows, where the catalog is in PostgreSQL."""
    if _has_catalog(restored) and (database := open_postgres(storage)) is not None:
        with closing(database):
            database.copy_from(restored / CATALOG_NAME)
        (restored / CATALOG_NAME).unlink()


def _has_catalog(folder: Path) -> bool:
    return (folder / CATALOG_NAME).exists()


def _move(parts: list[Path], target: Path) -> None:
    for part in parts:
        if part.exists():
            part.rename(target / part.name)
