"""A catalog in a SQLite file: connections, transactions, and migration.

Every thread reads on a connection of its own (write-ahead log: readers never wait for the writer); writes go one at a
time.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rag.errors import ConfigurationError, Conflict
from rag.storage.sqlite_schema import MIGRATIONS


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of a trigger stay in it."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class SqliteDatabase:
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

    @property
    def is_shared(self) -> bool:
        """The storage folder has one owner, who writes."""
        return False

    def exclusive(self, name: str, *, wait: bool = True) -> AbstractContextManager[Callable[[], bool]]:
        """There are no other processes that write."""
        return nullcontext(lambda: True)

    def stop_waiting(self) -> None:
        """There is nobody to wait for."""

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
        if self._version() == len(MIGRATIONS):
            return
        with self.transaction() as connection:  # other processes may be opening it, too
            version = self._version()
            if version > len(MIGRATIONS):
                raise Conflict(
                    f"{self._path} was written by a newer version of Footnote.",
                    hint="Update Footnote, or set RAG_STORAGE__DIR to another folder.",
                )
            for script in MIGRATIONS[version:]:
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        if self.read("PRAGMA auto_vacuum") == [(0,)]:  # made before `shrink`, which needs another layout of the file
            with self._writing:
                self._connection().execute("VACUUM")
        else:
            self.shrink()

    def _version(self) -> int:
        return int(self.read("PRAGMA user_version")[0][0])
