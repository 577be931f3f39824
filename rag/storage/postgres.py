"""A catalog in PostgreSQL, which several processes may share: connections, transactions, and migration.

Statements come in SQLite's form (see database.py) and are put into PostgreSQL's. Writes go one at a time, over all
processes: each transaction holds a lock of the database, which ends with it, however that is.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import ConfigurationError, Conflict, DatabaseUnavailable
from rag.storage.database import Connection, Rows
from rag.storage.postgres_schema import BASE_VERSION, MIGRATIONS, base_schema

if TYPE_CHECKING:
    import psycopg

_MOST_CONNECTIONS = 10  # of a process: PostgreSQL lets 100 in
_PATIENCE = 30  # seconds that a writer waits for another one, as with SQLite
_LONG_PATIENCE = 600  # … and who has something large to write, for others who have
_LOOK = 2  # seconds between two looks at whether to wait on
_VERSION = BASE_VERSION + len(MIGRATIONS)
_LOCK_SPACE = 0x666E  # so that other programs' locks are others
_TAKE_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_SPACE}, hashtext(current_schema()))"
_PARAMETERS = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "footnote",
    "client_encoding": "UTF8",
}
# A client that vanished without a word must not keep its locks for hours.
_SESSION = f"""
    SET lock_timeout = '{_PATIENCE}s'; SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3; SET tcp_user_timeout = 30000
"""
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|\?(\d*)|(?<=[\s(])\+(?=[A-Za-z])|\bLIKE\b""")
# What a server says that will say so again until somebody changes a setting.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|could not translate host name"
    r"|permission denied|invalid [^\n]*connection option"
)


@lru_cache(1024)
def translated(statement: str) -> str:
    """A statement in SQLite's form, in PostgreSQL's."""
    count = 0

    def token(match: re.Match[str]) -> str:
        nonlocal count
        text = match[0]
        if text.startswith("?"):
            count += 1
            return f"${match[1] or count}"
        return {"LIKE": "ILIKE", "+": ""}.get(text, text)

    return _TOKEN.sub(token, statement)


