"""The form of an archive that `rag export` writes: what is in it, and what must be true of it.

It is a zip whose members are stored as they are, so that an archive never holds more than its own size:

    manifest.json                     what it is, what made the vectors, size and SHA-256 of every other member
    collections/1/documents.jsonl     a document a line: record, sections, chunks with the ids of their vectors
    collections/1/vectors.npy         float32; the rows of a document are its distinct vectors, in order of its chunks
    files/<SHA-256>                   the bytes of a document's file

The zip's comment is the SHA-256 of all that stands before it, so that no bit can turn unnoticed. Nothing in it tells
when it was written: the same index gives the same archive.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, BinaryIO

from pydantic import TypeAdapter

from rag.errors import InvalidRequest
from rag.storage.attributes import check_attributes
from rag.types.documents import AttributeValue, Chunk, Chunking, DocumentStatus, Section

if TYPE_CHECKING:
    from rag.types.documents import Vector

FORMAT = "footnote-archive"
VERSION = 1
MANIFEST = "manifest.json"
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
    """A collection, the folder it has in the archive, and what is there."""

    name: str
    folder: str
    documents: int
    chunks: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The table of contents. `documents_without_file` counts documents whose file was gone, changed or not wanted."""

    format: str
    version: int
    footnote: str
    embedding: EmbeddingIdentity
    collections: list[ArchivedCollection]
    files: int
    documents_without_file: int
    members: dict[str, Member]


@dataclass(frozen=True, slots=True)
class ArchivedChunk:
    """A chunk; its number is its place. See `rag.types.Chunk`."""

    page_index: int | None
    page_label: str | None
    heading: str
    record_id: str | None
    start: int
    end: int
    text: str
    vector_id: str


@dataclass(frozen=True, slots=True)
class ArchivedDocument:
    """A document as it is anywhere: without owner, and without the place of its file. See `rag.types.Document`."""

    id: str
    source: str
    title: str
    media_type: str
    sha256: str
    size: int
    modified_ns: int
    fingerprint: str
    version: int
    status: DocumentStatus
    pages: int
    error: str
    hint: str
    created_at: str
    updated_at: str
    attributes: dict[str, AttributeValue] = field(default_factory=dict)  # archives of older programs have none
    sections: list[Section] = field(default_factory=list)
    chunks: list[ArchivedChunk] = field(default_factory=list)
    chunking: Chunking | None = None

    def vector_ids(self) -> list[str]:
        """The ids of the document's vectors, each once, in the order of their rows."""
        return list(dict.fromkeys(chunk.vector_id for chunk in self.chunks))

    def chunks_of(self, document_id: str, version: int) -> list[Chunk]:
        """The chunks as those of a document in a catalog."""
        return [
            Chunk(
                *(f"{document_id}:{version}:{number}", document_id, number, k.page_index, k.page_label, k.heading),
                *(k.record_id, k.start, k.end, k.text),
            )
            for number, k in enumerate(self.chunks)
        ]


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """How far a step is: documents, files or bytes, done and in all."""

    step: str
    done: int
    total: int


DOCUMENT = TypeAdapter(ArchivedDocument)
MANIFEST_FORM = TypeAdapter(Manifest)


def check_document(document: ArchivedDocument) -> None:
    """Raises ValueError, in words, for a document that no catalog could hold or no footnote could point into."""
    if not re.fullmatch(r"[\w-]{1,64}", document.id, re.ASCII):
        raise ValueError("its id is none")
    if not is_sha256(document.sha256):
        raise ValueError("its hash is none")
    if document.version == 0 and (document.chunks or document.sections or document.status != "failed"):
        raise ValueError("it was never read, but has text")
    if document.chunking is not None and not 0 <= document.chunking.overlap < document.chunking.tokens:
        raise ValueError("nothing can be cut so")
    try:
        check_attributes(document.attributes)
    except InvalidRequest as error:
        raise ValueError("its attributes are none") from error
    _check_chunks(document)


def _check_chunks(document: ArchivedDocument) -> None:
    pages: defaultdict[int | None, list[str]] = defaultdict(list)
    numbers = [document.size, document.version, document.pages, abs(document.modified_ns)]
    for section in document.sections:
        pages[section.page_index].append(section.text)
        numbers.append(section.page_index or 0)
    texts = {page_index: "".join(parts) for page_index, parts in pages.items()}
    for number, chunk in enumerate(document.chunks):
        if not 0 <= chunk.start <= chunk.end or texts.get(chunk.page_index, "")[chunk.start : chunk.end] != chunk.text:
            raise ValueError(f"chunk {number} is not the text of its page")
        if not re.fullmatch(r"[0-9a-f]{32}", chunk.vector_id):
            raise ValueError(f"chunk {number} has no vector")
    if not all(0 <= number <= _LARGEST_NUMBER for number in numbers):
        raise ValueError("a number is out of range")


def check_vectors(vectors: Vector) -> None:
    """Raises ValueError unless all rows are finite and of length 1."""
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


def is_sha256(text: str) -> bool:
    """Whether the text is a SHA-256 in hexadecimal digits."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def hash_before_seal(file: BinaryIO, digest: hashlib._Hash) -> Iterator[int]:
    """Hash all but the last bytes, where the seal is or will be, and stop there; the bytes read so far."""
    end = file.seek(0, 2) - SEAL_LENGTH
    file.seek(0)
    while (left := end - file.tell()) > 0:
        digest.update(file.read(min(left, BLOCK)))
        yield file.tell()


class Hashing:
    """A stream that hashes and counts what goes through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def member(self) -> Member:
        """Size and hash of what went through so far."""
        return Member(self.size, self._digest.hexdigest())

    def write(self, data: bytes) -> None:
        """Write to the stream."""
        self._stream.write(data)
        self._count(data)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes from the stream; raises EOFError when it has fewer."""
        data = self._stream.read(size)
        if len(data) != size:
            raise EOFError("it ends too early")
        self._count(data)
        return data

    def lines(self) -> Iterator[bytes]:
        """The lines of the stream."""
        for line in self._stream:
            self._count(line)
            yield line

    def _count(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)
