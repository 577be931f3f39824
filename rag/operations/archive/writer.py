"""Writing an archive: an export of some collections, or a backup of everything, while the server works on.

The catalog is copied at once; what the copy lists is what the archive has. Vectors that were deleted since are made
again from their text. A file that is gone, or not what it was, is left out and named.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from rag.errors import Conflict, RagError
from rag.operations.archive.format import (
    BLOCK,
    CATALOG,
    DOCUMENT,
    DOCUMENTS,
    FORMAT,
    MANIFEST,
    MANIFEST_FORM,
    SEAL_LENGTH,
    VECTORS,
    VERSION,
    ArchivedCollection,
    ArchivedDocument,
    ArchiveProgress,
    EmbeddingIdentity,
    Manifest,
    Member,
    hash_before_seal,
    vectors_header,
)
from rag.storage.blobs import StoredFiles
from rag.storage.catalog import Catalog
from rag.storage.file_hash import hash_of
from rag.storage.files import FileRecords
from rag.text.analysis import contextual_text
from rag.types.documents import LOCAL_PRINCIPAL

if TYPE_CHECKING:
    import numpy as np

    from rag.index.index import Index
    from rag.types.documents import Collection, Document, Vector

_GROUP = 16  # documents whose vectors are asked for at once
_IN_MEMORY = 16 << 20  # bytes; larger files are copied to the disk while they are hashed
_PARTIAL = "archive"  # until it has its name
_PRIVATE = 0o600  # whoever can read an archive can read all documents, and of a backup try the passwords


@dataclass(frozen=True, slots=True)
class WrittenArchive:
    """What an archive has; `size` in bytes. `left_out` names files that were gone or are not what they were: of an
    export the documents' sources, of a backup the uploads."""

    documents: int
    chunks: int
    files: int
    size: int
    left_out: tuple[str, ...]


_Files = dict[str, list[tuple[Path, str]]]  # by hash: where the bytes may be, and how they are named if they are not


def export(
    index: Index, archive: Path, collections: Sequence[str] = (), *, with_files: bool = True, overwrite: bool = False
) -> Iterator[ArchiveProgress | WrittenArchive]:
    """Write the collections (all, if none is named) into an archive; last comes what was written.

    The archive gets its name when it is whole, and can be read by its owner only. Raises Conflict when there is a file
    of that name or the embedding model is changed meanwhile, NotFound for an unknown collection.
    """
    chosen = {index.catalog.collection(name).id for name in collections}
    yield from _write(index, archive, chosen, None, with_files=with_files, overwrite=overwrite)


def back_up(
    index: Index, storage: Path, archive: Path, *, overwrite: bool = False
) -> Iterator[ArchiveProgress | WrittenArchive]:
    """Write everything in the storage folder into an archive, which `restore` takes; all else is as with `export`."""
    yield from _write(index, archive, set(), storage, overwrite=overwrite)


def _write(
    index: Index, path: Path, chosen: set[str], storage: Path | None, *, with_files: bool = True, overwrite: bool
) -> Iterator[ArchiveProgress | WrittenArchive]:
    """Write the collections of these ids (of none: all), and where `storage` is given, all else that is in it."""
    _refuse_existing(path, overwrite)
    with _written_whole(path, overwrite) as file:
        snapshot = Path(file.name).with_name(CATALOG)  # what must wait does so where the archive has room, too
        yield ArchiveProgress("Catalog", 0, 1)
        index.catalog.database.copy_to(snapshot)
        yield ArchiveProgress("Catalog", 1, 1)
        with closing(Catalog(snapshot)) as catalog, closing(_Writer(index, catalog, file)) as writer:
            collections = [
                (collection, catalog.documents(collection.id))
                for collection in catalog.collections()
                if not chosen or collection.id in chosen
            ]
            # files come first, as they are the sooner deleted
            if storage is not None:
                yield from writer.add_files(_uploads(catalog, storage))
            elif with_files:
                yield from writer.add_files(_files_of(document for _, group in collections for document in group))
            yield from writer.add_collections(collections)
            if storage is not None:
                catalog.close()  # else a part of it may stand in another file
                writer.add_catalog(snapshot)
            manifest = writer.add_manifest()
        yield from _seal(file)
    size, left_out = path.stat().st_size, tuple(writer.left_out)
    yield WrittenArchive(manifest.documents, manifest.chunks, manifest.files, size, left_out)


