"""A storage folder that cannot be written to: why that is, room that is kept for deleting, and a copy to read from."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rag.errors import StorageUnwritable
from rag.storage.private import write_private

_FULL, _READ_ONLY, _FORBIDDEN = "the disk is full", "the file system is read-only", "permission denied"
# By the numbers of the operating system, and by what SQLite, Chroma and tantivy write of it.
_NUMBERS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    errno.EROFS: _READ_ONLY,
    **dict.fromkeys((errno.EACCES, errno.EPERM), _FORBIDDEN),
}
_WORDS = {
    "database or disk is full": _FULL,
    "No space left on device": _FULL,
    "Disk quota exceeded": _FULL,
    "File too large": _FULL,
    "Read-only file system": _READ_ONLY,
    "Permission denied": _FORBIDDEN,
    "readonly database": _FORBIDDEN,
    "unable to open database file": "",
    "disk I/O error": "",
}
_HINTS = {
    _FULL: "Make room, or delete documents (`ingest rm`): some room is kept for that. Nothing that is stored is lost.",
    _READ_ONLY: "Searching works; to add or delete documents, mount it writable. Nothing that is stored is lost.",
    _FORBIDDEN: "Searching works where you may read; to write, run as the user it belongs to, or change its owner. "
    "Nothing that is stored is lost.",
}
_RESERVE = "reserve"  # a file in the storage folder
_RESERVED_BYTES = 8_000_000
_ROOM_FOR_RESERVE = 10 * _RESERVED_BYTES  # free bytes from which on it is kept
_NOT_COPIED = re.compile(rf"lock|owner\.json(\.new)?|{_RESERVE}(\.new)?|replaced_.*|.*\.damaged-.*")


def unwritable(error: BaseException, folder: Path | None = None) -> StorageUnwritable | None:
    """The error for what stands behind another one, if that is a storage folder that cannot be written to. `folder`
    tells apart what SQLite does not."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, StorageUnwritable):
            return seen
        cause = _NUMBERS.get(seen.errno or 0) if isinstance(seen, OSError) else None
        if cause is None:
            cause = next((cause for words, cause in _WORDS.items() if words in str(seen)), None)
        if cause is not None and (cause := _looked_up(cause, folder) if folder else cause):
            named = seen.filename if isinstance(seen, OSError) else None
            place = named if isinstance(named, str) else str(folder or "The storage folder")
            return StorageUnwritable(f"{place} cannot be written to: {cause}.", hint=_HINTS[cause], cause=cause)
        seen = seen.__cause__ or seen.__context__
    return None


def _looked_up(cause: str, folder: Path) -> str:
    """What SQLite does not tell apart; empty where the folder can be written to, so that it must be something else."""
    if cause in (_FULL, _READ_ONLY):
        return cause
    try:
        facts, may_write = os.statvfs(folder), os.access(folder, os.W_OK)
    except OSError:  # it is not there, or behind a closed door
        return cause
    if facts.f_flag & os.ST_RDONLY:
        return _READ_ONLY
    if facts.f_bavail == 0:
        return _FULL
    return cause or ("" if may_write else _FORBIDDEN)


def keep_reserve(folder: Path) -> None:
    """Keep some room for deleting when the disk is full, unless there is little already; what fails does not matter."""
    reserve = folder / _RESERVE
    with suppress(OSError):
        is_whole = reserve.exists() and reserve.stat().st_size == _RESERVED_BYTES
        if not is_whole and shutil.disk_usage(folder).free >= _ROOM_FOR_RESERVE:
            write_private(reserve, os.urandom(_RESERVED_BYTES))  # zeros take no room where the file system compresses


def release_reserve(folder: Path) -> bool:
    """Give the room that was kept back; whether there was any."""
    with suppress(OSError):
        (folder / _RESERVE).unlink()
        return True
    return False


@contextmanager
def readable_copy(folder: Path) -> Iterator[Path]:
    """A storage folder to read what is in `folder` from: what its databases and indexes write while they are read goes
    into it and is lost at the end. The databases and the vectors are copied, the others, whose files never change, are
    links. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="footnote-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary) / "storage"
        copy.mkdir()
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if _NOT_COPIED.fullmatch(inside.parts[0]):
                continue
            if path.is_dir():
                (copy / inside).mkdir()
            elif ".sqlite3" in path.name or inside.parts[0] == "vectors":
                shutil.copyfile(path, copy / inside)
            elif path.name not in (".tantivy-writer.lock", ".tantivy-meta.lock"):
                (copy / inside).symlink_to(path.absolute())
        yield copy
