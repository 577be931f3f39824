"""The form of a backup that `rag backup` writes: everything in a storage folder, as it stood at one moment.

It is a zip whose members are stored as they are, sealed like an archive (see archive_form.py):

    manifest.json           what it is, what made the vectors, size and SHA-256 of every other member
    catalog.sqlite3         the catalog: documents with their texts, users, keys, jobs, answers that were kept
    vectors/1.ids           the ids of a collection's vectors, one a line
    vectors/1.npy           float32, the vectors in the same order
    files/<SHA-256>         the bytes of an uploaded file

The words are not in it: they are indexed anew from the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from pydantic import TypeAdapter

from rag.operations.archive.container import SealedZip
from rag.operations.archive.format import BLOCK, EmbeddingIdentity, Member, check_vectors, vectors_header

if TYPE_CHECKING:
    from rag.types.documents import Vector

FORMAT = "footnote-backup"
VERSION = 1
CATALOG = "catalog.sqlite3"
_ROWS = 4096  # vectors read at once


@dataclass(frozen=True, slots=True)
class BackedUpCollection:
    """A collection by its id, where its vectors are in the backup, and how many."""

    id: str
    vectors_at: str
    vectors: int


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """The table of contents."""

    format: str
    version: int
    footnote: str
    embedding: EmbeddingIdentity
    documents: int
    collections: list[BackedUpCollection]
    files: int
    members: dict[str, Member]


BACKUP_MANIFEST_FORM = TypeAdapter(BackupManifest)


class Backup(SealedZip[BackupManifest]):
    """A backup that is open for reading. Nothing of it may be used before `verify` has run to its end.

    Raises UnreadableArchive when it is none, not whole, or of a newer form."""

    _kind = "backup"
    _format = FORMAT
    _version = VERSION
    _form = BACKUP_MANIFEST_FORM

    def _check_contents(self) -> Iterator[int]:
        manifest = self.manifest
        expected = {CATALOG}
        for number, collection in enumerate(manifest.collections, start=1):
            if collection.vectors_at != f"vectors/{number}":
                raise ValueError("its collections are not named as they must be")
            expected |= {f"{collection.vectors_at}.ids", f"{collection.vectors_at}.npy"}
            for ids, vectors in self.vectors(collection):
                check_vectors(vectors)
                yield len(ids) * 33 + vectors.nbytes
        files = {name for name in manifest.members if name.startswith("files/")}
        if manifest.members.keys() != expected | files or len(files) != manifest.files:
            raise ValueError("its members are not those that its manifest tells of")
        yield from self.catalog()
        for name in sorted(files):
            yield from self._check_file(name)

    def catalog(self, target: BinaryIO | None = None) -> Iterator[int]:
        """Read the catalog, and write it to `target`; the bytes of each step."""
        left = self.manifest.members[CATALOG].size
        with self._reading(CATALOG) as stream:
            while left:
                block = stream.read(min(BLOCK, left))
                if target is not None:
                    target.write(block)
                left -= len(block)
                yield len(block)

    def vectors(self, collection: BackedUpCollection) -> Iterator[tuple[list[str], Vector]]:
        """The ids of a collection's vectors with these, of shape (len(ids), dimension), some thousands at a time."""
        import numpy as np

        dimension = self.manifest.embedding.dimension
        with (
            self._reading(f"{collection.vectors_at}.ids") as lines,
            self._reading(f"{collection.vectors_at}.npy") as rows,
        ):
            header = vectors_header(collection.vectors, dimension)
            if rows.read(len(header)) != header:
                raise ValueError(f"{collection.vectors_at} is not of the form that the manifest says")
            ids = [line.decode().removesuffix("\n") for line in lines.lines()]
            if len(ids) != collection.vectors:
                raise ValueError(f"{collection.vectors_at} has not as many ids as the manifest says")
            for start in range(0, len(ids), _ROWS):
                group = ids[start : start + _ROWS]
                data = rows.read(len(group) * dimension * 4)
                yield group, np.frombuffer(data, dtype="<f4").reshape(len(group), dimension)