class PostgresDatabase:
    """An open database. Close it when done; opening makes its tables, or migrates older ones.

    Raises ConfigurationError when the server lets nobody in with this URL or psycopg is not installed,
    DatabaseUnavailable while the server cannot be reached (as all methods do), Conflict when a newer program made the
    tables.
    """

    def __init__(self, url: str) -> None:
        """`url` is one of libpq's: `postgresql://user:password@host/database`."""
        self._parameters = _parsed(url)
        self._idle: deque[psycopg.Connection[Any]] = deque()
        self._slots = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._writing = threading.Lock()  # one waits at the server for all of this process
        self._threads = threading.local()
        self._closed = False
        self._is_ending = threading.Event()
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections of all threads."""
        self._closed = True
        self._close_idle()

    def read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; within a transaction of this thread, as it sees them."""
        transaction: Connection | None = getattr(self._threads, "transaction", None)
        if transaction is not None:
            return transaction.execute(statement, values).fetchall()
        with self._answering(translated(statement), values) as (_, rows):
            return rows.fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes take effect together at the end, or not at all when the block raises."""
        assert getattr(self._threads, "transaction", None) is None, "transactions do not nest"
        with self._writing, self._answering(f"BEGIN; {_TAKE_LOCK}") as (connection, _):
            transaction = _Transaction(connection)
            self._threads.transaction = transaction
            try:
                yield transaction
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
            else:
                connection.commit()
            finally:
                self._threads.transaction = None

    @property
    def is_shared(self) -> bool:
        """Other processes may write at any time."""
        return True

    @contextmanager
    def exclusive(self, name: str, *, wait: bool = True) -> Iterator[Callable[[], bool]]:
        """While the block lasts, no other process is in one of that name; it ends with its process, however that is.
        The value tells whether that is so: not where another is there and `wait` is off, and no more when the
        connection was lost. Raises Conflict where it would have to wait after `stop_waiting`."""
        key = f"{_LOCK_SPACE + 1}, hashtext(current_schema() || ?)"
        import psycopg

        try:
            with closing(self._connect()) as connection:  # of its own: nothing else may end it
                taken = connection.execute(translated(f"SELECT pg_try_advisory_lock({key})"), (name,)).fetchone()
                if wait and taken == (False,):
                    self._wait(connection, translated(f"SELECT pg_advisory_lock({key})"), name)
                    taken = (True,)
                yield lambda: taken == (True,) and _is_alive(connection)
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error

    def stop_waiting(self) -> None:
        """From now on nobody waits for other processes, as the program is ending."""
        self._is_ending.set()

    def _wait(self, connection: psycopg.Connection[Any], take: str, name: str) -> None:
        """Run a statement that waits for a lock, with looks at whether that is still wanted."""
        from psycopg.errors import LockNotAvailable

        connection.execute(f"SET lock_timeout = '{_LOOK}s'")
        deadline = time.monotonic() + _LONG_PATIENCE
        while not self._is_ending.is_set():
            try:
                connection.execute(take, (name,))
            except LockNotAvailable:
                if time.monotonic() > deadline:
                    raise
            else:
                return
        raise Conflict("The program is ending while another process writes.", hint="Start it again, and repeat it.")

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it stands at one moment, into a SQLite file that must not be there; nobody has to
        wait."""
        from rag.storage.postgres_copy import copy_out

        with self._answering("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as (connection, _):
            try:
                copy_out(connection, path)
            finally:
                if not connection.closed:
                    connection.rollback()

    def copy_from(self, path: Path) -> None:
        """Make it what a SQLite file has, at once; what was there is gone."""
        from rag.storage.postgres_copy import copy_in

        with self.transaction() as connection:
            copy_in(connection, path)

    def shrink(self) -> None:
        """PostgreSQL gives space back by itself (autovacuum)."""

    @contextmanager
    def _answering(
        self, first: str, values: Sequence[object] = ()
    ) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Cursor[Any]]]:
        """A connection and its answer to the first statement, tried again on a new one where an old one was lost."""
        import psycopg

        with self._slots:
            connection: psycopg.Connection[Any] | None = None
            try:
                connection = self._take()
                try:
                    rows = connection.execute(first, values or None)
                except psycopg.OperationalError:
                    if not connection.closed:
                        raise
                    self._close_idle()  # the server was started anew: the others are lost as well
                    connection = self._connect()
                    rows = connection.execute(first, values or None)
                yield connection, rows
            except psycopg.OperationalError as error:
                raise _unavailable(error) from error
            finally:
                if connection is not None:
                    self._give_back(connection)

    def _take(self) -> psycopg.Connection[Any]:
        if self._closed:
            raise Conflict("The catalog is closed.", hint="The program is ending: start it again.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        try:
            connection = psycopg.Connection.connect(
                **self._parameters, autocommit=True, cursor_factory=psycopg.RawCursor
            )
        except psycopg.OperationalError as error:
            if _REFUSED.search(str(error)):
                raise _refused(error) from error
            raise
        _adapt(connection)
        connection.execute(_SESSION)
        return connection

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        from psycopg.pq import TransactionStatus

        if self._closed or connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def _close_idle(self) -> None:
        with suppress(IndexError):  # other threads take from it, too
            while True:
                self._idle.pop().close()

    def _migrate(self) -> None:
        import psycopg

        try:
            with self.transaction() as connection:  # other processes may be opening it, too
                if connection.execute("SELECT to_regclass('schema_version')").fetchone() == (None,):
                    self._require_fit(connection)
                    connection.execute(base_schema())
                    connection.execute("CREATE TABLE schema_version (version bigint NOT NULL)")
                    connection.execute(f"INSERT INTO schema_version VALUES ({BASE_VERSION})")
                (version,) = connection.execute("SELECT version FROM schema_version").fetchone()
                if version > _VERSION:
                    raise Conflict(
                        f"The tables in {self._name} were made by a newer version of Footnote.",
                        hint="Update Footnote, or set RAG_STORAGE__DATABASE_URL to another database.",
                    )
                for script in MIGRATIONS[version - BASE_VERSION :]:
                    connection.execute(script)
                connection.execute("UPDATE schema_version SET version = ?", (_VERSION,))
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise ConfigurationError(
                f"The tables of the catalog cannot be made in {self._name}: {_said(error)}.",
                hint="Give Footnote an empty database of its own, whose owner it is.",
            ) from error

    def _require_fit(self, connection: Connection) -> None:
        (encoding,) = connection.execute("SHOW server_encoding").fetchone()
        if encoding != "UTF8":
            raise ConfigurationError(
                f"{self._name} is kept in the encoding {encoding}; Footnote needs UTF8.",
                hint="CREATE DATABASE footnote ENCODING 'UTF8' TEMPLATE template0 makes a fitting one.",
            )

    @property
    def _name(self) -> str:
        return f"the database {self._parameters.get('dbname', '')!r} at {self._parameters.get('host', 'localhost')}"


class _Transaction:
    """A connection within a transaction, for statements in SQLite's form."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        return self._connection.execute(translated(statement), values or None)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        with self._connection.cursor() as cursor:
            cursor.executemany(translated(statement), rows)
        return None


def _parsed(url: str) -> dict[str, Any]:
    """The parameters of a connection. Raises ConfigurationError, which does not repeat the URL: a password is in it."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigurationError(
            "RAG_STORAGE__DATABASE_URL names a PostgreSQL database, but psycopg is not installed.",
            hint="pip install 'footnote[postgres]', or `make setup EXTRAS=postgres`.",
        ) from error
    if re.match(r"postgres(ql)?://", url):
        with suppress(psycopg.ProgrammingError):
            return {**_PARAMETERS, **conninfo_to_dict(url)}
    raise ConfigurationError(
        "RAG_STORAGE__DATABASE_URL is no URL of a PostgreSQL database.",
        hint="It looks like postgresql://user:password@host:5432/footnote; in the password, %, / and @ are written as "
        "%25, %2F and %40.",
    )


