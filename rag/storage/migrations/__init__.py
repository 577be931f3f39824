"""From the tables of older programs to those of schema.py, step by step, with Alembic.

A new database gets its tables from schema.py at once. One that a program without Alembic made is first brought to the
last form that these knew (before_alembic.py), where the revisions in `versions/` begin.
"""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy

from rag.storage import schema
from rag.storage.migrations import before_alembic

REVISION = "0001"  # of the tables in schema.py: the last one in `versions/`
_one_at_a_time = threading.Lock()  # Alembic has one context for the whole process


def current_revision(connection: sqlalchemy.Connection) -> str | None:
    """The revision of the tables that are there; None where Alembic has not seen any yet."""
    if not sqlalchemy.inspect(connection).has_table(schema.revisions.name):
        return None
    return connection.execute(sqlalchemy.select(schema.revisions.c.version_num)).scalar()


def migrate(connection: sqlalchemy.Connection) -> bool:
    """Make the tables, or bring older ones up to date, within the connection's transaction. False, with nothing done,
    where a newer program made them."""
    revision = current_revision(connection)
    if revision is None and not before_alembic.version(connection):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(schema.POSTGRES_FUNCTIONS, execution_options={"no_parameters": True})
        schema.metadata.create_all(connection, checkfirst=False)
        schema.revisions.create(connection)
        connection.execute(schema.properties.insert(), {"name": "revision", "value": "0"})
        connection.execute(schema.revisions.insert(), {"version_num": REVISION})
        before_alembic.refuse_older_programs(connection)
        return True
    if revision is None and not before_alembic.upgrade(connection):
        return False
    return _upgrade(connection)


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
