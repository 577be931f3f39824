"""Reading an archive: all of it is checked before anything of it is believed.

It may come from anywhere, damaged or made with intent. Its seal is checked before anything is parsed, and no name in it
is ever used as a path.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from pydantic import TypeAdapter, ValidationError

from rag.archive_form import (
    BLOCK,
    DOCUMENT,
    FORMAT,
    MANIFEST,
    MANIFEST_FORM,
    VERSION,
    ArchivedCollection,
    ArchivedDocument,
    ArchiveProgress,
    Hashing,
    Manifest,
    check_document,
    check_vectors,
    hash_before_seal,
    is_sha256,
    vectors_header,
)
from rag.errors import UnreadableArchive

if TYPE_CHECKING:
    from rag.types import Vector

# what zipfile, numpy and our own checks raise for content that is not as it must be
_MALFORMED = (ValueError, LookupError, ArithmeticError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile)


class Archive:
    """An archive that is open for reading. Nothing of it may be used before `verify` has run to its end.

    Raises UnreadableArchive when it is not an archive, not whole, or of a newer form."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise UnreadableArchive(
                f"{path} cannot be read: {error.strerror}.", hint="Give the path of a file that `rag export` wrote."
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
            raise ValueError("it is no archive of Footnote, or its end is missing")
        digest = hashlib.sha256()
        yield from hash_before_seal(self._file, digest)
        if self._file.read() != digest.hexdigest().encode():
            raise ValueError("it is damaged, or no archive of Footnote: its checksum does not fit")

    def _read_manifest(self) -> Manifest:
        members = self._zip.infolist()
        sizes = {member.filename: member.file_size for member in members}
        if len(sizes) != len(members) or MANIFEST not in sizes:
            raise ValueError("its members are not those of an archive")
        if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members) or (
            sum(sizes.values()) > self.path.stat().st_size
        ):
            raise ValueError("its members are not stored as they are")
        with self._zip.open(MANIFEST) as file:
            written = file.read()
        head = TypeAdapter(dict[str, object]).validate_json(written)
        if head.get("format") != FORMAT:
            raise ValueError("it is no archive of Footnote")
        if head.get("version") != VERSION:
            raise UnreadableArchive(
                f"{self.path} has the form {head.get('version')}; this Footnote reads form {VERSION}.",
                hint=f"Update Footnote: the archive was written by version {head.get('footnote')}.",
            )
        manifest = MANIFEST_FORM.validate_json(written, strict=True)
        del sizes[MANIFEST]
        if sizes != {name: member.size for name, member in manifest.members.items()}:
            raise ValueError("its members are not those that its manifest names")
        return manifest

    def _check_contents(self) -> Iterator[int]:
        """The bytes of each part that was found to be well."""
        manifest = self.manifest
        expected: set[str] = set()
        ids: set[str] = set()
        for number, collection in enumerate(manifest.collections, start=1):
            if collection.folder != f"collections/{number}" or not collection.name:
                raise ValueError("its collections are not named as they must be")
            expected |= {f"{collection.folder}/documents.jsonl", f"{collection.folder}/vectors.npy"}
            sources: set[str] = set()
            for document, vectors in self.documents(collection):
                if document.id in ids or document.source in sources:
                    raise ValueError(f"{document.source} is in it twice")
                ids.add(document.id)
                sources.add(document.source)
                try:
                    check_document(document)
                    check_vectors(vectors)
                except ValueError as error:
                    raise ValueError(f"{document.source}: {error}") from error
                yield vectors.nbytes + sum(len(chunk.text) for chunk in document.chunks)
        if len({collection.name for collection in manifest.collections}) != len(manifest.collections):
            raise ValueError("a collection is in it twice")
        files = {f"files/{name[6:]}" for name in manifest.members if name.startswith("files/")}
        if manifest.members.keys() != expected | files or len(files) != manifest.files:
            raise ValueError("its members are not those of its collections")
        for name in sorted(files):
            yield from self._check_file(name)

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
            hint="Nothing was changed. Copy the archive again, or take another one.",
        )

    # -------------------------------------------------------------------------------------------------------- reading

    def documents(self, collection: ArchivedCollection) -> Iterator[tuple[ArchivedDocument, Vector]]:
        """The documents with their vectors, of shape (distinct vectors, dimension), one after the other."""
        import numpy as np

        dimension = self.manifest.embedding.dimension
        documents = chunks = vectors = 0
        with (
            self._reading(f"{collection.folder}/documents.jsonl") as lines,
            self._reading(f"{collection.folder}/vectors.npy") as rows,
        ):
            header = vectors_header(collection.vectors, dimension)
            if rows.read(len(header)) != header:
                raise ValueError(f"the vectors of {collection.name} are not of the form that the manifest says")
            for line in lines.lines():
                document = DOCUMENT.validate_json(line, strict=True)
                distinct = len(document.vector_ids())
                data = rows.read(distinct * dimension * 4)
                yield document, np.frombuffer(data, dtype="<f4").reshape(distinct, dimension)
                documents, chunks, vectors = documents + 1, chunks + len(document.chunks), vectors + distinct
        if (documents, chunks, vectors) != (collection.documents, collection.chunks, collection.vectors):
            raise ValueError(f"the collection {collection.name} has not as much in it as the manifest says")

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
