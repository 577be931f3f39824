"""Writing an archive: collections with their files, so that another machine can answer from them without embedding.

Nothing is locked meanwhile: every document is taken as it stands at one moment, one after the other.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rag.errors import Conflict, NotFound, RagError
from rag.index.dense import vector_id
from rag.operations.archive.container import refuse_existing, seal, written_whole
from rag.operations.archive.format import (
    BLOCK,
    DOCUMENT,
    FORMAT,
    MANIFEST,
    MANIFEST_FORM,
    SEAL_LENGTH,
    VERSION,
    ArchivedChunk,
    ArchivedCollection,
    ArchivedDocument,
    ArchiveProgress,
    EmbeddingIdentity,
    Hashing,
    Manifest,
    Member,
    check_document,
    check_vectors,
    vectors_header,
)

if TYPE_CHECKING:
    import numpy as np

    from rag.index.index import Index
    from rag.types.documents import Document, Vector

_ATTEMPTS = 20  # to find a document that is being replaced in one piece
_PAUSE = 0.05  # seconds between them
_IN_MEMORY = 16 << 20  # bytes; larger files are copied to the disk while they are hashed
_COPIED = [member.name for member in fields(ArchivedDocument) if member.name not in ("sections", "chunks")]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote. `left_out` names the documents whose file was gone or is not the one that was read."""

    documents: int
    chunks: int
    files: int
    size: int
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _Files:
    """The files to add, by hash: the places where a document says its bytes are, and the documents' sources."""

    places: dict[str, dict[Path, None]] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        self.places.setdefault(document.sha256, {})[document.content] = None
        self.sources.setdefault(document.sha256, []).append(document.source)


def export(
    index: Index, archive: Path, collections: Sequence[str] = (), *, with_files: bool = True, overwrite: bool = False
) -> Iterator[ArchiveProgress | ExportResult]:
    """Write the collections (all, if none is named) into an archive; last comes what was written.

    The archive gets its name when it is whole. Raises Conflict when there is a file of that name or the embedding
    model is changed meanwhile, NotFound for an unknown collection.
    """
    refuse_existing(archive, overwrite)
    catalog = index.catalog
    chosen = [catalog.collection(name) for name in collections] or catalog.collections()
    names = list(dict.fromkeys(collection.name for collection in chosen))
    with written_whole(archive, overwrite) as file, closing(_Writing(index, file)) as writing:
        for number, name in enumerate(names, start=1):
            yield from writing.add_collection(name, f"collections/{number}")
        if with_files:
            yield from writing.add_files()
        manifest = writing.add_manifest()
        writing.close()
        yield from seal(file)
    documents = sum(collection.documents for collection in manifest.collections)
    chunks = sum(collection.chunks for collection in manifest.collections)
    yield ExportResult(documents, chunks, manifest.files, archive.stat().st_size, tuple(writing.left_out))


