"""Files that get their name when they are whole, and end with the hash of all that stands before it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rag.archive_form import ArchiveProgress, hash_before_seal
from rag.errors import Conflict, RagError


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises Conflict where there is something that may not be written over."""
    if path.is_dir() or (path.exists() and not overwrite):
        raise Conflict(f"{path} exists.", hint="Choose another name, or give --force to write over a file.")


@contextmanager
def written_whole(path: Path, overwrite: bool, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file beside `path` that becomes `path` at the end of the block, and goes when the block raises.

    `mode` are its permissions, less what the user's mask takes away. Raises Conflict, and RagError when it cannot be
    written."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # one that was left may have other permissions
        with open(partial, "w+b", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                refuse_existing(path, overwrite)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RagError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose a place that you may write to and has room."
        ) from error


def seal(file: BinaryIO) -> Iterator[ArchiveProgress]:
    """Put the hash of all that is before it into the place that was kept for it."""
    digest = hashlib.sha256()
    size = file.seek(0, 2)
    for done in hash_before_seal(file, digest):
        yield ArchiveProgress("Sealing", done, size)
    file.write(digest.hexdigest().encode())
