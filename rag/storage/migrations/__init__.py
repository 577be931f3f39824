"""From the tables of older programs to those of schema.py, step by step, with Alembic.

A new database gets its tables from schema.py at once. The revisions in `versions/` begin at the last form that was made
without Alembic. Its number is in SQLite's `user_version`, or in PostgreSQL's table `schema_version`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy

from rag.storage import schema

REVISION = "0003"  # of the tables in schema.py: the last one in `versions/`
LAST_BEFORE_ALEMBIC = 13
_one_at_a_time = threading.Lock()  # Alembic has one context for the whole process


def current_revision(connection: sqlalchemy.Connection) -> str | None:
    """The revision of the tables that are there; None where Alembic has not seen any yet."""
    if not sqlalchemy.inspect(connection).has_table(schema.revisions.name):
        return None
    return connection.execute(sqlalchemy.select(schema.revisions.c.version_num)).scalar()


def migrate(connection: sqlalchemy.Connection) -> bool:
    """Make the tables, or bring older ones up to date, within the connection's transaction. False, with nothing done,
    where a newer program made them, or one before the last without Alembic."""
    if current_revision(connection) is None:
        found = _version_before_alembic(connection)
        if not found:
            _create_tables(connection)
        if found != LAST_BEFORE_ALEMBIC:
            return not found
    return _upgrade(connection)


def _version_before_alembic(connection: sqlalchemy.Connection) -> int:
    """The version of the tables that a program without Alembic made; 0 where there are none."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not sqlalchemy.inspect(connection).has_table("schema_version"):
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar_one())


def _create_tables(connection: sqlalchemy.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(schema.POSTGRES_FUNCTIONS, execution_options={"no_parameters": True})
    schema.metadata.create_all(connection, checkfirst=False)
    schema.revisions.create(connection)
    connection.execute(schema.properties.insert(), {"name": "revision", "value": "0"})
    connection.execute(schema.revisions.insert(), {"version_num": REVISION})
    refuse_older_programs(connection)


def refuse_older_programs(connection: sqlalchemy.Connection) -> None:
    """Let programs that know no Alembic find tables newer than theirs. In PostgreSQL they fail by themselves."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {LAST_BEFORE_ALEMBIC + 1}")


def _upgrade(connection: sqlalchemy.Connection) -> bool:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current_revision(connection) not in (None, *known):
        return False
    with _one_at_a_time:
        command.upgrade(config, "head")
    return True
