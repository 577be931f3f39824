"""Restoring a backup: a whole storage folder is made of it within the present one, and takes its place when it opens.

Where the catalog is in PostgreSQL, its rows are exchanged at once. For a process that dies meanwhile see
rag/storage/exchange.py.

Whoever restores a backup believes it, as they would a storage folder: it brings users, keys and the paths of documents.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from rag.errors import Conflict, UnreadableArchive
from rag.index.chroma_server import chroma_server
from rag.index.dense import VectorIndex
from rag.index.index import DocumentVersion, Index
from rag.models.embedding import LazyEmbedding
from rag.operations.archive.format import CATALOG, ArchiveProgress
from rag.operations.archive.reader import Archive
from rag.operations.services import require_configured
from rag.settings import Settings
from rag.storage.blobs import StoredFiles
from rag.storage.catalog import Catalog, VersionedChunks
from rag.storage.connect import open_postgres
from rag.storage.exchange import owned, restoring
from rag.storage.sqlite import integrity_of
from rag.storage.staged_versions import Staging
from rag.storage.unwritable import unwritable

if TYPE_CHECKING:
    from rag.storage.postgres import PostgresDatabase
    from rag.types.documents import Vector

_ANYTHING_STORED = """
    SELECT 1 FROM documents UNION ALL SELECT 1 FROM files UNION ALL SELECT 1 FROM conversations
    UNION ALL SELECT 1 FROM principals WHERE id <> 'prn_local' LIMIT 1
"""
_BATCH = 4_096  # vectors added at once


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore brought back."""

    documents: int
    chunks: int
    files: int


def restore(
    settings: Settings, backup: Archive, *, overwrite: bool = False
) -> Iterator[ArchiveProgress | RestoreResult]:
    """Make the storage folder what a backup, which was verified, says; last comes what was brought back.

    Blocking. Raises StorageLocked, Conflict where there is a catalog that may not be replaced, IndexMismatch when the
    settings name another embedding model, UnreadableArchive; then nothing has changed. Whatever else comes in between,
    nothing that Chroma lacks then is lost: vectors are embedded anew at the next start.
    """
    storage = settings.storage.dir
    manifest = backup.manifest
    if not backup.is_backup:
        raise UnreadableArchive(
            f"{backup.path} is no backup, but an export: it has documents alone.",
            hint="`rag import` takes it in.",
        )
    if manifest.documents:
        require_configured(settings.embedding, manifest.embedding)
    with owned(settings.storage, exclusive=True), ExitStack() as stack:
        database = open_replaced(settings, overwrite=overwrite)
        if database is not None:
            stack.callback(database.close)
        is_there = (storage / CATALOG).exists() if database is None else bool(database.read(_ANYTHING_STORED))
        if is_there and not overwrite:
            place = storage.absolute() if database is None else "the database that RAG_STORAGE__DATABASE_URL names"
            raise Conflict(
                f"There is a catalog in {place} already.",
                hint="Name an empty folder or database, or give --overwrite to lose what is there.",
            )
        with restoring(settings.storage) as folder, _refusing(backup, storage):
            yield from _build(settings, backup, folder)
    yield RestoreResult(manifest.documents, manifest.chunks, manifest.files)


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


@contextmanager
def _refusing(backup: Archive, storage: Path) -> Iterator[None]:
    """A catalog that lacks what every catalog has is damaged: whatever fails over it is an UnreadableArchive."""
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        raise unwritable(error, storage) or _damaged(backup, reason) from error


def _build(settings: Settings, backup: Archive, folder: Path) -> Iterator[ArchiveProgress]:
    """A storage folder of the backup, which was opened once and is whole."""
    manifest = backup.manifest
    with (folder / CATALOG).open("xb") as target, backup.open(CATALOG) as content:
        shutil.copyfileobj(content, target)
    _check_catalog(folder / CATALOG, backup)
    # At a server, what is there stays until all have come: vectors that no catalog names count for nothing.
    server = chroma_server(settings.storage)
    with (
        closing(Catalog(folder / CATALOG)) as catalog,
        closing(VectorIndex(server or folder / "vectors", manifest.embedding.fingerprint)) as vectors,
    ):
        done = 0
        for number, collection in enumerate(manifest.collections):
            rows: dict[str, Vector] = {}
            collection_id = catalog.collection(collection.name).id
            for version in backup.documents(number):
                _put_text(catalog, collection_id, version, backup)
                rows |= version.vectors
                if len(rows) >= _BATCH:
                    vectors.add(collection_id, list(rows), list(rows.values()))
                    rows = {}
                done += 1
                yield ArchiveProgress("Documents", done, manifest.documents)
            vectors.add(collection_id, list(rows), list(rows.values()))
        Staging(catalog).delete()  # what was prepared for another embedding model has its vectors elsewhere
        catalog.finish()
        catalog.set_property("words", "")  # to be indexed anew
    stored = StoredFiles(folder)
    for number, name in enumerate(manifest.file_members(), start=1):
        with backup.open(name) as content:
            stored.put(content, manifest.members[name].sha256)
        yield ArchiveProgress("Files", number, manifest.files)
    yield ArchiveProgress("Words", 0, 1)
    model = LazyEmbedding(settings.embedding, manifest.embedding.model, manifest.embedding.fingerprint)
    Index(folder, model, chroma=server).close()  # indexes the words, and mends what does not fit the catalog


def _check_catalog(catalog: Path, backup: Archive) -> None:
    try:
        with closing(sqlite3.connect(catalog)) as connection:
            verdict = integrity_of(connection)
            [(documents,)] = connection.execute("SELECT count(*) FROM documents").fetchall()
    except sqlite3.DatabaseError as error:
        verdict, documents = str(error), -1
    if (verdict, documents) != ("ok", backup.manifest.documents):
        raise _damaged(backup, verdict)


def _put_text(catalog: Catalog, collection_id: str, version: DocumentVersion, backup: Archive) -> None:
    """Give a document of the catalog its text back."""
    document = catalog.find_document(version.document.id)
    if document is None or document.version != version.document.version:
        raise _damaged(backup, f"it has no such document as {version.document.source}")
    if document.version:
        catalog.begin([VersionedChunks(document.id, document.version, collection_id)], {})
        catalog.commit_document(document, version.sections, version.chunks, version.vector_ids)


def _damaged(backup: Archive, reason: str) -> UnreadableArchive:
    return UnreadableArchive(
        f"{backup.path} is not restored: its catalog is damaged ({reason}).",
        hint="Nothing was changed. Take another backup.",
    )
