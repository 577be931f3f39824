"""Restoring a backup: a whole storage folder is made of it beside the present one, and takes its place when it opens.

Where the catalog is in PostgreSQL, its rows are exchanged just before, at once.

Whoever restores a backup believes it, as they would a storage folder: it brings users, keys and the paths of documents.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import Conflict, IndexMismatch, UnreadableArchive
from rag.index.chroma_server import chroma_server
from rag.index.dense import VectorIndex
from rag.index.index import Index
from rag.models.lazy_embedding import LazyEmbedding, is_configured
from rag.operations.archive.backup_format import CATALOG, Backup
from rag.operations.archive.format import ArchiveProgress
from rag.settings import Settings
from rag.storage.blobs import StoredFiles
from rag.storage.connect import open_postgres
from rag.storage.lock import StorageLock

if TYPE_CHECKING:
    from rag.storage.postgres import PostgresDatabase

_SOMETHING = """
    SELECT 1 FROM documents UNION ALL SELECT 1 FROM files UNION ALL SELECT 1 FROM conversations
    UNION ALL SELECT 1 FROM principals WHERE id <> 'prn_local' LIMIT 1
"""
_MADE = "restoring"  # folders in the storage folder
_REPLACED = "replaced"
# The catalog comes last: without it the folder counts as empty, and the restore can be run again.
_PARTS = ("vectors", "words", "files", CATALOG)


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore brought back."""

    documents: int
    vectors: int
    files: int


def restore(
    settings: Settings, backup: Backup, *, overwrite: bool = False
) -> Iterator[ArchiveProgress | RestoreResult]:
    """Make the storage folder what a backup, which was verified, says; last comes what was brought back.

    Blocking. Raises StorageLocked, Conflict where there is a catalog that may not be replaced, IndexMismatch when the
    settings name another embedding model, UnreadableArchive; then nothing has changed. Whatever else comes in between,
    nothing that Chroma lacks then is lost: vectors are embedded anew at the next start.
    """
    storage = settings.storage.dir
    manifest = backup.manifest
    embedding = manifest.embedding
    if manifest.documents and not is_configured(settings.embedding, embedding.model, embedding.fingerprint):
        raise IndexMismatch(
            f"The backup's vectors were made with the embedding model {embedding.model}; the settings name "
            f"{settings.embedding.model} (or other prefixes).",
            hint=f"Set RAG_EMBEDDING__MODEL={embedding.model}, for the restore and from then on.",
        )
    lock = StorageLock(storage).acquire()
    database = None
    try:
        database = open_replaced(settings, overwrite=overwrite)
        is_there = (storage / CATALOG).exists() if database is None else bool(database.read(_SOMETHING))
        if is_there and not overwrite:
            place = storage.absolute() if database is None else "the database that RAG_STORAGE__DATABASE_URL names"
            raise Conflict(
                f"There is a catalog in {place} already.",
                hint="Name an empty folder or database, or give --overwrite to lose what is there.",
            )
        made = storage / _MADE
        shutil.rmtree(made, ignore_errors=True)  # of a restore that was interrupted
        made.mkdir()
        try:
            yield from _make(settings, backup, made)
            if database is not None:
                database.copy_from(made / CATALOG)
                (made / CATALOG).unlink()
            _put_in_place(made, storage)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    finally:
        if database is not None:
            database.close()
        lock.release()
    yield RestoreResult(manifest.documents, sum(c.vectors for c in manifest.collections), manifest.files)


def open_replaced(settings: Settings, *, overwrite: bool) -> PostgresDatabase | None:
    """The database of the catalog, if it is not in SQLite. Tables of a newer version may be lost as any others may."""
    try:
        return open_postgres(settings.storage)
    except Conflict:
        if not overwrite:
            raise
        from rag.storage.postgres import drop_all

        drop_all(settings.storage.database_url.get_secret_value())
        return open_postgres(settings.storage)


def _make(settings: Settings, backup: Backup, folder: Path) -> Iterator[ArchiveProgress]:
    """A storage folder of the backup, which was opened once and is whole."""
    manifest = backup.manifest
    with (folder / CATALOG).open("xb") as file:
        for _ in backup.catalog(file):
            pass
    _check_catalog(folder / CATALOG, backup)
    total, done = sum(collection.vectors for collection in manifest.collections), 0
    # At a server, what is there stays until all have come: vectors that no catalog names count for nothing.
    server = chroma_server(settings.storage)
    with closing(VectorIndex(server or folder / "vectors", manifest.embedding.fingerprint)) as vectors:
        for collection in manifest.collections:
            for ids, rows in backup.vectors(collection):
                vectors.add(collection.id, ids, rows)
                done += len(ids)
                yield ArchiveProgress("Vectors", done, total)
    stored = StoredFiles(folder)
    names = [name for name in manifest.members if name.startswith("files/")]
    for number, name in enumerate(names, start=1):
        sha256 = name.removeprefix("files/")
        with backup.file(sha256) as content:
            stored.put(content, sha256)
        yield ArchiveProgress("Files", number, len(names))
    yield ArchiveProgress("Words", 0, 1)
    model = LazyEmbedding(settings.embedding, manifest.embedding.model, manifest.embedding.fingerprint)
    Index(folder, model, chroma=server).close()  # indexes the words, and mends what does not fit the catalog


def _check_catalog(catalog: Path, backup: Backup) -> None:
    try:
        with closing(sqlite3.connect(catalog)) as connection:
            [(verdict,), *_] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            [(documents,)] = connection.execute("SELECT count(*) FROM documents").fetchall()
    except sqlite3.DatabaseError as error:
        verdict, documents = str(error), -1
    if (verdict, documents) != ("ok", backup.manifest.documents):
        raise UnreadableArchive(
            f"{backup.path} is not restored: its catalog is damaged ({verdict}).",
            hint="Nothing was changed. Take another backup.",
        )


def _put_in_place(made: Path, storage: Path) -> None:
    """Exchange the parts of the storage folder for those that were made."""
    replaced = storage / _REPLACED
    shutil.rmtree(replaced, ignore_errors=True)
    replaced.mkdir()
    for path in [*storage.glob(f"{CATALOG}*"), *(storage / part for part in _PARTS[:-1])]:
        if path.exists():
            path.rename(replaced / path.name)
    for part in _PARTS:
        if (made / part).exists():
            (made / part).rename(storage / part)
    shutil.rmtree(replaced)
