"""A catalog in PostgreSQL, which several processes may share. Writes go one at a time, over all processes: each
transaction holds a lock of the database.

Only who is given the URL of a database imports this: without psycopg that raises ConfigurationError.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import sqlalchemy
from sqlalchemy import exc

from rag.errors import ConfigurationError, Conflict, DatabaseUnavailable
from rag.storage import schema
from rag.storage.database import Connection, Database, copy_rows
from rag.storage.sqlite import SqliteDatabase, make_one_file

try:
    import psycopg
    from psycopg import sql
    from psycopg.adapt import Dumper
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.errors import LockNotAvailable
except ImportError as error:
    raise ConfigurationError(
        "RAG_STORAGE__DATABASE_URL names a PostgreSQL database, but psycopg is not installed.",
        hint="pip install 'footnote[postgres]', or `make setup EXTRAS=postgres`.",
    ) from error

_MOST_CONNECTIONS = 10  # of a process: PostgreSQL lets 100 in
_PATIENCE = 30  # seconds that a writer waits for another one, as with SQLite
_LONG_PATIENCE = 600  # … and who has something large to write, for others who have
_LOOK = 2  # seconds between two looks at whether to wait on
_LOCK_SPACE = 0x666E  # so that other programs' locks are others
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
# What a server says that will say so again until somebody changes a setting.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|could not translate host name"
    r"|permission denied|invalid [^\n]*connection option"
)


class PostgresDatabase(Database):
    """An open database. Close it when done; opening makes its tables, or migrates older ones.

    Raises ConfigurationError when the server lets nobody in with this URL, DatabaseUnavailable while the server cannot
    be reached (as all methods do), Conflict when a newer program made the tables.
    """

    # a lock of the database, which ends with the transaction, however that is
    BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK_SPACE}, hashtext(current_schema()))"
    PLACE = "%s"
    UNINDEXED = ""  # its planner knows how many rows there are
    is_shared = True

    def __init__(self, url: str) -> None:
        """`url` is one of libpq's: `postgresql://user:password@host/database`."""
        super().__init__()
        self._parameters = _parsed(url)
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_size=_MOST_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_LONG_PATIENCE,
            pool_use_lifo=True,
            pool_pre_ping=True,  # the server may have been started anew
            use_native_hstore=False,
            hide_parameters=True,
        )
        self._is_ending = threading.Event()
        newer = Conflict(
            f"The tables in {self._name} were made by a newer version of Footnote, or by a very old one.",
            hint="Update Footnote, or set RAG_STORAGE__DATABASE_URL to another database.",
        )
        try:
            self._require_fit()
            self._migrate(newer)
        except exc.DBAPIError as error:
            self.close()
            raise ConfigurationError(
                f"The tables of the catalog cannot be made in {self._name}: {_message(error.orig)}.",
                hint="Give Footnote an empty database of its own, whose owner it is.",
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections of all threads."""
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection that nobody else uses meanwhile."""
        self._require_open()
        try:
            with self._engine.connect() as connection:
                try:
                    yield Connection(connection)
                finally:
                    if self._closed and not connection.invalidated:
                        connection.detach()  # so that it is closed, as there is no pool any more
        except (exc.OperationalError, exc.TimeoutError, psycopg.OperationalError) as error:
            raise _unavailable(error) from error

    @contextmanager
    def exclusive(self, name: str, *, wait: bool = True) -> Iterator[Callable[[], bool]]:
        """While the block lasts, no other process is in one of that name; it ends with its process, however that is.
        The value tells whether that is so: not where another is there and `wait` is off, and no more when the
        connection was lost. Raises Conflict where it would have to wait after `stop_waiting`."""
        key = f"{_LOCK_SPACE + 1}, hashtext(current_schema() || %s)"
        try:
            with closing(self._connect()) as connection:  # of its own: nothing else may end it
                taken = connection.execute(f"SELECT pg_try_advisory_lock({key})", (name,)).fetchone()
                if wait and taken == (False,):
                    self._wait(connection, f"SELECT pg_advisory_lock({key})", name)
                    taken = (True,)
                try:
                    yield lambda: taken == (True,) and _is_alive(connection)
                finally:  # at once: the server notices only after a while that we have hung up
                    with suppress(psycopg.OperationalError):  # a lost connection holds no lock
                        connection.execute("SELECT pg_advisory_unlock_all()")
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error

    def stop_waiting(self) -> None:
        """From now on nobody waits for other processes, as the program is ending."""
        self._is_ending.set()

    def _wait(self, connection: psycopg.Connection[Any], take: LiteralString, name: str) -> None:
        """Run a statement that waits for a lock, with looks at whether that is still wanted."""
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
        with closing(SqliteDatabase(path)) as copy, self.connected() as source, copy.transaction() as target:
            source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            target.execute("DELETE FROM properties")
            copy_rows(source, target)
        make_one_file(path)

    def copy_from(self, path: Path) -> None:
        """Make it what a SQLite file has, migrated if need be, at once; what was there is gone."""
        with closing(SqliteDatabase(path)) as original, original.connected() as source, self.transaction() as target:
            for table in reversed(schema.metadata.sorted_tables):
                target.execute(table.delete())
            copy_rows(source, target)
            for table in schema.metadata.sorted_tables:
                for column in table.columns:
                    if column.identity is not None:  # what is added comes behind what was copied
                        target.execute(
                            f"SELECT setval(pg_get_serial_sequence('{table}', '{column.name}'), "
                            f"coalesce(max({column.name}), 0) + 1, false) FROM {table}"
                        )

    def shrink(self) -> None:
        """PostgreSQL gives space back by itself (autovacuum)."""

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.Connection.connect(**self._parameters, autocommit=True)
        except psycopg.OperationalError as error:
            if _REFUSED.search(str(error)):
                raise _refused(error) from error
            raise
        _adapt(connection)
        connection.execute(_SESSION)
        return connection

    def _require_fit(self) -> None:
        encoding = self.read("SHOW server_encoding")[0].server_encoding
        if encoding != "UTF8":
            raise ConfigurationError(
                f"{self._name} is kept in the encoding {encoding}; Footnote needs UTF8.",
                hint="CREATE DATABASE footnote ENCODING 'UTF8' TEMPLATE template0 makes a fitting one.",
            )

    @property
    def _name(self) -> str:
        return f"the database {self._parameters.get('dbname', '')!r} at {self._parameters.get('host', 'localhost')}"


def _parsed(url: str) -> dict[str, Any]:
    """The parameters of a connection. Raises ConfigurationError, which does not repeat the URL: a password is in it."""
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
    return str(_parsed(url).get("password") or "")


def drop_all(url: str) -> None:
    """Remove the tables, of whatever version, with what is in them. Raises ConfigurationError, DatabaseUnavailable."""
    try:
        with psycopg.Connection.connect(**_parsed(url)) as connection:
            [(name,)] = connection.execute("SELECT current_schema()").fetchall()
            schema = sql.Identifier(name)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    except psycopg.OperationalError as error:
        raise _unavailable(error) from error


class _Text(Dumper):
    oid = 25

    def dump(self, obj: str) -> bytes:
        return obj.replace("\0", "\ufffd").encode("utf-8", "replace")


class _Integer(Dumper):
    oid = 20

    def dump(self, obj: int) -> bytes:
        return b"%d" % obj

    def quote(self, obj: int) -> bytes:  # where the server takes no values, as in FETCH
        return self.dump(obj)


def _adapt(connection: psycopg.Connection[Any]) -> None:
    """Send values as SQLite would keep them: all whole numbers alike, truth as a number, texts without what cannot be
    stored in UTF-8 or by PostgreSQL; lengths stay."""
    connection.adapters.register_dumper(str, _Text)
    connection.adapters.register_dumper(int, _Integer)
    connection.adapters.register_dumper(bool, _Integer)


def _is_alive(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _message(error: BaseException | None) -> str:
    """What the server says, its first line."""
    text = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    return text.strip().partition("\n")[0].rstrip(".")


def _unavailable(error: Exception) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The database of the catalog does not answer: {_message(getattr(error, 'orig', error))}.",
        hint="Is PostgreSQL running at RAG_STORAGE__DATABASE_URL? Footnote goes on when it is back.",
    )


def _refused(error: psycopg.OperationalError) -> ConfigurationError:
    return ConfigurationError(
        f"The database of the catalog cannot be opened: {_message(error)}.",
        hint="Check host, database, user and password in RAG_STORAGE__DATABASE_URL.",
    )
