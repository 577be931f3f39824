"""The catalog: the one truth about collections, documents and their text, in SQLite.

Vectors and words are indexes under the ids kept here. A chunk exists when its version is the live version of its
document, so the transaction in `commit_document` is the moment at which a document changes for everybody.

Every thread reads on a connection of its own (write-ahead log: readers never wait for the writer); writes go one at a
time. All methods block for at most milliseconds, except those that write a whole document.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from rag.errors import ConfigurationError, Conflict, NotFound
from rag.types import Chunk, Collection, Document, Page

LOCAL_PRINCIPAL = "prn_local"  # owner of everything on a machine without log-in
DEFAULT_COLLECTION = "default"

_MIGRATIONS = (
    """
    CREATE TABLE principals (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE collections (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, owner_id TEXT NOT NULL REFERENCES principals, created_at TEXT NOT NULL,
        UNIQUE (owner_id, name)
    ) STRICT;
    CREATE TABLE files (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, sha256 TEXT NOT NULL, name TEXT NOT NULL,
        size INTEGER NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE documents (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections,
        owner_id TEXT NOT NULL REFERENCES principals, file_id TEXT REFERENCES files,
        source TEXT NOT NULL, title TEXT NOT NULL, content TEXT NOT NULL, media_type TEXT NOT NULL,
        sha256 TEXT NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        version INTEGER NOT NULL, status TEXT NOT NULL, pages INTEGER NOT NULL, chunks INTEGER NOT NULL,
        error TEXT NOT NULL, hint TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (collection_id, source)
    ) STRICT;
    CREATE INDEX documents_by_sha256 ON documents (sha256);
    CREATE TABLE pages (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
        page_index INTEGER, label TEXT, text TEXT NOT NULL,
        PRIMARY KEY (document_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE chunks (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        number INTEGER NOT NULL, page_index INTEGER, page_label TEXT, heading TEXT NOT NULL, record_id TEXT,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (document_id, version, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unfinished (
        document_id TEXT NOT NULL, version INTEGER NOT NULL, collection_id TEXT NOT NULL, chunks INTEGER NOT NULL,
        PRIMARY KEY (document_id, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    INSERT INTO properties VALUES ('revision', '0');
    """,
)

_DOCUMENT_COLUMNS = (
    "d.id, c.name, d.owner_id, d.file_id, d.source, d.title, d.content, d.media_type, d.sha256, d.size, d.modified_ns, "
    "d.fingerprint, d.version, d.status, d.pages, d.chunks, d.error, d.hint, d.created_at, d.updated_at"
)
_CHUNK_COLUMNS = (
    'k.document_id, k.version, k.number, k.page_index, k.page_label, k.heading, k.record_id, k.start, k."end", k.text'
)
_Item = TypeVar("_Item")
_BATCH = 500  # rows a statement: SQLite's limit on variables is far above


@dataclass(frozen=True, slots=True)
class VersionedChunks:
    """The chunks of one version of one document, whose ids are `{document}:{version}:{number}`."""

    document_id: str
    version: int
    collection_id: str
    chunks: int

    @property
    def name(self) -> str:
        """`{document}:{version}`."""
        return f"{self.document_id}:{self.version}"

    @property
    def ids(self) -> list[str]:
        """The ids of all its chunks."""
        return [f"{self.name}:{number}" for number in range(self.chunks)]


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with what a hit shows of its document."""

    chunk: Chunk
    collection_id: str
    title: str
    source: str


def now() -> str:
    """The present time, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id(prefix: str) -> str:
    """A fresh unguessable id such as `doc_3f…` (96 random bits)."""
    return f"{prefix}_{secrets.token_hex(12)}"


class Catalog:
    """An open catalog. Close it when done; opening migrates an older one.

    Raises ConfigurationError when the file is damaged, Conflict when a newer program wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.local()
        self._connections: dict[threading.Thread, sqlite3.Connection] = {}
        self._opening = threading.Lock()
        self._closed = False
        self._writing = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._migrate()
        except sqlite3.DatabaseError as error:
            self.close()
            raise ConfigurationError(
                f"The catalog {path} cannot be used: {error}.",
                hint="If it is damaged, restore a copy, or remove the storage folder and ingest again.",
            ) from error

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._writing, self._opening:
            self._closed = True
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()
            self._threads = threading.local()

    # ------------------------------------------------------------------------------------------------ collections

    def collections(self) -> list[Collection]:
        """All collections by name."""
        rows = self._read("SELECT id, name, owner_id FROM collections ORDER BY name")
        return [Collection(*row) for row in rows]

    def collection(self, name: str = DEFAULT_COLLECTION) -> Collection:
        """The collection of that name or id. Raises NotFound."""
        rows = self._read("SELECT id, name, owner_id FROM collections WHERE name = ? OR id = ?", (name, name))
        if not rows:
            known = ", ".join(collection.name for collection in self.collections())
            raise NotFound(f"There is no collection {name!r}.", hint=f"There are: {known}.")
        return Collection(*rows[0])

    def create_collection(self, name: str) -> Collection:
        """The collection of that name, made if need be."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO collections VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (new_id("vs"), name, LOCAL_PRINCIPAL, now()),
            )
        return self.collection(name)

    # -------------------------------------------------------------------------------------------------- documents

    def documents(self, collection: str | None = None) -> list[Document]:
        """All documents, or those of one collection (name or id), by source."""
        where, values = ("", ()) if collection is None else (" AND c.id = ?", (self.collection(collection).id,))
        rows = self._read(f"{_select_documents()}{where} ORDER BY c.name, d.source", values)
        return [_document(row) for row in rows]

    def document(self, document_id: str) -> Document:
        """The document of that id. Raises NotFound."""
        rows = self._read(f"{_select_documents()} AND d.id = ?", (document_id,))
        if not rows:
            raise NotFound(f"There is no document {document_id!r}.", hint="`ingest ls` lists the documents.")
        return _document(rows[0])

    def document_of_source(self, collection_id: str, source: str) -> Document | None:
        """The document that stands for that source in the collection, if there is one."""
        rows = self._read(f"{_select_documents()} AND d.collection_id = ? AND d.source = ?", (collection_id, source))
        return _document(rows[0]) if rows else None

    def pages(self, document_id: str) -> list[Page]:
        """The extracted text of a document, page by page."""
        rows = self._read(
            "SELECT page_index, label, text FROM pages WHERE document_id = ? ORDER BY number", (document_id,)
        )
        return [Page(*row) for row in rows]

    def page_text(self, document_id: str, page_index: int | None) -> str:
        """The extracted text of one page (of the whole file where it has no pages); empty if unknown."""
        rows = self._read(
            "SELECT text FROM pages WHERE document_id = ? AND page_index IS ? ORDER BY number",
            (document_id, page_index),
        )
        return str(rows[0][0]) if rows else ""

    def headings(self, collection_id: str, limit: int) -> list[tuple[str, str]]:
        """Up to `limit` pairs (document title, heading), different documents first; documents without headings too."""
        rows = self._read(
            """
            SELECT title, heading FROM (
                SELECT d.title, k.heading, row_number() OVER (PARTITION BY d.id ORDER BY min(k.number)) AS place
                FROM documents d JOIN chunks k ON k.document_id = d.id AND k.version = d.version
                WHERE d.collection_id = ? GROUP BY d.id, k.heading
            ) ORDER BY place, title LIMIT ?
            """,
            (collection_id, limit),
        )
        return [(title, heading) for title, heading in rows]

    # ----------------------------------------------------------------------------------------------------- chunks

    def chunks(self, ids: Sequence[str]) -> dict[str, StoredChunk]:
        """The live chunks among `ids`. What is not live (removed, replaced, never committed) is simply missing."""
        found: dict[str, StoredChunk] = {}
        keys = [(document, int(version), int(number)) for document, version, number in (i.split(":") for i in ids)]
        for batch in _batches(keys):
            rows = self._read(
                f"""
                SELECT {_CHUNK_COLUMNS}, d.collection_id, d.title, d.source
                FROM chunks k JOIN documents d ON d.id = k.document_id AND d.version = k.version
                WHERE (k.document_id, k.version, k.number) IN (VALUES {", ".join(["(?, ?, ?)"] * len(batch))})
                """,
                [value for key in batch for value in key],
            )
            for row in rows:
                chunk = _chunk(row[:10])
                found[chunk.id] = StoredChunk(chunk, *row[10:])
        return found

    def live_versions(self, document_ids: Iterable[str]) -> list[VersionedChunks]:
        """The live versions of these documents; unknown documents are left out."""
        versions: list[VersionedChunks] = []
        for batch in _batches(list(document_ids)):
            rows = self._read(
                f"SELECT id, version, collection_id, chunks FROM documents WHERE id IN ({', '.join('?' * len(batch))})",
                batch,
            )
            versions += [VersionedChunks(*row) for row in rows]
        return versions

    def chunks_of(self, document_id: str) -> Iterator[Chunk]:
        """All live chunks of a document, in order."""
        rows = self._read(
            f"SELECT {_CHUNK_COLUMNS} FROM chunks k JOIN documents d ON d.id = k.document_id AND d.version = k.version "
            "WHERE k.document_id = ? ORDER BY k.number",
            (document_id,),
        )
        return (_chunk(row) for row in rows)

    # ------------------------------------------------------------------------------------------------ the write side

    @property
    def revision(self) -> int:
        """A number that grows with every change of documents; an index that has seen it is up to date."""
        return int(self._read("SELECT value FROM properties WHERE name = 'revision'")[0][0])

    def property(self, name: str) -> str | None:
        """A stored property of the whole catalog, such as the fingerprint that the vectors were made with."""
        rows = self._read("SELECT value FROM properties WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_property(self, name: str, value: str) -> None:
        """Store a property of the whole catalog."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO properties VALUES (?, ?)", (name, value))

    def begin(self, versions: Sequence[VersionedChunks]) -> None:
        """Note that index entries of these versions are about to be written, so that a crash leaves a trace."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO unfinished VALUES (?, ?, ?, ?)",
                [(v.document_id, v.version, v.collection_id, v.chunks) for v in versions],
            )

    def commit_document(self, document: Document, pages: Sequence[Page], chunks: Sequence[Chunk]) -> None:
        """Make this the live version of the document: the commit point. The version before becomes `unfinished`."""
        with self._transaction() as connection:
            collection_id = self.collection(document.collection).id
            connection.execute(
                "INSERT OR REPLACE INTO unfinished "
                "SELECT id, version, collection_id, chunks FROM documents WHERE id = ?",
                (document.id,),
            )
            connection.execute(
                "DELETE FROM unfinished WHERE document_id = ? AND version = ?", (document.id, document.version)
            )
            _put_document(connection, document, collection_id)
            connection.execute("DELETE FROM pages WHERE document_id = ?", (document.id,))
            connection.execute("DELETE FROM chunks WHERE document_id = ?", (document.id,))
            connection.executemany(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?)",
                [(document.id, number, page.index, page.label, page.text) for number, page in enumerate(pages)],
            )
            connection.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_chunk_row(document.version, chunk) for chunk in chunks],
            )
            connection.execute("UPDATE properties SET value = value + 1 WHERE name = 'revision'")

    def put_record(self, document: Document) -> None:
        """Store what is known of a document without touching its text: a failure, a new modification time.

        Nothing happens when the document was removed, or got a newer version, since the caller read it."""
        with self._transaction() as connection:
            row = connection.execute("SELECT version FROM documents WHERE id = ?", (document.id,)).fetchone()
            if (row[0] if row else 0) == document.version:
                _put_document(connection, document, self.collection(document.collection).id)

    def remove_document(self, document_id: str) -> VersionedChunks:
        """Forget a document and its text; the commit point of a removal. Raises NotFound."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT id, version, collection_id, chunks FROM documents WHERE id = ?", (document_id,)
            ).fetchone()
            if row is None:
                raise NotFound(f"There is no document {document_id!r}.", hint="`ingest ls` lists the documents.")
            connection.execute("INSERT OR REPLACE INTO unfinished VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))
            connection.execute("UPDATE properties SET value = value + 1 WHERE name = 'revision'")
        return VersionedChunks(*row)

    def unfinished(self) -> list[VersionedChunks]:
        """Versions whose index entries are not wanted: never committed, replaced, or removed."""
        rows = self._read("SELECT document_id, version, collection_id, chunks FROM unfinished")
        return [VersionedChunks(*row) for row in rows]

    def finish(self, versions: Sequence[VersionedChunks]) -> None:
        """Note that the index entries of these versions are gone."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM unfinished WHERE document_id = ? AND version = ?",
                [(v.document_id, v.version) for v in versions],
            )

    def add_file(self, name: str, sha256: str, size: int) -> str:
        """Record an uploaded file; its id (`file_…`). The same bytes under the same name are one file."""
        rows = self._read("SELECT id FROM files WHERE sha256 = ? AND name = ?", (sha256, name))
        if rows:
            return str(rows[0][0])
        file_id = new_id("file")
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", (file_id, LOCAL_PRINCIPAL, sha256, name, size, now())
            )
        return file_id

    # ------------------------------------------------------------------------------------------------- connections

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is not None:
            return connection
        with self._opening:
            if self._closed:
                raise Conflict("The catalog is closed.", hint="The program is ending: start it again.")
            self._close_of_ended_threads()
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the process loses nothing
            connection.execute("PRAGMA foreign_keys = ON")
            self._threads.connection = connection
            self._connections[threading.current_thread()] = connection
        return connection

    def _close_of_ended_threads(self) -> None:
        for thread in [thread for thread in self._connections if not thread.is_alive()]:
            self._connections.pop(thread).close()

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._connection().execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _migrate(self) -> None:
        version = int(self._read("PRAGMA user_version")[0][0])
        if version > len(_MIGRATIONS):
            raise Conflict(
                f"{self._path} was written by a newer version of Footnote.",
                hint="Update Footnote, or set RAG_STORAGE__DIR to another folder.",
            )
        for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
            self._connection().executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO principals VALUES (?, 'local', ?) ON CONFLICT DO NOTHING", (LOCAL_PRINCIPAL, now())
            )
        self.create_collection(DEFAULT_COLLECTION)


def _select_documents() -> str:
    return f"SELECT {_DOCUMENT_COLUMNS} FROM documents d JOIN collections c ON c.id = d.collection_id WHERE 1"


def _document(row: tuple[Any, ...]) -> Document:
    columns = list(row)
    columns[6] = _text_to_path(columns[6])
    return Document(*columns)


def _path_to_text(path: Path) -> str:
    """The path as SQLite can hold it: one whose bytes are no UTF-8 becomes `file:` and percent signs."""
    text = str(path)
    return text if text.isprintable() else "file:" + quote_from_bytes(os.fsencode(text))


def _text_to_path(text: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file:"))) if text.startswith("file:") else text)


def _chunk(row: tuple[Any, ...]) -> Chunk:
    document_id, version, number, page_index, page_label, heading, record_id, start, end, text = row
    chunk_id = f"{document_id}:{version}:{number}"
    return Chunk(chunk_id, document_id, number, page_index, page_label, heading, record_id, start, end, text)


def _chunk_row(version: int, k: Chunk) -> tuple[object, ...]:
    place = (k.page_index, k.page_label, k.heading, k.record_id, k.start, k.end)
    return (k.document_id, version, k.number, *place, k.text)


def _put_document(connection: sqlite3.Connection, d: Document, collection_id: str) -> None:
    connection.execute(
        """
        INSERT INTO documents (id, collection_id, owner_id, file_id, source, title, content, media_type, sha256, size,
            modified_ns, fingerprint, version, status, pages, chunks, error, hint, created_at, updated_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET
            file_id = excluded.file_id, title = excluded.title, content = excluded.content,
            media_type = excluded.media_type,
            sha256 = excluded.sha256, size = excluded.size, modified_ns = excluded.modified_ns,
            fingerprint = excluded.fingerprint, version = excluded.version, status = excluded.status,
            pages = excluded.pages, chunks = excluded.chunks, error = excluded.error, hint = excluded.hint,
            updated_at = excluded.updated_at
        """,
        (
            *(d.id, collection_id, d.owner_id, d.file_id, d.source, d.title, _path_to_text(d.content), d.media_type),
            *(d.sha256, d.size, d.modified_ns, d.fingerprint, d.version, d.status, d.pages, d.chunks),
            *(d.error, d.hint, d.created_at, d.updated_at),
        ),
    )


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
