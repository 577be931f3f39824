"""What a database behind the catalog can do; sqlite.py and postgres.py do it.

Both are given the same statements, so these are written in the SQL that both have in common, with SQLite's signs:

- `?` and `?1` stand for values. A list is handed over as JSON: `id IN (SELECT value FROM json_each(?))`.
- `json_each`, `json_extract`, `json_remove`, `json_group_array` and `unixepoch` are there in both (postgres_schema.py
  has those that PostgreSQL lacks). What `json_each` calls `value` is to be cast where it is no text.
- A plus before a column keeps SQLite from using its index; PostgreSQL does not see it.
- LIKE looks at no case (of ASCII), texts are ordered by their characters, and `rowid` tells what was added first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

CATALOG_NAME = "catalog.sqlite3"  # in the storage folder


class Rows(Protocol):
    """What a statement brought."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row, None if there is none."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection within a transaction."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Rows:
        """Run a statement with its values."""

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run a statement once for each row of values."""


class Database(Protocol):
    """An open database; all methods may be called from any thread."""

    def close(self) -> None:
        """Close the connections of all threads."""

    def read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; within a transaction of this thread, as it sees them."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """A connection whose changes take effect together at the end, or not at all when the block raises. One at a
        time: what is read within stays true until its end."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use it at the same time."""

    def exclusive(self, name: str, *, wait: bool = True) -> AbstractContextManager[Callable[[], bool]]:
        """While the block lasts, no other process is in one of that name; it ends with its process, however that is.
        The value tells whether that is so: not where another is there and `wait` is off, and no more when the
        connection was lost. Keeps no threads of one process apart. Raises DatabaseUnavailable, or Conflict after
        `stop_waiting`."""

    def stop_waiting(self) -> None:
        """Let `exclusive` raise Conflict from now on, where it would have to wait: the program is ending."""

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it stands at one moment, into a SQLite file that must not be there; nobody has to
        wait."""

    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system."""
