"""The form of an archive: what is in it, and what must be true of it.

It is a zip whose members are stored as they are, so that an archive never holds more than its own size:

    manifest.json                     what it is, what made the vectors, size and SHA-256 of every other member
    files/<SHA-256>                   the bytes of a file
    collections/1/documents.jsonl     a document a line, with its sections, its chunks and the ids of their vectors
    collections/1/vectors.npy         float32; the rows of a document are its distinct vectors, in order of its chunks
    catalog.sqlite3                   of a backup alone: all else that the catalog has, such as users, keys and jobs

An export has collections and the files of their documents. A backup has all collections, all uploads and the catalog.
The words are in neither: they are indexed anew. The zip's comment is the SHA-256 of all that stands before it, so that
no bit can turn unnoticed.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from pydantic import TypeAdapter

from rag.errors import InvalidRequest
from rag.storage.attributes import check_attributes
from rag.storage.database import CATALOG_NAME
from rag.types.documents import Chunk, Document, Section

if TYPE_CHECKING:
    from rag.types.documents import Vector

FORMAT = "footnote-archive"
VERSION = 2
MANIFEST = "manifest.json"
CATALOG = CATALOG_NAME
DOCUMENTS = "documents.jsonl"  # in the folder of each collection
VECTORS = "vectors.npy"
SEAL_LENGTH = 64  # hexadecimal digits
BLOCK = 1 << 20  # bytes read at once
_LARGEST_NUMBER = 2**63 - 1  # that the catalog can hold
_UNIT_LENGTH = 0.01  # how far a vector's length may be from 1: an embedding model may compute in 16 bits


@dataclass(frozen=True, slots=True)
class EmbeddingIdentity:
    """What made the vectors; `dimension` is 0 where there are none."""

    model: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Member:
    """Size in bytes and SHA-256 of one part of the archive."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArchivedCollection:
    """A collection, and how much is in it; the number of its folder is its place in the manifest, from 1."""

    name: str
    label: str | None
    documents: int
    chunks: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The table of contents; `footnote` is the version of the program that wrote it."""

    format: str
    version: int
    footnote: str
    embedding: EmbeddingIdentity
    collections: list[ArchivedCollection]
    files: int
    members: dict[str, Member]

    @property
    def documents(self) -> int:
        """How many documents there are in all collections."""
        return sum(collection.documents for collection in self.collections)

    @property
    def chunks(self) -> int:
        """How many chunks there are in all collections."""
        return sum(collection.chunks for collection in self.collections)

    def file_members(self) -> list[str]:
        """The names of the members that are files."""
        return sorted(name for name in self.members if name.startswith("files/"))


@dataclass(frozen=True, slots=True)
class ArchivedDocument:
    """A document with its text, as it is anywhere: without owner and place of its file. `vector_ids` has one a chunk.

    What changes in these types, other than by a new field with a default, changes VERSION."""

    document: Document
    sections: list[Section]
    chunks: list[Chunk]
    vector_ids: list[str]

    def check(self, vectors: Vector) -> None:
        """Raises ValueError, in words, for what no catalog could hold or no footnote could point into, and for vectors,
        of shape (distinct vectors, dimension), of which one is not finite or not of length 1."""
        try:
            self._check_record()
            self._check_text()
            _check_vectors(vectors)
        except ValueError as error:
            raise ValueError(f"{self.document.source}: {error}") from error

    def _check_record(self) -> None:
        document = self.document
        if not re.fullmatch(r"[\w-]{1,64}", document.id, re.ASCII):
            raise ValueError("its id is none")
        if not re.fullmatch(r"[0-9a-f]{64}", document.sha256):
            raise ValueError("its hash is none")
        if document.version == 0 and (self.chunks or self.sections or document.status != "failed"):
            raise ValueError("it was never read, but has text")
        if document.chunking is not None and not 0 <= document.chunking.overlap < document.chunking.tokens:
            raise ValueError("nothing can be cut so")
        try:
            check_attributes(document.attributes)
        except InvalidRequest as error:
            raise ValueError("its attributes are none") from error

    def _check_text(self) -> None:
        document = self.document
        pages: defaultdict[int | None, list[str]] = defaultdict(list)
        for section in self.sections:
            pages[section.page_index].append(section.text)
        numbers = document.size, document.version, document.pages, abs(document.modified_ns)
        if not all(0 <= number <= _LARGEST_NUMBER for number in [*numbers, *(page or 0 for page in pages)]):
            raise ValueError("a number is out of range")
        if document.chunks != len(self.chunks) or len(self.vector_ids) != len(self.chunks):
            raise ValueError("it has more or fewer chunks than it says")
        texts = {page_index: "".join(parts) for page_index, parts in pages.items()}
        for number, (chunk, vector_id) in enumerate(zip(self.chunks, self.vector_ids, strict=True)):
            text = texts.get(chunk.page_index, "")[chunk.start : chunk.end]
            if not 0 <= chunk.start <= chunk.end or text != chunk.text:
                raise ValueError(f"chunk {number} is not the text of its page")
            place = f"{document.id}:{document.version}:{number}", document.id, number
            if (chunk.id, chunk.document_id, chunk.number) != place:
                raise ValueError(f"chunk {number} is not in its place")
            if not re.fullmatch(r"[0-9a-f]{32}", vector_id):
                raise ValueError(f"chunk {number} has no vector")


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """How far a step is: documents, files or bytes, done and in all."""

    step: str
    done: int
    total: int


DOCUMENT = TypeAdapter(ArchivedDocument)
MANIFEST_FORM = TypeAdapter(Manifest)


def _check_vectors(vectors: Vector) -> None:
    import numpy as np

    with np.errstate(over="ignore"):  # a huge number is no unit vector either
        lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1) <= _UNIT_LENGTH).all():  # not so for NaN, either
        raise ValueError("a vector is not of length 1")


def vectors_header(rows: int, dimension: int) -> bytes:
    """How a file of vectors begins: the npy format, written so that it is always the same 128 bytes.

    Without rows the dimension counts as 0: it may not be known."""
    words = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension if rows else 0}), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + words.ljust(117).encode() + b"\n"


def hash_before_seal(file: BinaryIO, digest: hashlib._Hash) -> Iterator[int]:
    """Hash all but the last bytes, where the seal is or will be, and stop there; the bytes read so far."""
    end = file.seek(0, 2) - SEAL_LENGTH
    file.seek(0)
    while (left := end - file.tell()) > 0:
        digest.update(file.read(min(left, BLOCK)))
        yield file.tell()
