"""Keeps the storage folder to the account that owns it: other accounts of the machine can neither read nor enter it.

The folder itself, at 0700, is what shuts them out: nobody gets to a file beneath a folder that they may not pass
through, whatever the file's own mode is. So a folder of an older program needs one change, not one a file. What is
written from then on is private by itself, too, for copies that are made of it: see `make_files_private`.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO  # all that anybody but the owner may do
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


def make_files_private() -> None:
    """Let this process, and all that it starts, make files that nobody else may read. To be called once, where a
    program begins: it is the one place that Chroma, tantivy and SQLite heed, too."""
    os.umask(_OTHERS)


def make_private(folder: Path) -> None:
    """Make the storage folder if need be, and shut others out of it. Raises OSError where it cannot be made.

    A folder that we do not own (a volume that a group may write to), or that many use (`/tmp`), stays as it is."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    if not is_open_to_others(folder) or folder.stat().st_mode & stat.S_ISVTX:
        return
    try:
        folder.chmod(_PRIVATE_FOLDER)
    except OSError as error:
        logger.warning("Other accounts may read the storage folder %s: %s.", folder, error.strerror)


def is_open_to_others(path: Path) -> bool:
    """Whether other accounts may do anything with a file or folder; no if there is none."""
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except FileNotFoundError:
        return False


def write_private(path: Path, content: bytes) -> None:
    """Make a file that its owner alone may read, or replace what was there; a crash leaves the former one or the whole
    new one. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)  # of a crash
    try:
        with os.fdopen(
            os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE), "wb"
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write does not say where it was
        fresh.unlink(missing_ok=True)
        raise


def shared_secret(path: Path) -> str:
    """The secret in a file, made if need be; two at once must not ask. One that others could read is replaced: they may
    have. (Not where the file system knows no permissions, and the next one would be as open.)"""
    if is_open_to_others(path):
        path.chmod(_PRIVATE_FILE)
        if not is_open_to_others(path):
            path.unlink()
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48).encode())
    return path.read_text()
