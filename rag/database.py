"""The SQLite file behind the catalog: connections, transactions, and the tables in all their versions.

Every thread reads on a connection of its own (write-ahead log: readers never wait for the writer); writes go one at a
time.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rag.errors import ConfigurationError, Conflict

CATALOG_NAME = "catalog.sqlite3"  # in the storage folder

# How documents are to be cut, where somebody says so, as rag/chunking.py writes it.
_CHUNKING = """
    ALTER TABLE documents ADD COLUMN chunking TEXT;
    ALTER TABLE jobs ADD COLUMN chunking TEXT;
"""

# Where files, stores and files of stores stood in their lists before they were deleted: whoever deletes what a list
# shows and asks for its next page goes on from there. `list` is a table, or the id of a store. The last ones are kept.
_FORMER_PLACES = """
    CREATE TABLE former_places (
        list TEXT NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (list, id)
    ) STRICT;
    CREATE TRIGGER former_places_are_few AFTER INSERT ON former_places BEGIN
        DELETE FROM former_places WHERE rowid <= NEW.rowid - 10000;
    END;
    CREATE TRIGGER file_deleted AFTER DELETE ON files BEGIN
        INSERT OR REPLACE INTO former_places VALUES ('files', OLD.id, OLD.rowid);
    END;
    CREATE TRIGGER collection_deleted AFTER DELETE ON collections BEGIN
        INSERT OR REPLACE INTO former_places VALUES ('collections', OLD.id, OLD.rowid);
    END;
    CREATE TRIGGER attachment_deleted AFTER DELETE ON attachments BEGIN
        INSERT OR REPLACE INTO former_places VALUES (OLD.collection_id, OLD.file_id, OLD.rowid);
    END;
    CREATE TRIGGER document_deleted AFTER DELETE ON documents BEGIN
        INSERT OR REPLACE INTO former_places
        VALUES (OLD.collection_id, coalesce(OLD.file_id, OLD.id), 4611686018427387904 + OLD.rowid);
    END;
