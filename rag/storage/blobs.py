"""The uploaded files themselves, in the storage folder, each under the hash of its bytes."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rag.storage.ids import new_id
from rag.storage.unwritable import unwritable

_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A file that was written down and does not stay yet; `size` in bytes."""

    path: Path
    sha256: str
    size: int


class StoredFiles:
    """The folder of uploaded files in a storage folder."""

    def __init__(self, storage: Path) -> None:
        self._folder = (storage / "files").absolute()

    @contextmanager
    def received(self, file: BinaryIO) -> Iterator[Received]:
        """A file written down, read once, for as long as the block lasts; `keep` makes it stay. Raises
        StorageUnwritable."""
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / new_id("partial")
        sha256, size = hashlib.sha256(), 0
        try:
            with self._writing(), partial.open("wb") as copy:
                while block := file.read(_BLOCK):
                    sha256.update(block)
                    size += copy.write(block)
            yield Received(partial, sha256.hexdigest(), size)
        finally:
            partial.unlink(missing_ok=True)

    def keep(self, received: Received) -> None:
        """Put a received file under its hash, at once and whole. Raises StorageUnwritable."""
        stored = self.path_of(received.sha256)
        with self._writing():
            stored.parent.mkdir(exist_ok=True)
            received.path.replace(stored)

    def put(self, file: BinaryIO, sha256: str) -> Path:
        """Write a file, whose hash the caller knows, here; its path. A crash leaves the whole file or none.
        Raises StorageUnwritable."""
        stored = self.path_of(sha256)
        if not stored.exists():
            with self._writing():
                stored.parent.mkdir(parents=True, exist_ok=True)
                partial = self._folder / new_id("partial")
                with partial.open("wb") as copy:
                    shutil.copyfileobj(file, copy, _BLOCK)
                partial.replace(stored)
        return stored

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The cause of what fails here is told: that of a write does not name its file."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(self._folder)
            if failure := unwritable(error, self._folder.parent):
                raise failure from error
            raise

    def path_of(self, sha256: str) -> Path:
        """Where the file with that hash is, or would be."""
        return self._folder / sha256[:2] / sha256

    def delete(self, path: Path) -> int:
        """Delete a stored file, never one of the user's own folders; the bytes freed."""
        if not path.is_relative_to(self._folder) or not path.is_file():
            return 0
        size = path.stat().st_size
        path.unlink()
        return size

    def sweep(self, needed: Collection[Path], younger: float = 0.0) -> None:
        """Delete what no document and no job needs: left by an upload that a crash interrupted. What is younger than so
        many seconds may be another process's upload, and stays."""
        for path in [*self._folder.glob("*/*"), *self._folder.glob("partial_*")]:
            if path not in needed and (not younger or _age(path) >= younger):
                self.delete(path)


def _age(path: Path) -> float:
    """Seconds since the file was written; none if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
