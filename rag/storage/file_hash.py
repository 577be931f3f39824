"""The hash of a file, and the state in which a file has it.

Between a file's hashing and its reading something else may take its place, or be written into it. Who reads looks
whether the state is still that of the hash; that spares hashing again what was read.
"""

from __future__ import annotations

import hashlib
import os
import time
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple

_TICK = 0.02  # seconds: two changes within one may leave a file with the same times


class FileState(NamedTuple):
    """A file as it is at the moment: whoever changes it, changes one of these."""

    device: int
    inode: int
    size: int  # bytes
    modified_ns: int
    changed_ns: int


def open_at_once(path: str | Path) -> BufferedReader:
    """The file for reading, without waiting if it is a pipe, to which nobody writes. Raises OSError."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def state_of(file: IO[bytes]) -> FileState:
    """The state of an open file."""
    found = os.fstat(file.fileno())
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def settled_state(file: IO[bytes]) -> FileState:
    """The state of an open file, once every further change would be another state: it waits 20 ms at most."""
    state = state_of(file)
    time.sleep(min(_TICK, max(0.0, _TICK - time.time() + state.changed_ns / 1e9)))
    return state


def hash_of(file: Path | IO[bytes]) -> str:
    """The SHA-256 of a file, in hexadecimal digits: of an open one, of what is left of it. Raises OSError."""
    if isinstance(file, Path):
        with file.open("rb") as content:
            return hash_of(content)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any IO[bytes] will do
