"""Sealed files: they get their name when they are whole, end with a hash of all that stands before it, and may be zips.

One that is read may come from anywhere, damaged or made with intent. Its seal is checked before anything is parsed, all
of it before anything of it is believed, and no name in it is ever used as a path.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from rag.errors import Conflict, RagError, UnreadableArchive
from rag.operations.archive.format import BLOCK, MANIFEST, ArchiveProgress, Hashing, Member, hash_before_seal, is_sha256


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


# what zipfile, numpy and our own checks raise for content that is not as it must be
_MALFORMED = (ValueError, LookupError, ArithmeticError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile)


class _HasMembers(Protocol):
    @property
    def members(self) -> Mapping[str, Member]: ...


_Manifest = TypeVar("_Manifest", bound=_HasMembers)


class SealedZip(ABC, Generic[_Manifest]):
    """A sealed zip that is open for reading. Nothing of it may be used before `verify` has run to its end.

    Raises UnreadableArchive when it is none, not whole, or of another form."""

    _kind: ClassVar[str]  # in words
    _format: ClassVar[str]
    _version: ClassVar[int]
    _form: TypeAdapter[_Manifest]

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise UnreadableArchive(
                f"{path} cannot be read: {error.strerror}.", hint="Give the path of a file that Footnote wrote."
            ) from error
        self._manifest: _Manifest | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def manifest(self) -> _Manifest:
        """The table of contents, once `verify` has come to it."""
        assert self._manifest is not None
        return self._manifest

    # ------------------------------------------------------------------------------------------------------- checking

    def verify(self) -> Iterator[ArchiveProgress]:
        """Read and check all of it: the seal, the members' hashes, every document, every vector."""
        with self._refusing():
            total = 2 * self.path.stat().st_size
            done = 0
            for done in self._check_seal():
                yield ArchiveProgress("Checking", done, total)
            self._zip = zipfile.ZipFile(self._file)
            self._manifest = self._read_manifest()
            for size in self._check_contents():
                done += size
                yield ArchiveProgress("Checking", done, total)
            yield ArchiveProgress("Checking", total, total)

    def _check_seal(self) -> Iterator[int]:
        """The bytes read so far. Without a seal that fits, nothing is parsed."""
        if not zipfile.is_zipfile(self._file):
            raise ValueError(f"it is no {self._kind} of Footnote, or its end is missing")
        digest = hashlib.sha256()
        yield from hash_before_seal(self._file, digest)
        if self._file.read() != digest.hexdigest().encode():
            raise ValueError(f"it is damaged, or no {self._kind} of Footnote: its checksum does not fit")

    def _read_manifest(self) -> _Manifest:
        members = self._zip.infolist()
        sizes = {member.filename: member.file_size for member in members}
        if len(sizes) != len(members) or MANIFEST not in sizes:
            raise ValueError("its members are not those that it must have")
        if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members) or (
            sum(sizes.values()) > self.path.stat().st_size
        ):
            raise ValueError("its members are not stored as they are")
        with self._zip.open(MANIFEST) as file:
            written = file.read()
        head = TypeAdapter(dict[str, object]).validate_json(written)
        if head.get("format") != self._format:
            raise ValueError(f"it is no {self._kind} of Footnote")
        if head.get("version") != self._version:
            raise UnreadableArchive(
                f"{self.path} has the form {head.get('version')}; this Footnote reads form {self._version}.",
                hint=f"Update Footnote: it was written by version {head.get('footnote')}.",
            )
        manifest = self._form.validate_json(written, strict=True)
        del sizes[MANIFEST]
        if sizes != {name: member.size for name, member in manifest.members.items()}:
            raise ValueError("its members are not those that its manifest names")
        return manifest

    @abstractmethod
    def _check_contents(self) -> Iterator[int]:
        """The bytes of each part that was found to be well."""

    def _check_file(self, name: str) -> Iterator[int]:
        member = self.manifest.members[name]
        if name != f"files/{member.sha256}" or not is_sha256(member.sha256):
            raise ValueError(f"{name} is not named by its hash")
        with self._reading(name) as stream:
            for start in range(0, member.size, BLOCK):
                yield len(stream.read(min(BLOCK, member.size - start)))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Whatever goes wrong with the content of a file that anyone may have made is an UnreadableArchive."""
        try:
            yield
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise self._refusal(f"{place or 'a line'}: {first['msg']}") from error
        except _MALFORMED as error:
            raise self._refusal(str(error)) from error

    def _refusal(self, reason: str) -> UnreadableArchive:
        return UnreadableArchive(
            f"{self.path} is not taken in: {reason.rstrip('.')}.",
            hint="Nothing was changed. Copy it again, or take another one.",
        )

    # -------------------------------------------------------------------------------------------------------- reading

    def has_file(self, sha256: str) -> bool:
        """Whether the archive holds the bytes with that hash."""
        return f"files/{sha256}" in self.manifest.members

    @contextmanager
    def file(self, sha256: str) -> Iterator[BinaryIO]:
        """The bytes with that hash, to be read."""
        with self._zip.open(f"files/{sha256}") as file:
            yield file  # type: ignore[misc]

    @contextmanager
    def _reading(self, name: str) -> Iterator[Hashing]:
        """A member to be read to its end; raises ValueError when it is not what the manifest says."""
        if name not in self.manifest.members:
            raise ValueError(f"{name} is missing")
        with self._zip.open(name) as file:
            stream = Hashing(file)
            yield stream
            if stream.member != self.manifest.members[name]:
                raise ValueError(f"{name} is not what the manifest says")