def password_of(url: str) -> str:
    """The password in a URL, empty if there is none. Raises ConfigurationError for what is no URL of a database."""
    return str(_parsed(url).get("password") or "") if url else ""


def drop_all(url: str) -> None:
    """Remove the tables, of whatever version, with what is in them. Raises ConfigurationError, DatabaseUnavailable."""
    import psycopg
    from psycopg import sql

    try:
        with psycopg.Connection.connect(**_parsed(url)) as connection:
            [(name,)] = connection.execute("SELECT current_schema()").fetchall()
            schema = sql.Identifier(name)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    except psycopg.OperationalError as error:
        raise _unavailable(error) from error


def _adapt(connection: psycopg.Connection[Any]) -> None:
    """Send values as SQLite would keep them: all whole numbers alike, truth as a number, texts without what cannot be
    stored in UTF-8 or by PostgreSQL; lengths stay."""
    from psycopg.adapt import Dumper

    class Text(Dumper):
        oid = 25

        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\ufffd").encode("utf-8", "replace")

    class Integer(Dumper):
        oid = 20

        def dump(self, obj: int) -> bytes:
            return b"%d" % obj

        def quote(self, obj: int) -> bytes:  # where the server takes no values, as in FETCH
            return self.dump(obj)

    connection.adapters.register_dumper(str, Text)
    connection.adapters.register_dumper(int, Integer)
    connection.adapters.register_dumper(bool, Integer)


def _is_alive(connection: psycopg.Connection[Any]) -> bool:
    import psycopg

    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _said(error: psycopg.Error) -> str:
    """The server's words, the first line."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0].rstrip(".")


def _unavailable(error: psycopg.OperationalError) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The database of the catalog does not answer: {_said(error)}.",
        hint="Is PostgreSQL running at RAG_STORAGE__DATABASE_URL? Footnote goes on when it is back.",
    )


def _refused(error: psycopg.OperationalError) -> ConfigurationError:
    return ConfigurationError(
        f"The database of the catalog cannot be opened: {_said(error)}.",
        hint="Check host, database, user and password in RAG_STORAGE__DATABASE_URL.",
    )
