"""The exchange of a storage folder's parts for those of a restored backup, which a process may die in the midst of.

What was restored is built in a folder within the storage folder, whose name says how far it is:

    restoring    being built: worth nothing if its process dies, and deleted by who opens the storage folder next
    restored     whole, the commit point: from here on it is finished, by whoever opens the storage folder next
    placing      all former parts lie in `replaced`; these take their places, and `replaced` is deleted before it is

Each step may be done again. So `replaced` alone is of an older program, which died. With its catalog there and no other
what was there before is put back. Else nobody knows what is in it: it is kept under another name, and that is told.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rag.settings import StorageSettings
from rag.storage.database import CATALOG_NAME
from rag.storage.ids import new_id
from rag.storage.lock import StorageLock

logger = logging.getLogger(__name__)

_RESTORING, _RESTORED, _PLACING, _REPLACED = "restoring", "restored", "placing", "replaced"
# The catalog comes last: without it the folder counts as empty, and nothing is done with what is there.
_PARTS = ("vectors", "words", "files", CATALOG_NAME)


@contextmanager
def owned(storage: StorageSettings, *, exclusive: bool = False) -> Iterator[None]:
    """The storage folder, owned while the block lasts (exclusively, or as the settings have it), after an exchange in
    which a process died is finished. Raises StorageLocked, StorageUnwritable, and ConfigurationError where the folder
    cannot be used."""
    shared = storage.is_shared and not exclusive
    if shared:
        finish_interrupted(storage)
    with StorageLock(storage.dir, shared=shared):
        if not shared:
            _finish(storage, is_late=True)
        yield


@contextmanager
def restoring(storage: StorageSettings) -> Iterator[Path]:
    """A folder to build the new parts in; they take their places at the end of the block, and if it raises nothing has
    changed. To be called by who owns the storage folder exclusively."""
    folder = storage.dir / _RESTORING
    folder.mkdir()
    try:
        yield folder
        folder.rename(storage.dir / _RESTORED)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _finish(storage)


def is_unfinished(storage: StorageSettings) -> bool:
    """Whether an exchange of parts was interrupted, or is going on; takes nothing."""
    return any((storage.dir / name).exists() for name in (_RESTORED, _PLACING, _REPLACED))


def finish_interrupted(storage: StorageSettings) -> None:
    """Finish an exchange in which a process died, as the only one in the folder. Raises like `owned`, also where
    another process is at it: a catalog that is opened meanwhile would be one too many."""
    if is_unfinished(storage):
        with owned(storage, exclusive=True):
            pass


def _finish(storage: StorageSettings, *, is_late: bool = False) -> None:
    """Put in place what was restored whole, or put back what was taken away for nothing. `is_late`: it was interrupted,
    which is told."""
    folder = storage.dir
    shutil.rmtree(folder / _RESTORING, ignore_errors=True)
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
        shutil.rmtree(replaced, ignore_errors=True)
        shutil.rmtree(placing)
    elif replaced.exists():
        _clear_replaced(folder, replaced)


def _clear_replaced(folder: Path, replaced: Path) -> None:
    if _has_catalog(replaced) and not _has_catalog(folder):
        logger.warning("A restore was interrupted before its end; what was there before is put back.")
        for part in _PARTS[:-1]:
            if (replaced / part).exists():
                shutil.rmtree(folder / part, ignore_errors=True)
        _move([replaced / part for part in _PARTS[:-1]], folder)
        _move(sorted(replaced.glob(f"{CATALOG_NAME}*"), reverse=True), folder)  # its log first
    if any(replaced.iterdir()):
        kept = replaced.rename(folder / new_id(_REPLACED))
        logger.warning("A restore was interrupted; what it took away is kept in %s: delete it if all is there.", kept)
    else:
        replaced.rmdir()


def _put_into_postgres(storage: StorageSettings, restored: Path) -> None:
    """Exchange the rows, where the catalog is in PostgreSQL."""
    url = storage.database_url.get_secret_value()
    if url and _has_catalog(restored):
        from rag.storage.postgres import PostgresDatabase

        with closing(PostgresDatabase(url)) as database:
            database.copy_from(restored / CATALOG_NAME)
        (restored / CATALOG_NAME).unlink()


def _has_catalog(folder: Path) -> bool:
    return (folder / CATALOG_NAME).exists()


def _move(parts: list[Path], target: Path) -> None:
    for part in parts:
        if part.exists():
            part.rename(target / part.name)
