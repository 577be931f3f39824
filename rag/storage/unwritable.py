"""A storage folder that cannot be written to: why that is, room that is kept for deleting, and a copy to read from."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rag.errors import StorageUnwritable, TooManyOpenFiles
from rag.storage.private import write_private

_FULL, _READ_ONLY, _FORBIDDEN = "the disk is full", "the file system is read-only", "permission denied"
_NUMBERS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    errno.EROFS: _READ_ONLY,
    **dict.fromkeys((errno.EACCES, errno.EPERM), _FORBIDDEN),
}
_OPEN_FILES = (errno.EMFILE, errno.ENFILE)
_SQLITE_WORDS = {
    "database or disk is full": _FULL,
    "readonly database": _FORBIDDEN,
    "unable to open database file": "",
    "disk I/O error": "",
}
_RUST_NUMBER = re.compile(r"\(os error (\d{1,4})\)|Os \{ code: (\d{1,4}),")  # as Chroma and tantivy write it
_HINTS = {
    _FULL: "Make room, or delete documents (`ingest rm`): some room is kept for that. Nothing that is stored is lost.",
    _READ_ONLY: "Searching works; to add or delete documents, mount it writable. Nothing that is stored is lost.",
    _FORBIDDEN: "Searching works where you may read; to write, run as the user it belongs to, or change its owner. "
    "Nothing that is stored is lost.",
}
_RESERVE = "reserve"  # a file in the storage folder
_RESERVED_BYTES = 8_000_000
_ROOM_FOR_RESERVE = 10 * _RESERVED_BYTES  # free bytes from which on it is kept
_NOT_COPIED = re.compile(rf"lock|owner\.json(\.new)?|{_RESERVE}(\.new)?|chat|replaced_.*|.*\.damaged-.*")


def unwritable(error: BaseException, folder: Path | None = None) -> StorageUnwritable | TooManyOpenFiles | None:
    """The error for what stands behind another one, if that is a storage folder that cannot be written to: an error of
    the operating system at a file in `folder`, or one of SQLite, Chroma or tantivy; or if nothing more can be opened.
    `folder` tells apart what SQLite does not."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, StorageUnwritable | TooManyOpenFiles):
            return seen
        if (seen.errno if isinstance(seen, OSError) else _number_in_words(seen)) in _OPEN_FILES:
            return TooManyOpenFiles(
                "Too many files are open: the machine lets this process have no more.",
                hint="Let it have more, as `ulimit -n 4096` does before it is started. Nothing that is stored is lost.",
            )
        name = _name_within(seen, folder) if isinstance(seen, OSError) and folder else ""
        cause = _cause_in_words(seen)
        if isinstance(seen, OSError) and folder and (name or _is_so(seen, folder)):
            cause = _NUMBERS.get(seen.errno or 0)
        if cause is not None and (cause := _looked_up(cause, folder) if folder else cause):
            place = name or folder or "The storage folder"
            return StorageUnwritable(f"{place} cannot be written to: {cause}.", hint=_HINTS[cause], cause=cause)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


def _name_within(error: OSError, folder: Path) -> str:
    """The file that the error is about, empty where that lies elsewhere, or is not named."""
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str)]
    return next((name for name in names if Path(name).resolve().is_relative_to(folder.resolve())), "")


def _is_so(error: OSError, folder: Path) -> bool:
    """Whether an error that names no file, as that of a write does not, is true of the folder at the moment."""
    return error.filename is None and _looked_up("", folder) == _NUMBERS.get(error.errno or 0)


def _cause_in_words(error: BaseException) -> str | None:
    if number := _number_in_words(error):
        return _NUMBERS.get(number)
    if _is_chroma(error) or isinstance(error, sqlite3.Error):
        return next((cause for known, cause in _SQLITE_WORDS.items() if known in str(error)), None)
    return None


def _number_in_words(error: BaseException) -> int | None:
    """The operating system's number of an error of Chroma's, or of tantivy's, which are ValueErrors."""
    number = _RUST_NUMBER.search(str(error)) if _is_chroma(error) or type(error) is ValueError else None
    return int(number[1] or number[2]) if number else None


def _is_chroma(error: BaseException) -> bool:
    return type(error).__module__.startswith("chromadb.")


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
    into it and is lost at the end. The databases, the vectors and what is in no folder are copied, the others, whose
    files never change, are links. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="footnote-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary) / "storage"
        copy.mkdir()
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if _NOT_COPIED.fullmatch(inside.parts[0]):
                continue
            if path.is_dir():
                (copy / inside).mkdir()
            elif inside.parts[0] in ("vectors", path.name):
                shutil.copyfile(path, copy / inside)
            elif path.name not in (".tantivy-writer.lock", ".tantivy-meta.lock"):
                (copy / inside).symlink_to(path.absolute())
        yield copy