"""

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
    # Vectors get ids of their own, made from what was embedded, so that equal chunks share one; pages become sections.
    """
    ALTER TABLE unfinished DROP COLUMN chunks;
    ALTER TABLE chunks ADD COLUMN vector_id TEXT NOT NULL DEFAULT '';
    UPDATE chunks SET vector_id = document_id || ':' || version || ':' || number;
    CREATE INDEX chunks_by_vector ON chunks (vector_id);
    CREATE TABLE loose_vectors (
        collection_id TEXT NOT NULL, vector_id TEXT NOT NULL, PRIMARY KEY (collection_id, vector_id)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE pages RENAME TO sections;
    ALTER TABLE sections ADD COLUMN heading TEXT NOT NULL DEFAULT '';
    ALTER TABLE sections ADD COLUMN record_id TEXT;
    CREATE TABLE staged (
        document_id TEXT PRIMARY KEY REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        title TEXT NOT NULL, fingerprint TEXT NOT NULL, chunks INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, collection TEXT NOT NULL,
        file_id TEXT NOT NULL REFERENCES files, state TEXT NOT NULL, starts INTEGER NOT NULL, report TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state);
    """,
    # Documents can be found by their names: see naming.py.
    """
    CREATE TABLE names (
        token TEXT NOT NULL, document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE,
        PRIMARY KEY (token, document_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX names_by_document ON names (document_id);
    """,
    # Attributes that the user gives to documents: see attributes.py. An object of JSON.
    """
    ALTER TABLE documents ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
    """,
    # Tables with row ids: without, SQLite keeps whole rows in the inner nodes of a tree that gets three times as deep.
    """
    ALTER TABLE sections RENAME TO old_sections;
    CREATE TABLE sections (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
        page_index INTEGER, label TEXT, text TEXT NOT NULL, heading TEXT NOT NULL, record_id TEXT,
        PRIMARY KEY (document_id, number)
    ) STRICT;
    INSERT INTO sections SELECT * FROM old_sections;
    DROP TABLE old_sections;
    DROP INDEX chunks_by_vector;
    ALTER TABLE chunks RENAME TO old_chunks;
    CREATE TABLE chunks (
        document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, version INTEGER NOT NULL,
        number INTEGER NOT NULL, page_index INTEGER, page_label TEXT, heading TEXT NOT NULL, record_id TEXT,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL, vector_id TEXT NOT NULL,
        PRIMARY KEY (document_id, version, number)
    ) STRICT;
    INSERT INTO chunks SELECT * FROM old_chunks;
    DROP TABLE old_chunks;
    CREATE INDEX chunks_by_vector ON chunks (vector_id, document_id, version, number);
    """,
    # Files that stay though no document is made of them, vector stores, and which file was attached to which of them.
    """
    ALTER TABLE files ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
    ALTER TABLE files ADD COLUMN expires_at TEXT;
    ALTER TABLE collections ADD COLUMN label TEXT;
    ALTER TABLE collections ADD COLUMN description TEXT;
    ALTER TABLE collections ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE collections ADD COLUMN expires_days INTEGER;
    ALTER TABLE collections ADD COLUMN active_at TEXT;
    ALTER TABLE jobs ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE attachments (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        file_id TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
        job_id TEXT NOT NULL, created_at TEXT NOT NULL,
        UNIQUE (collection_id, file_id)
    ) STRICT;
    CREATE INDEX attachments_by_job ON attachments (job_id);
    CREATE TABLE batches (
        id TEXT PRIMARY KEY, collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE batch_jobs (
        batch_id TEXT NOT NULL REFERENCES batches ON DELETE CASCADE, job_id TEXT NOT NULL, file_id TEXT NOT NULL,
        PRIMARY KEY (batch_id, file_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX batch_jobs_by_job ON batch_jobs (job_id);
    CREATE INDEX documents_by_file ON documents (file_id);
    CREATE INDEX files_by_sha256 ON files (sha256);
    CREATE INDEX jobs_by_file ON jobs (file_id);
    """,
    # What the Responses API keeps, so that a conversation can go on.
    """
    CREATE TABLE responses (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, body TEXT NOT NULL, input TEXT NOT NULL,
        messages TEXT NOT NULL, documents TEXT NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
    """,
    # Which of several models' answers was the best one: see votes.py. Answers and passages are JSON.
    """
    CREATE TABLE votes (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, question TEXT NOT NULL,
        answers TEXT NOT NULL, passages TEXT NOT NULL, chosen TEXT, created_at TEXT NOT NULL
    ) STRICT;
    """,
    # Who may: see auth.py. Passwords and keys are there as hashes only.
    """
    ALTER TABLE principals ADD COLUMN password TEXT NOT NULL DEFAULT '';
    ALTER TABLE principals ADD COLUMN is_admin INTEGER NOT NULL DEFAULT 0;
    UPDATE principals SET is_admin = 1 WHERE id = 'prn_local';
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE, name TEXT NOT NULL,
        prefix TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, collections TEXT, read_only INTEGER NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT, used_at TEXT
    ) STRICT;
    CREATE TABLE shares (
        collection_id TEXT NOT NULL REFERENCES collections ON DELETE CASCADE,
        principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        PRIMARY KEY (collection_id, principal_id)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE collections ADD COLUMN is_public INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE files ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE responses ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
    """,
    # The chat's conversations: see conversations.py. `text` is what a step says, `body` and `settings` are JSON.
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES principals, title TEXT NOT NULL,
        settings TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX conversations_by_owner ON conversations (owner_id, updated_at);
    CREATE TABLE steps (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        parent_id TEXT, type TEXT NOT NULL, text TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX steps_by_conversation ON steps (conversation_id, number);
    CREATE INDEX steps_by_parent ON steps (parent_id);
    CREATE TABLE readings (
        document_id TEXT NOT NULL, question_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
        PRIMARY KEY (document_id, question_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX readings_by_question ON readings (question_id);
    CREATE TABLE elements (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX elements_by_step ON elements (step_id);
    CREATE TABLE feedback (
        id TEXT PRIMARY KEY, step_id TEXT NOT NULL UNIQUE REFERENCES steps (id) ON DELETE CASCADE,
        is_good INTEGER NOT NULL, comment TEXT NOT NULL, created_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE preferences (
        owner_id TEXT PRIMARY KEY REFERENCES principals ON DELETE CASCADE, settings TEXT NOT NULL
    ) STRICT;
    """,
    _CHUNKING,
    _FORMER_PLACES,
)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of a trigger stay in it."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class Database:
    """An open database. Close it when done; opening migrates an older one.

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

    def read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._connection().execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes take effect together at the end, or not at all when the block raises."""
        with self._writing:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it stands at one moment, into a file that must not be there; nobody has to wait."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection().backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without a log beside it

    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system."""
        with self._writing:
            connection = self._connection()
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is not None:
            return connection
        with self._opening:
            if self._closed:
                raise Conflict("The catalog is closed.", hint="The program is ending: start it again.")
            self._close_of_ended_threads()
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded when the file is made
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the process loses nothing
            connection.execute("PRAGMA foreign_keys = ON")
            self._threads.connection = connection
            self._connections[threading.current_thread()] = connection
        return connection

    def _close_of_ended_threads(self) -> None:
        for thread in [thread for thread in self._connections if not thread.is_alive()]:
            self._connections.pop(thread).close()

    def _migrate(self) -> None:
        if self._version() == len(_MIGRATIONS):
            return
        with self.transaction() as connection:  # other processes may be opening it, too
            version = self._version()
            if version > len(_MIGRATIONS):
                raise Conflict(
                    f"{self._path} was written by a newer version of Footnote.",
                    hint="Update Footnote, or set RAG_STORAGE__DIR to another folder.",
                )
            for script in _MIGRATIONS[version:]:
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        if self.read("PRAGMA auto_vacuum") == [(0,)]:  # made before `shrink`, which needs another layout of the file
            with self._writing:
                self._connection().execute("VACUUM")
        else:
            self.shrink()

    def _version(self) -> int:
        return int(self.read("PRAGMA user_version")[0][0])
