"""Opens the files that documents were made of: nothing but the bytes that were ingested is given out again.

Somebody who may write to a folder of documents could put a link to a file that they may not read in the place of one
that was ingested. So a file is opened once, hashed through that one descriptor, and read through it afterwards: what is
at its path meanwhile does not matter. (Who writes into the very file after that is shown their own words.)
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from contextlib import ExitStack
from datetime import datetime
from io import BufferedReader
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from rag.errors import Conflict, NotFound
from rag.storage.file_hash import FileState, hash_of, open_at_once, settled_state, state_of

if TYPE_CHECKING:
    from rag.types.documents import Document

_KNOWN = 1000  # files whose hash is remembered


class SourceFiles:
    """Opens source files. A file that stays as it was is hashed once, though a browser asks for it part by part."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[FileState, str] = OrderedDict()

    def open(self, document: Document) -> BufferedReader:
        """The file of a document, as it was ingested; blocking, as long as it takes to hash it. Raises NotFound where
        it is gone, Conflict where it is another one now."""
        name = PurePath(document.source).name
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open_at_once(document.content))
            except OSError as error:
                raise NotFound(
                    f"{name} is no longer where it was ingested from.", hint="Put it back, or ingest its folder again."
                ) from error
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or self._hash(file) != document.sha256:
                raise _changed(name)
            stack.pop_all()
        return file

    def _hash(self, file: BufferedReader) -> str:
        state = settled_state(file)
        sha256 = self._hashes.get(state)
        if sha256 is None:
            sha256 = hash_of(file)
            file.seek(0)
            if state_of(file) == state:
                self._hashes[state] = sha256
                if len(self._hashes) > _KNOWN:
                    self._hashes.popitem(last=False)
        return sha256


def require_in_place(document: Document) -> None:
    """For a file that is to be read anew, whatever is in it now: raises Conflict where a link out of its folder has
    taken its place, or a link that of a folder on the way to it, since it was read."""
    content, read_at = document.content, datetime.fromisoformat(document.updated_at).timestamp()
    leaves = content.is_symlink() and not content.resolve().is_relative_to(content.parent.resolve())
    if leaves or any(_is_newer_link(folder, read_at) for folder in content.parents):
        raise _changed(PurePath(document.source).name)


def _is_newer_link(place: Path, time: float) -> bool:
    return place.is_symlink() and int(place.lstat().st_ctime) > time


def _changed(name: str) -> Conflict:
    return Conflict(f"{name} has changed since it was read.", hint="`ingest` it again.")
