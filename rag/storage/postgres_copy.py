"""The catalog in PostgreSQL as a SQLite file, and back: a backup has the same form wherever the catalog is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.storage.database import Connection
from rag.storage.sqlite import SqliteDatabase

if TYPE_CHECKING:
    import psycopg

_ROWS = 500  # at a time: sections may be large
# In an order in which every row finds those it refers to; whether rows have numbers that tell what was added first.
_TABLES = {
    "principals": False,
    "collections": True,
    "files": True,
    "documents": True,
    "sections": False,
    "chunks": False,
    "names": False,
    "unfinished": False,
    "loose_vectors": False,
    "staged": False,
    "jobs": True,
    "runners": False,
    "attachments": True,
    "batches": False,
    "batch_jobs": False,
    "responses": True,
    "votes": True,
    "keys": True,
    "shares": False,
    "conversations": False,
    "steps": False,
    "readings": False,
    "elements": True,
    "feedback": True,
    "preferences": False,
    "former_places": True,
    "properties": False,
}


def copy_out(connection: psycopg.Connection[Any], path: Path) -> None:
    """Write all rows, as the connection's transaction sees them, into a new SQLite file."""
    import psycopg

    SqliteDatabase(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("BEGIN")
        copy.execute("DELETE FROM properties")
        for table in _TABLES:
            columns = _columns(copy, table)
            with psycopg.RawServerCursor(connection, "copying") as rows:
                rows.itersize = _ROWS
                rows.execute(f"SELECT {columns} FROM {table}")
                copy.executemany(_insert(table, columns), rows)
        copy.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without a log beside it


def copy_in(connection: Connection, path: Path) -> None:
    """Put the rows of a SQLite file, migrated if need be, in the place of all that are there."""
    SqliteDatabase(path).close()
    for table in reversed(_TABLES):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM former_places")  # the other deletions are noted there
    with closing(sqlite3.connect(path)) as original:
        for table, is_numbered in _TABLES.items():
            columns = _columns(original, table)
            rows = original.execute(f"SELECT {columns} FROM {table}")
            for batch in _batches(rows):
                connection.executemany(_insert(table, columns), batch)
            number = "rowid" if is_numbered else "number" if table == "steps" else ""
            if number:
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', '{number}'), coalesce(max({number}), 0) + 1, "
                    f"false) FROM {table}"
                )


def _columns(sqlite: sqlite3.Connection, table: str) -> str:
    names = [row[1] for row in sqlite.execute(f"PRAGMA table_info({table})")]
    return ", ".join([*(f'"{name}"' for name in names), *(["rowid"] if _TABLES[table] else [])])


def _insert(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * (columns.count(',') + 1))})"


def _batches(rows: sqlite3.Cursor) -> Iterator[Sequence[tuple[Any, ...]]]:
    while batch := rows.fetchmany(_ROWS):
        yield batch
