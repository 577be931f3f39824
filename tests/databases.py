"""A PostgreSQL database for tests, where FOOTNOTE_TEST_POSTGRES names a server: emptied before every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

SERVER = os.environ.get("FOOTNOTE_TEST_POSTGRES", "")  # postgresql://postgres:password@127.0.0.1:5432/postgres
NEEDS_SERVER = "FOOTNOTE_TEST_POSTGRES names no PostgreSQL server to test with: CONTRIBUTING.md"


def run(url: str, statement: str) -> list[tuple]:
    """Run a statement on a connection of its own; its rows."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(statement)
        return rows.fetchall() if rows.description else []


@contextmanager
def made(name: str) -> Iterator[str]:
    """A database of this process, without tables; its URL."""
    if not SERVER:
        pytest.skip(NEEDS_SERVER)
    name = f"footnote_test_{name}_{os.getpid()}"
    run(SERVER, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    try:
        run(SERVER, f"ALTER DATABASE {name} SET synchronous_commit = off")
        yield urlsplit(SERVER)._replace(path=f"/{name}").geturl()
    finally:
        run(SERVER, f"DROP DATABASE {name} WITH (FORCE)")


def emptied(url: str) -> str:
    """The same database, as if it had just been made."""
    tables = [name for (name,) in run(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    deletions = "".join(f"DELETE FROM {name};" for name in tables if name != "alembic_version")
    run(
        url,
        f"SET session_replication_role = replica; {deletions}INSERT INTO properties VALUES ('revision', '0')",
    )
    return url


def end_connections(url: str) -> None:
    """End all connections to the database, as a server that is started anew does."""
    run(SERVER, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{urlsplit(url).path[1:]}'")


@contextmanager
def away(url: str) -> Iterator[None]:
    """While the block lasts no connection to the database is let in, and those there were have ended."""
    name = urlsplit(url).path[1:]
    run(SERVER, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        end_connections(url)
        yield
    finally:
        run(SERVER, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
