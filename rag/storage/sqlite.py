"""A catalog in a SQLite file. Every thread has a connection of its own (write-ahead log: readers never wait for the
writer); writes go one at a time."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from rag.errors import ConfigurationError, Conflict
from rag.storage.database import Connection, Database
from rag.storage.unwritable import unwritable

_PRAGMAS = (
    "auto_vacuum = INCREMENTAL",  # heeded when the file is made
    "journal_mode = WAL",
    "secure_delete = ON",  # what is deleted is overwritten
    "synchronous = NORMAL",  # a crash of the process loses nothing
    "foreign_keys = ON",
)


# Nothing else has the users, their conversations and the text of documents whose files are gone.
ADVICE_FOR_DAMAGED = "If it is damaged, `rag restore --overwrite BACKUP` brings back a backup; copy the folder before."


# SQLite 3.40 says so of every row, as the table has no rowid and its key is not its first columns. It cannot be so:
# SQLite refuses to write it.
_MISTAKE = "NULL value in batch_jobs.job_id"
_ALL = 2**31 - 1  # its mistakes hide nothing


class SqliteDatabase(Database):
    """An open database. Close it when done; opening migrates an older one.

    Raises ConfigurationError when the file is damaged, Conflict when a newer program wrote it.
    """

    BEGIN = "BEGIN IMMEDIATE"
    PLACE = "?"
    UNINDEXED = "+"
    is_shared = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._pragmas: tuple[str, ...] = _PRAGMAS
        self._connections: dict[threading.Thread, Connection] = {}
        self._opening = threading.Lock()
        self._engine = sqlalchemy.create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        newer = Conflict(
            f"{path} was written by a newer version of Footnote, or by a very old one.",
            hint="Update Footnote, or set RAG_STORAGE__DIR to another folder.",
        )
        try:
            self._migrate(newer)
        except (DatabaseError, UnicodeDecodeError) as error:  # the latter: SQLite's own words quote damaged bytes
            self.close()
            if failure := unwritable(error, path.parent):
                raise failure from error
            raise _damaged(path, error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections of all threads."""
        self._closed = True
        self._close_connections()

    def _close_connections(self) -> None:
        with self._writing, self._opening:
            for connection in self._connections.values():
                connection.sqlalchemy.close()
            self._connections.clear()
            self._threads = threading.local()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """The connection of this thread."""
        connection: Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            with self._opening:
                self._require_open()
                for thread in [thread for thread in self._connections if not thread.is_alive()]:
                    self._connections.pop(thread).sqlalchemy.close()
                connection = self._threads.connection = Connection(self._engine.connect())
                self._connections[threading.current_thread()] = connection
        try:
            yield connection
        except BaseException as error:
            if connection.driver.in_transaction:  # its commit failed: SQLAlchemy holds it for over
                connection.driver.rollback()
            if isinstance(error, DatabaseError) and type(error.orig) is sqlite3.DatabaseError:  # what it is for damage
                raise _damaged(self._path, error) from error
            raise

    def exclusive(self, name: str, *, wait: bool = True) -> AbstractContextManager[Callable[[], bool]]:
        """There are no other processes that write."""
        return nullcontext(lambda: True)

    def stop_waiting(self) -> None:
        """There is nobody to wait for."""

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it stands at one moment, into a file that must not be there; nobody has to wait. Raises
        OSError where there is no room for it."""
        with closing(sqlite3.connect(path)) as copy, self.connected() as connection:
            try:
                connection.driver.backup(copy)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None  # not the catalog's disk
        make_one_file(path)

    def refuse_writes(self) -> None:
        """From now on all that would change something raises."""
        self._pragmas += ("query_only = ON",)
        self._close_connections()

    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system."""
        with self._writing, self.connected() as connection:
            for pragma in ("incremental_vacuum", "wal_checkpoint(TRUNCATE)"):
                connection.driver.execute(f"PRAGMA {pragma}").fetchall()  # the first works as long as one reads

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            for pragma in self._pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection


def _damaged(path: Path, error: DatabaseError | UnicodeDecodeError) -> ConfigurationError:
    reason = error.orig if isinstance(error, DatabaseError) else "its names are no text"
    return ConfigurationError(f"The catalog {path} cannot be used: {reason}.", hint=ADVICE_FOR_DAMAGED)


def check_catalog(path: Path) -> None:
    """Read all of a catalog's file, which is there: a millisecond a megabyte, once the system has it in memory. Raises
    ConfigurationError where it is damaged; what else is the matter is told when it is opened."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            verdict = integrity_of(connection)
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    except UnicodeDecodeError:  # SQLite's own words quote damaged bytes
        verdict = "its names are no text"
    if verdict != "ok":
        raise ConfigurationError(f"The catalog {path} is damaged: {verdict}.", hint=ADVICE_FOR_DAMAGED)


def integrity_of(connection: sqlite3.Connection) -> str:
    """The first thing that is wrong with the structure of a catalog, in a line; `ok` where nothing is."""
    rows = connection.execute(f"PRAGMA integrity_check({_ALL})")
    verdicts = (line for (verdict,) in rows for line in verdict.splitlines() if not line.startswith("***"))
    return next((verdict for verdict in verdicts if verdict != _MISTAKE), "ok")


def make_one_file(path: Path) -> None:
    """Leave no log beside a SQLite file that nobody has open."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
