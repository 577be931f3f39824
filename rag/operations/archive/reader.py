"""Reading an archive, which may come from anywhere, damaged or made with intent.

Its seal is checked before anything is parsed, all of it before anything of it is believed, and no name in it is ever
used as a path.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Self

from pydantic import TypeAdapter, ValidationError

from rag.errors import UnreadableArchive
from rag.index.index import DocumentVersion
from rag.operations.archive.format import (
    BLOCK,
    CATALOG,
    DOCUMENT,
    DOCUMENTS,
    FORMAT,
    MANIFEST,
    MANIFEST_FORM,
    VECTORS,
    VERSION,
    ArchiveProgress,
    Manifest,
    hash_before_seal,
    vectors_header,
)

# what zipfile, numpy and our own checks raise for content that is not as it must be
_MALFORMED = (ValueError, LookupError, ArithmeticError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile)


class Archive:
    """An archive that is open for reading. Nothing of it may be used before `verify` has run to its end.

    Raises UnreadableArchive when it is none, not whole, or of another form."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise UnreadableArchive(
                f"{path} cannot be read: {error.strerror}.", hint="Give the path of a file that Footnote wrote."
            ) from error
        self._manifest: Manifest | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def manifest(self) -> Manifest:
        """The table of contents, once `verify` has come to it."""
        assert self._manifest is not None
        return self._manifest

    @property
    def is_backup(self) -> bool:
        """Whether all that was stored is in it, users and keys too."""
        return CATALOG in self.manifest.members

    # ------------------------------------------------------------------------------------------------------- checking

    def verify(self) -> Iterator[ArchiveProgress]:
        """Read and check all of it: the seal, the members' hashes, every document, every vector."""
        with self._refusing():
            total = 3 * self.path.stat().st_size
            done = 0
            for done in self._check_seal():
                yield ArchiveProgress("Checking", done, total)
            self._zip = zipfile.ZipFile(self._file)
            self._manifest = self._read_manifest()
            for size in chain(self._check_members(), self._check_contents()):
                done += size
                yield ArchiveProgress("Checking", done, total)
            yield ArchiveProgress("Checking", total, total)

    def _check_seal(self) -> Iterator[int]:
        """The bytes read so far. Without a seal that fits, nothing is parsed."""
        if not zipfile.is_zipfile(self._file):
            raise ValueError("it is no archive of Footnote, or its end is missing")
        digest = hashlib.sha256()
        yield from hash_before_seal(self._file, digest)
        if self._file.read() != digest.hexdigest().encode():
            raise ValueError("it is damaged, or no archive of Footnote: its checksum does not fit")

    def _read_manifest(self) -> Manifest:
        members = self._zip.infolist()
        sizes = {member.filename: member.file_size for member in members}
        if len(sizes) != len(members) or MANIFEST not in sizes:
            raise ValueError("its members are not those that it must have")
        if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members) or (
            sum(sizes.values()) > self.path.stat().st_size
        ):
            raise ValueError("its members are not stored as they are")
        with self._zip.open(MANIFEST) as file:
            content = file.read()
        self._check_form(TypeAdapter(dict[str, Any]).validate_json(content))
        manifest = MANIFEST_FORM.validate_json(content, strict=True)
        del sizes[MANIFEST]
        if sizes != {name: member.size for name, member in manifest.members.items()}:
            raise ValueError("its members are not those that its manifest names")
        return manifest

    def _check_form(self, head: dict[str, Any]) -> None:
        version, program = head.get("version"), head.get("footnote")
        if head.get("format") != FORMAT:
            raise ValueError("it is no archive of Footnote")
        if version != VERSION:
            is_newer = isinstance(version, int) and version > VERSION
            raise UnreadableArchive(
                f"{self.path} is a {FORMAT} of form {version}; this Footnote reads a {FORMAT} of form {VERSION}.",
                hint=f"Update Footnote: it was written by version {program}."
                if is_newer
                else f"Take it in with the Footnote that wrote it ({program}), and write a new one with this one.",
            )

    def _check_members(self) -> Iterator[int]:
        """The bytes of each step."""
        for name, member in self.manifest.members.items():
            digest = hashlib.sha256()
            with self._zip.open(name) as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
                    yield len(block)
            if digest.hexdigest() != member.sha256:
                raise ValueError(f"{name} is not what the manifest says")
            if name.startswith("files/") and name != f"files/{member.sha256}":
                raise ValueError(f"{name} is not named by its hash")

    def _check_contents(self) -> Iterator[int]:
        """The bytes of each document that was found to be well."""
        manifest = self.manifest
        files = manifest.file_members()
        names = {collection.name for collection in manifest.collections}
        folders = [f"collections/{number + 1}" for number in range(len(manifest.collections))]
        expected = {*files, *(f"{folder}/{name}" for folder in folders for name in (DOCUMENTS, VECTORS))}
        if len(names) != len(folders) or "" in names:
            raise ValueError("a collection is in it twice, or has no name")
        if manifest.members.keys() - {CATALOG} != expected or len(files) != manifest.files:
            raise ValueError("its members are not those of its collections")
        ids: set[str] = set()
        for number in range(len(folders)):
            sources: set[str] = set()
            for version in self.documents(number):
                document = version.document
                if document.id in ids or document.source in sources:
                    raise ValueError(f"{document.source} is in it twice")
                ids.add(document.id)
                sources.add(document.source)
                yield sum(len(chunk.text) for chunk in version.chunks)

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

    def documents(self, number: int) -> Iterator[DocumentVersion]:
        """The documents of the manifest's collection of that number (from 0), each with its vectors. Raises ValueError
        and what pydantic raises for one that is not as it must be."""
        import numpy as np

        collection, dimension = self.manifest.collections[number], self.manifest.embedding.dimension
        folder = f"collections/{number + 1}"
        documents = chunks = vectors = 0
        with self.open(f"{folder}/{DOCUMENTS}") as lines, self.open(f"{folder}/{VECTORS}") as data:
            header = vectors_header(collection.vectors, dimension)
            if dimension < 0 or data.read(len(header)) != header:
                raise ValueError(f"the vectors of {collection.name} are not of the form that the manifest says")
            for line in lines:
                archived = DOCUMENT.validate_json(line, strict=True)
                ids = list(dict.fromkeys(archived.vector_ids))  # in the order of their rows
                rows = np.frombuffer(data.read(len(ids) * dimension * 4), dtype="<f4").reshape(len(ids), dimension)
                archived.check(rows)
                by_id = dict(zip(ids, rows, strict=True))
                yield DocumentVersion(archived.document, archived.sections, archived.chunks, archived.vector_ids, by_id)
                documents, chunks, vectors = documents + 1, chunks + len(archived.chunks), vectors + len(ids)
            left = data.read(1)
        counts = collection.documents, collection.chunks, collection.vectors
        if left or counts != (documents, chunks, vectors):
            raise ValueError(f"the collection {collection.name} has not as much in it as the manifest says")

    def has_file(self, sha256: str) -> bool:
        """Whether the archive holds the bytes with that hash."""
        return f"files/{sha256}" in self.manifest.members

    def open(self, member: str) -> BinaryIO:
        """A member, to be read."""
        return self._zip.open(member)  # type: ignore[return-value]