def _files_of(documents: Iterable[Document]) -> _Files:
    files: _Files = defaultdict(list)
    for document in documents:
        files[document.sha256].append((document.content, document.source))
    return files


def _uploads(catalog: Catalog, storage: Path) -> _Files:
    stored, needed = StoredFiles(storage), FileRecords(catalog.database).needed()
    files: _Files = defaultdict(list)
    for sha256, name in catalog.database.read("SELECT sha256, name FROM files ORDER BY name"):
        if sha256 in needed:
            files[sha256].append((stored.path_of(sha256), name))
    return files


class _Writer:
    """An archive that is being written; `catalog` is a copy of the index's."""

    def __init__(self, index: Index, catalog: Catalog, file: BinaryIO) -> None:
        self._index = index
        self._catalog = catalog
        self._folder = str(Path(file.name).parent)
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._zip.comment = b"0" * SEAL_LENGTH
        self._model: Mapping[str, str] = json.loads(catalog.property("embedding") or "{}")
        self._dimension = 0
        self._collections: list[ArchivedCollection] = []
        self._files = 0
        self._members: dict[str, Member] = {}
        self.left_out: list[str] = []

    def close(self) -> None:
        """Write the zip's directory."""
        self._zip.close()

    def add_files(self, files: _Files) -> Iterator[ArchiveProgress]:
        """The bytes of each file, where they still are those of that hash."""
        for number, sha256 in enumerate(sorted(files), start=1):
            if any(self._add_file(place, sha256) for place in dict(files[sha256])):
                self._files += 1
            else:
                self.left_out += [name for _, name in files[sha256]]
            yield ArchiveProgress("Files", number, len(files))

    def _add_file(self, place: Path, sha256: str) -> bool:
        """Whether the file was there with that hash. It is copied first: it may change while it is read."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=self._folder) as copy:
            try:
                if not place.is_file():
                    return False
                file = place.open("rb")
            except OSError:  # told with the files that are left out
                return False
            with file:
                shutil.copyfileobj(file, copy, BLOCK)
            copy.seek(0)
            if hash_of(copy) != sha256:
                return False
            copy.seek(0)
            with self._member(f"files/{sha256}") as member:
                shutil.copyfileobj(copy, member, BLOCK)
        return True

    def add_collections(
        self, collections: Sequence[tuple[Collection, Sequence[Document]]]
    ) -> Iterator[ArchiveProgress]:
        """The documents of each collection, with their texts and vectors."""
        done, total = 0, sum(len(documents) for _, documents in collections)
        yield ArchiveProgress("Documents", 0, total)
        for number, (collection, documents) in enumerate(collections, start=1):
            folder = f"collections/{number}"
            chunks = vectors = 0
            # The rows come after the documents in the archive, and their number before them, so they wait in a file.
            with tempfile.TemporaryFile(dir=self._folder) as rows:
                with self._member(f"{folder}/{DOCUMENTS}") as lines:
                    for document, matrix in self._with_vectors(collection.id, documents):
                        lines.write(DOCUMENT.dump_json(document) + b"\n")
                        rows.write(matrix.tobytes())
                        chunks, vectors = chunks + len(document.chunks), vectors + len(matrix)
                        done += 1
                        yield ArchiveProgress("Documents", done, total)
                rows.seek(0)
                with self._member(f"{folder}/{VECTORS}") as member:
                    member.write(vectors_header(vectors, self._dimension))
                    shutil.copyfileobj(rows, member, BLOCK)
            self._collections.append(
                ArchivedCollection(collection.name, collection.label, len(documents), chunks, vectors)
            )

    def _with_vectors(
        self, collection_id: str, documents: Sequence[Document]
    ) -> Iterator[tuple[ArchivedDocument, np.ndarray]]:
        """The documents, each with its vectors, float32 of shape (distinct vectors, dimension)."""
        import numpy as np

        for start in range(0, len(documents), _GROUP):
            group = [
                (document, list(self._catalog.chunks_of(document.id)), self._catalog.vector_ids(document.id))
                for document in documents[start : start + _GROUP]
            ]
            texts = {
                vector: contextual_text(document.title, chunk.heading, chunk.text)
                for document, chunks, ids in group
                for chunk, vector in zip(chunks, ids, strict=True)
            }
            vectors = self._vectors(collection_id, texts)
            for document, chunks, ids in group:
                record = replace(document, owner_id=LOCAL_PRINCIPAL, file_id=None, content=Path())
                archived = ArchivedDocument(record, self._catalog.sections(document.id), chunks, ids)
                rows = [vectors[vector] for vector in dict.fromkeys(ids)]
                matrix = np.stack(rows).astype("<f4", copy=False) if rows else np.zeros((0, self._dimension), "<f4")
                self._dimension = matrix.shape[1]
                try:  # what a reader would refuse is refused here, while the original is still there
                    archived.check(matrix)
                except ValueError as error:
                    raise RagError(
                        f"It cannot be archived: {error}.", hint="Delete it, and ingest it again."
                    ) from error
                yield archived, matrix

    def _vectors(self, collection_id: str, texts: Mapping[str, str]) -> dict[str, Vector]:
        """The vectors of these ids, which stand for these texts."""
        vectors = self._index.vectors(collection_id, list(texts))
        if self._index.embedding.fingerprint != self._model["fingerprint"]:
            raise Conflict("The embedding model was changed meanwhile.", hint="Run it again.")
        gone = [vector for vector in texts if vector not in vectors]
        if gone:
            embedded = self._index.embedding.embed_passages([texts[vector] for vector in gone])
            vectors |= zip(gone, embedded, strict=True)
        return vectors

    def add_catalog(self, catalog: Path) -> None:
        """The catalog, which is closed, without the texts, which are with the documents."""
        rest = catalog.with_name("rest")
        with closing(sqlite3.connect(catalog, isolation_level=None)) as connection:
            connection.execute("DELETE FROM sections")
            connection.execute("DELETE FROM chunks")
            connection.execute("DELETE FROM sessions")  # one that is ended must not come back with the backup
            connection.execute("VACUUM INTO ?", (str(rest),))
        with rest.open("rb") as file, self._member(CATALOG) as member:
            shutil.copyfileobj(file, member, BLOCK)

    def add_manifest(self) -> Manifest:
        """The table of contents."""
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            footnote=metadata.version("footnote"),
            embedding=EmbeddingIdentity(self._model["model"], self._model["fingerprint"], self._dimension),
            collections=self._collections,
            files=self._files,
            members=self._members,
        )
        self._zip.writestr(zipfile.ZipInfo(MANIFEST), MANIFEST_FORM.dump_json(manifest, indent=1))
        return manifest

    @contextmanager
    def _member(self, name: str) -> Iterator[_HashingWriter]:
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:  # of 1980: nothing tells the time
            writer = _HashingWriter(file)
            yield writer
        self._members[name] = Member(writer.size, writer.sha256.hexdigest())


class _HashingWriter:
    """A stream to write to that hashes and counts what goes through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Write to the stream."""
        self._stream.write(data)
        self.sha256.update(data)
        self.size += len(data)


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.is_dir() or (path.exists() and not overwrite):
        raise Conflict(f"{path} exists.", hint="Choose another name, or give --force to write over a file.")


@contextmanager
def _written_whole(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that becomes `path` at the end of the block. Until then it is in a folder beside that, for all that is
    written on the way; that goes at the end, or with the next attempt after a kill. Raises Conflict, and RagError when
    it cannot be written."""
    folder = path.with_name(f"{path.name}.partial")
    partial = folder / _PARTIAL
    try:
        if folder.is_dir() and all(left.name.startswith((_PARTIAL, CATALOG)) for left in folder.iterdir()):
            shutil.rmtree(folder)
        if not folder.is_dir():
            folder.unlink(missing_ok=True)  # older programs left a file
        folder.mkdir(0o700)
        try:
            with open(partial, "x+b", opener=lambda name, flags: os.open(name, flags, _PRIVATE)) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                _refuse_existing(path, overwrite)
                partial.replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise RagError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose a place that you may write to and has room."
        ) from error


def _seal(file: BinaryIO) -> Iterator[ArchiveProgress]:
    """Put the hash of all that is before it into the place that was kept for it."""
    digest = hashlib.sha256()
    size = file.seek(0, 2)
    for done in hash_before_seal(file, digest):
        yield ArchiveProgress("Sealing", done, size)
    file.write(digest.hexdigest().encode())