class _Writing:
    """An archive that is being written."""

    def __init__(self, index: Index, file: BinaryIO) -> None:
        self._index = index
        self._folder = str(Path(file.name).parent)  # what must wait does so where the archive has room, too
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._zip.comment = b"0" * SEAL_LENGTH
        self._model = (index.embedding.name, index.embedding.fingerprint)
        self._dimension = 0
        self._collections: list[ArchivedCollection] = []
        self._members: dict[str, Member] = {}
        self._wanted = _Files()
        self._without_file = 0
        self._file_count = 0
        self.left_out: list[str] = []

    def add_collection(self, name: str, folder: str) -> Iterator[ArchiveProgress]:
        """The documents of a collection, each as it stands at one moment; those removed meanwhile are left out."""
        documents = self._index.catalog.documents(name)
        written = chunks = vectors = 0
        yield ArchiveProgress("Documents", 0, len(documents))
        # The rows come after the documents in the archive, and their number before them, so they wait in a file.
        with closing(tempfile.TemporaryFile(dir=self._folder)) as rows:
            with self._member(f"{folder}/documents.jsonl") as lines:
                for number, known in enumerate(documents, start=1):
                    taken = self._take(known)
                    if taken is not None:
                        document, matrix = taken
                        lines.write(DOCUMENT.dump_json(document) + b"\n")
                        rows.write(matrix.astype("<f4", copy=False).tobytes())
                        written, chunks, vectors = written + 1, chunks + len(document.chunks), vectors + len(matrix)
                    yield ArchiveProgress("Documents", number, len(documents))
            rows.seek(0)
            with self._member(f"{folder}/vectors.npy") as member:
                member.write(vectors_header(vectors, self._dimension))
                shutil.copyfileobj(rows, member, BLOCK)
        self._collections.append(ArchivedCollection(name, folder, written, chunks, vectors))

    def _take(self, known: Document) -> tuple[ArchivedDocument, np.ndarray] | None:
        """A document and its vectors, both of one version; None when it was removed."""
        catalog = self._index.catalog
        for _ in range(_ATTEMPTS):
            try:
                document = catalog.document(known.id)
            except NotFound:
                return None
            ids, chunks = catalog.vector_ids(document.id), list(catalog.chunks_of(document.id))
            vectors = self._index.vectors_of(document)
            sections = catalog.sections(document.id)
            if self._model[1] != self._index.embedding.fingerprint:
                raise Conflict("The embedding model was changed meanwhile.", hint="Run the export again.")
            is_whole = len(ids) == len(chunks) == document.chunks and vectors.keys() >= set(ids)
            if is_whole and [v.version for v in catalog.live_versions([document.id])] == [document.version]:
                archived = ArchivedDocument(
                    **{name: getattr(document, name) for name in _COPIED},
                    sections=sections,
                    chunks=[
                        ArchivedChunk(
                            *(k.page_index, k.page_label, k.heading, k.record_id, k.start, k.end, k.text),
                            _portable(vector),
                        )
                        for k, vector in zip(chunks, ids, strict=True)
                    ],
                )
                matrix = self._rows({_portable(vector): row for vector, row in vectors.items()}, archived)
                self._wanted.add(document)
                self._without_file += 1  # until its file is added
                return archived, matrix
            time.sleep(_PAUSE)
        raise Conflict(f"{known.source} is changed all the time.", hint="Run the export again when that is over.")

    def _rows(self, vectors: dict[str, Vector], document: ArchivedDocument) -> np.ndarray:
        """The document's rows; what an import would refuse is refused here, while the original is still there."""
        import numpy as np

        ids = document.vector_ids()
        matrix = np.stack([vectors[vector] for vector in ids]) if ids else np.zeros((0, self._dimension), np.float32)
        self._dimension = matrix.shape[1]
        try:
            check_document(document)
            check_vectors(matrix)
        except ValueError as error:
            raise RagError(
                f"{document.source} cannot be exported: {error}.", hint="Remove it and ingest it again."
            ) from error
        return matrix

    def add_files(self) -> Iterator[ArchiveProgress]:
        """The bytes of each distinct file, where they still are those that were read."""
        places = self._wanted.places
        for number, sha256 in enumerate(sorted(places), start=1):
            sources = self._wanted.sources[sha256]
            if any(self._add_file(place, sha256) for place in places[sha256]):
                self._file_count += 1
                self._without_file -= len(sources)
            else:
                self.left_out += sources
            yield ArchiveProgress("Files", number, len(places))

    def _add_file(self, place: Path, sha256: str) -> bool:
        """Whether the file was there with that hash. It is copied first: it may change while it is read."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=self._folder) as copy:
            hashing = Hashing(copy)
            try:
                if not place.is_file():
                    return False
                file = place.open("rb")
            except OSError:  # told with the files that are left out
                return False
            with file:
                shutil.copyfileobj(file, hashing, BLOCK)
            if hashing.member.sha256 != sha256:
                return False
            copy.seek(0)
            with self._member(f"files/{sha256}") as member:
                shutil.copyfileobj(copy, member, BLOCK)
        return True

    def add_manifest(self) -> Manifest:
        """The table of contents."""
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            footnote=metadata.version("footnote"),
            embedding=EmbeddingIdentity(*self._model, self._dimension),
            collections=self._collections,
            files=self._file_count,
            documents_without_file=self._without_file,
            members=self._members,
        )
        self._zip.writestr(zipfile.ZipInfo(MANIFEST), MANIFEST_FORM.dump_json(manifest, indent=1))
        return manifest

    def close(self) -> None:
        """Write the zip's directory."""
        self._zip.close()

    @contextmanager
    def _member(self, name: str) -> Iterator[Hashing]:
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:  # of 1980: nothing tells the time
            hashing = Hashing(file)
            yield hashing
        self._members[name] = hashing.member


def _portable(stored: str) -> str:
    """The id of a vector; one made by an older Footnote names its document, which may have another id elsewhere."""
    return stored if len(stored) == len(vector_id("")) else vector_id(stored)
