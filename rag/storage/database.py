"""The database behind the catalog: transactions, reads and migration; sqlite.py and postgres.py say what is different.

Statements are SQLAlchemy's, or texts that both databases understand:

- `:name` stands for a value. A list is handed over as JSON: `id IN (SELECT value FROM json_each(:ids))`.
- `json_each`, `json_extract`, `json_remove`, `json_group_array` and `unixepoch` are there in both (schema.py has those
  that PostgreSQL lacks). What `json_each` calls `value` is to be cast where it is no text.
- Texts are ordered by their characters, and `rowid` tells what was added first.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy import Executable, TextClause

from rag.errors import Conflict
from rag.storage import schema
from rag.storage.migrations import REVISION, current_revision, migrate

CATALOG_NAME = "catalog.sqlite3"  # in the storage folder
_ROWS = 500  # copied at a time: sections may be large

Row = sqlalchemy.Row[*tuple[Any, ...]]  # its values have names: `row.title`
Result = sqlalchemy.CursorResult[*tuple[Any, ...]]


class _Statement:
    """A statement in words. The names of its columns are looked up once, as that takes longer than a short query."""

    def __init__(self, words: str) -> None:
        self.executable: Executable = sqlalchemy.text(words)
        self.is_known = False

    def note(self, result: Result) -> None:
        """Note which columns its rows have."""
        self.is_known = True
        names = result.keys() if result.returns_rows else ()
        if names and len({*names}) == len(names) and isinstance(self.executable, TextClause):
            self.executable = self.executable.columns(*(sqlalchemy.column(name) for name in names))


_statement = lru_cache(1024)(_Statement)


class Connection:
    """A connection, within a transaction or for reading."""

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self.sqlalchemy = connection

    @property
    def driver(self) -> Any:
        """The connection of the database's own library."""
        return self.sqlalchemy.connection.driver_connection

    def execute(self, statement: str | Executable, /, **values: object) -> Result:
        """Run a statement with its values."""
        if not isinstance(statement, str):
            return self.sqlalchemy.execute(statement, values)
        known = _statement(statement)
        result = self.sqlalchemy.execute(known.executable, values)
        if not known.is_known:
            known.note(result)
        return result

    def executemany(self, statement: str, rows: Iterable[Mapping[str, object]], /) -> None:
        """Run a statement once for each row of values."""
        if rows := list(rows):
            self.sqlalchemy.execute(_statement(statement).executable, rows)


class Database(ABC):
    """An open database; all methods may be called from any thread."""

    BEGIN: ClassVar[str]  # of a transaction that writes
    PLACE: ClassVar[str]  # of a value, for the driver
    UNINDEXED: ClassVar[str]  # before a column: it is to be found by no index, where the planner would go wrong
    is_shared: ClassVar[bool]  # whether other processes may write at the same time

    def __init__(self) -> None:
        self._threads = threading.local()
        self._writing = threading.RLock()
        self._closed = False

    @abstractmethod
    def close(self) -> None:
        """Close the connections of all threads."""

    @abstractmethod
    def connected(self) -> AbstractContextManager[Connection]:
        """A connection that nobody else uses meanwhile; a statement is a transaction of its own. Raises Conflict when
        the database was closed."""

    def refuse_writes(self) -> None:  # noqa: B027  (of a server there are no copies)
        """From now on all that would change something raises, where the database is a copy; else it stays as it is."""

    def read(self, statement: str | Executable, /, **values: object) -> Sequence[Row]:
        """The rows of a query; within a transaction of this thread, as it sees them."""
        with self._reading() as connection:
            return connection.execute(statement, **values).all()

    def first(self, statement: str | Executable, /, **values: object) -> Row | None:
        """The first row of a query, None where it has none; as with `read`."""
        with self._reading() as connection:
            return connection.execute(statement, **values).first()

    def write(self, statement: str, /, **values: object) -> int:
        """Run a statement in a transaction of its own; how many rows it changed."""
        with self.transaction() as connection:
            return connection.execute(statement, **values).rowcount

    def read_fast(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Like `read`, past SQLAlchemy, for the few queries of every search: `PLACE` stands for a value."""
        with self._reading() as connection:
            rows: list[tuple[Any, ...]] = connection.driver.execute(statement, values).fetchall()
            return rows

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes take effect together at the end, or not at all when the block raises. One at a
        time: what is read within stays true until its end."""
        assert getattr(self._threads, "transaction", None) is None, "transactions do not nest"
        with self._writing, self.connected() as connection:
            connection.sqlalchemy.exec_driver_sql(self.BEGIN, execution_options={"no_parameters": True})
            self._threads.transaction = connection
            try:
                yield connection
                connection.sqlalchemy.commit()
            except BaseException:  # also where the commit failed: the connection would be of no use any more
                connection.sqlalchemy.rollback()
                raise
            finally:
                self._threads.transaction = None

    @abstractmethod
    def exclusive(self, name: str, *, wait: bool = True) -> AbstractContextManager[Callable[[], bool]]:
        """While the block lasts, no other process is in one of that name; it ends with its process, however that is.
        The value tells whether that is so: not where another is there and `wait` is off, and no more when the
        connection was lost. Keeps no threads of one process apart. Raises DatabaseUnavailable, or Conflict after
        `stop_waiting`."""

    @abstractmethod
    def stop_waiting(self) -> None:
        """Let `exclusive` raise Conflict from now on, where it would have to wait: the program is ending."""

    @abstractmethod
    def copy_to(self, path: Path) -> None:
        """Write all of it, as it stands at one moment, into a SQLite file that must not be there; nobody has to
        wait."""

    @abstractmethod
    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system."""

    def _reading(self) -> AbstractContextManager[Connection]:
        transaction: Connection | None = getattr(self._threads, "transaction", None)
        return self.connected() if transaction is None else nullcontext(transaction)

    def _require_open(self) -> None:
        if self._closed:
            raise Conflict("The catalog is closed.", hint="The program is ending: start it again.")

    def _migrate(self, newer: Conflict) -> None:
        """Make the tables, or bring older ones up to date. Raises `newer` where a newer program made them."""
        with self.connected() as connection:
            if current_revision(connection.sqlalchemy) == REVISION:
                return
        with self.transaction() as connection:  # other processes may be opening it, too
            if not migrate(connection.sqlalchemy):
                raise newer


def copy_rows(source: Connection, target: Connection) -> None:
    """Put all rows of one database into another one, whose tables are empty."""
    for table in schema.metadata.sorted_tables:  # in an order in which every row finds those it refers to
        rows = source.sqlalchemy.execute(sqlalchemy.select(table).execution_options(yield_per=_ROWS))
        for batch in rows.partitions():
            target.sqlalchemy.execute(table.insert(), [row._asdict() for row in batch])


def contains(*columns: str) -> str:
    """The condition that one of the columns has the characters of the `pattern`, whatever their case (of ASCII)."""
    return "(" + " OR ".join(f"lower({column}) LIKE :pattern ESCAPE '!'" for column in columns) + ")"


def pattern_of(text: str) -> str:
    """The value of `:pattern` that finds these characters as they are."""
    lower = text.encode("utf-8", "replace").lower().decode()  # of ASCII alone, as the databases do it
    return "%" + re.sub("[!%_]", r"!\g<0>", lower) + "%"
