"""Writing a backup: everything in the storage folder as it stood at one moment, while the server works on.

The catalog is copied at once; what it lists is what the backup has. Vectors that were removed since are made again from
their text. An uploaded file that was deleted since, or was damaged, is left out and named.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rag.errors import Conflict
from rag.operations.archive.backup_format import (
    BACKUP_MANIFEST_FORM,
    CATALOG,
    FORMAT,
    VERSION,
    BackedUpCollection,
    BackupManifest,
)
from rag.operations.archive.container import refuse_existing, seal, written_whole
from rag.operations.archive.format import (
    BLOCK,
    MANIFEST,
    SEAL_LENGTH,
    ArchiveProgress,
    EmbeddingIdentity,
    Hashing,
    Member,
    vectors_header,
)
from rag.storage.blobs import StoredFiles, hash_of
from rag.storage.catalog import Catalog
from rag.storage.files import FileRecords
from rag.storage.staged_versions import Staging

if TYPE_CHECKING:
    from rag.index.index import Index
    from rag.types.documents import Vector

_BATCH = 1_000  # vectors at a time
_PRIVATE = 0o600  # whoever can read a backup can read all documents, and try the passwords


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What a backup has. `left_out` names uploaded files whose bytes were gone or damaged."""

    documents: int
    vectors: int
    files: int
    size: int
    left_out: tuple[str, ...]


def back_up(
    index: Index, storage: Path, backup: Path, *, overwrite: bool = False
) -> Iterator[ArchiveProgress | BackupResult]:
    """Write everything in the storage folder into one file; last comes what was written.

    The file gets its name when it is whole, and can be read by its owner only. Raises Conflict when there is one of
    that name or the embedding model is changed meanwhile.
    """
    refuse_existing(backup, overwrite)
    with written_whole(backup, overwrite, mode=_PRIVATE) as file:
        folder = Path(file.name).parent  # what must wait does so where the backup has room, too
        with tempfile.TemporaryDirectory(prefix=f"{backup.name}.", dir=folder) as place:
            snapshot = Path(place) / CATALOG
            yield ArchiveProgress("Catalog", 0, 1)
            index.catalog.database.copy_to(snapshot)
            yield ArchiveProgress("Catalog", 1, 1)
            with closing(Catalog(snapshot)) as catalog, closing(_Writing(index, catalog, file)) as writing:
                # what is prepared for another embedding model has its vectors elsewhere, and words are indexed anew
                Staging(catalog).drop()
                catalog.set_property("words", "")
                yield from writing.add_files(StoredFiles(storage))
                yield from writing.add_vectors()
                catalog.close()  # else a part of it may stand in another file
                writing.add_catalog(snapshot)
                manifest = writing.add_manifest()
            yield from seal(file)
    vectors = sum(collection.vectors for collection in manifest.collections)
    yield BackupResult(manifest.documents, vectors, manifest.files, backup.stat().st_size, tuple(writing.left_out))


class _Writing:
    """A backup that is being written."""

    def __init__(self, index: Index, catalog: Catalog, file: BinaryIO) -> None:
        self._index = index
        self._catalog = catalog
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._zip.comment = b"0" * SEAL_LENGTH
        self._model: Mapping[str, str] = json.loads(catalog.property("embedding") or "{}")
        self._documents = sum(documents for documents, _ in catalog.census().values())
        self._dimension = 0
        self._collections: list[BackedUpCollection] = []
        self._members: dict[str, Member] = {}
        self._files = 0
        self.left_out: list[str] = []

    def close(self) -> None:
        """Write the zip's directory."""
        self._zip.close()

    def add_files(self, stored: StoredFiles) -> Iterator[ArchiveProgress]:
        """The uploaded files; they come first, as they are the sooner deleted."""
        needed = sorted(FileRecords(self._catalog.database).needed())
        for number, sha256 in enumerate(needed, start=1):
            path = stored.path_of(sha256)
            try:
                with path.open("rb") as file:
                    if hash_of(path) == sha256:
                        with self._member(f"files/{sha256}") as member:
                            shutil.copyfileobj(file, member, BLOCK)
                        self._files += 1
                    else:
                        self.left_out.append(self._name_of(sha256))
            except FileNotFoundError:
                self.left_out.append(self._name_of(sha256))
            yield ArchiveProgress("Files", number, len(needed))

    def _name_of(self, sha256: str) -> str:
        [(name,), *_] = self._catalog.database.read("SELECT name FROM files WHERE sha256 = :sha256", sha256=sha256)
        return str(name)

    def add_vectors(self) -> Iterator[ArchiveProgress]:
        """The vectors of each collection that the catalog lists."""
        collections = self._catalog.collections()
        counts = [self._catalog.count_vectors(collection.id) for collection in collections]
        done = 0
        for number, (collection, count) in enumerate(zip(collections, counts, strict=True), start=1):
            place = f"vectors/{number}"
            ids: list[str] = []
            with tempfile.TemporaryFile(dir=Path(str(self._zip.filename)).parent) as rows:
                while batch := self._catalog.vector_ids_after(collection.id, ids[-1] if ids else "", _BATCH):
                    rows.write(self._matrix(collection.id, batch).tobytes())
                    ids += batch
                    yield ArchiveProgress("Vectors", done + len(ids), sum(counts))
                rows.seek(0)
                with self._member(f"{place}.npy") as member:
                    member.write(vectors_header(count, self._dimension))
                    shutil.copyfileobj(rows, member, BLOCK)
            with self._member(f"{place}.ids") as member:
                member.write("".join(f"{vector_id}\n" for vector_id in ids).encode())
            done += count
            self._collections.append(BackedUpCollection(collection.id, place, count))

    def _matrix(self, collection_id: str, ids: list[str]) -> Vector:
        """The vectors of shape (len(ids), dimension), float32."""
        import numpy as np

        vectors = self._index.vectors(collection_id, ids)
        if self._index.embedding.fingerprint != self._model["fingerprint"]:
            raise Conflict("The embedding model was changed meanwhile.", hint="Run the backup again.")
        gone = [vector_id for vector_id in ids if vector_id not in vectors]
        if gone:
            texts = [self._catalog.embedded_text(collection_id, vector_id) for vector_id in gone]
            vectors |= zip(gone, self._index.embedding.embed_passages(texts), strict=True)
        matrix = np.stack([vectors[vector_id] for vector_id in ids]).astype("<f4", copy=False)
        self._dimension = matrix.shape[1]
        return matrix

    def add_catalog(self, snapshot: Path) -> None:
        """The catalog, which is closed."""
        with snapshot.open("rb") as file, self._member(CATALOG) as member:
            shutil.copyfileobj(file, member, BLOCK)

    def add_manifest(self) -> BackupManifest:
        """The table of contents."""
        embedding = EmbeddingIdentity(self._model.get("model", ""), self._model.get("fingerprint", ""), self._dimension)
        manifest = BackupManifest(
            format=FORMAT,
            version=VERSION,
            footnote=metadata.version("footnote"),
            embedding=embedding,
            documents=self._documents,
            collections=self._collections,
            files=self._files,
            members=self._members,
        )
        self._zip.writestr(zipfile.ZipInfo(MANIFEST), BACKUP_MANIFEST_FORM.dump_json(manifest, indent=1))
        return manifest

    @contextmanager
    def _member(self, name: str) -> Iterator[Hashing]:
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
            hashing = Hashing(file)
            yield hashing
        self._members[name] = hashing.member
