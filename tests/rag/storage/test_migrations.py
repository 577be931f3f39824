"""Catalogs of older programs are taken over with all that is in them, and get the tables that new ones have.

`catalogs/` has what the last program before Alembic made: a small catalog in SQLite, and its tables in PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory

from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from rag.errors import Conflict
from rag.storage import migrations
from rag.storage.catalog import Catalog
from rag.storage.conversations import Conversations, preferences
from rag.storage.feedback import list_feedback, list_votes
from rag.storage.migrations import LAST_BEFORE_ALEMBIC
from rag.storage.postgres import PostgresDatabase
from rag.storage.sqlite import SqliteDatabase
from rag.storage.vector_stores import VectorStores
from tests import databases

OLD_SQLITE = (Path(__file__).parent / "catalogs/before_alembic_sqlite.sql").read_text("utf-8")
OLD_POSTGRES = (Path(__file__).parent / "catalogs/before_alembic_postgres.sql").read_text("utf-8")
GONE = {"former_places"}
JOB_COLUMNS = (
    "id, owner_id, collection, file_id, state, starts, report, created_at, updated_at, attributes, chunking, runner, "
    "stop"
)


@pytest.fixture
def old_file(tmp_path):
    """The catalog of an older program in SQLite."""
    path = tmp_path / "catalog.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD_SQLITE)
    return path


@pytest.fixture
def bare_url():
    """A PostgreSQL database without tables."""
    with databases.made("migrated") as url:
        yield url


@pytest.fixture
def old_url(bare_url):
    """The same catalog in PostgreSQL, where columns have another order."""
    rows = "".join(line for line in OLD_SQLITE.splitlines() if line.startswith("INSERT"))
    rows = rows.replace('"jobs" VALUES', f'"jobs" ({JOB_COLUMNS}) VALUES')
    databases.run(bare_url, OLD_POSTGRES)
    databases.run(bare_url, f"SET session_replication_role = replica; DELETE FROM properties; {rows}")
    return bare_url


def tables_in(place):
    """What the tables are made of, by their names, after the program has opened a file or the database of a URL."""
    (PostgresDatabase if isinstance(place, str) else SqliteDatabase)(place).close()
    url = place.replace("://", "+psycopg://") if isinstance(place, str) else f"sqlite:///{place}"
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return tables_of(connection)


def tables_of(connection):
    inspector = sqlalchemy.inspect(connection)

    def references(table):
        if connection.dialect.name == "sqlite":  # SQLAlchemy reads less than there is
            rows = connection.exec_driver_sql(f"PRAGMA foreign_key_list({table})")
            return sorted((row[3], row.table, row.on_delete) for row in rows)
        return sorted(
            (key["constrained_columns"], key["referred_table"], str(key["options"]))
            for key in inspector.get_foreign_keys(table)
        )

    def described(table):
        key = inspector.get_pk_constraint(table)["constrained_columns"]
        return {
            "key": key,
            "columns": {
                column["name"]: (
                    str(column["type"]),
                    column["nullable"] and column["name"] not in key,
                    column["default"],
                )
                for column in inspector.get_columns(table)
            },
            "references": references(table),
            "unique": sorted(unique["column_names"] for unique in inspector.get_unique_constraints(table)),
            "indexes": sorted(
                (index["name"], index["column_names"])
                for index in inspector.get_indexes(table)
                if "duplicates_constraint" not in index
            ),
        }

    return {table: described(table) for table in inspector.get_table_names()}


def check_content(catalog):
    """All that the older program had stored."""
    (ann,) = Users(catalog.database).all()
    assert (ann.name, ann.is_admin) == ("ann", True)
    assert Users(catalog.database).with_password("ann", "four words in a row") == ann
    (key,) = ApiKeys(catalog.database).all()
    default, reports = catalog.collection(), catalog.collections_called("Reports")[0]
    assert (key.name, key.read_only, key.collections) == ("laptop", True, (default.id,))
    assert default.readers == {ann.id}
    store = VectorStores(catalog.database).get(reports.id)
    assert (store.description, store.metadata, store.expires_days) == ("of all years", {"team": "ä"}, 7)
    (document,) = catalog.documents()
    assert (document.id, document.collection, document.attributes) == ("doc_1", reports.name, {"year": 2021})
    assert [chunk.text for chunk in catalog.chunks_of("doc_1")] == ["The fox is orange."]
    assert catalog.page_text("doc_1", None) == "The fox is orange."
    assert catalog.live_versions(["doc_1"])[0].name == "doc_1:1"
    talk = Conversations(catalog.database, ann.id)
    assert [step.text for step in talk.steps("talk_1")] == ["What colour is the fox?", "It is orange [1]."]
    assert [element.id for element in talk.elements("talk_1")] == ["e1"]
    assert [(given.comment, given.answer) for given in list_feedback(catalog.database)] == [("good", "It is orange.")]
    assert [vote.chosen for vote in list_votes(catalog.database)] == ["a"]
    assert preferences(catalog.database, ann.id) == {"mode": "ask"}


def test_a_catalog_in_sqlite_keeps_every_row(old_file):
    with closing(sqlite3.connect(old_file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        before = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names if name not in GONE}
    with closing(Catalog(old_file)) as catalog:
        after = {name: catalog.database.read(f"SELECT * FROM {name}") for name in before}
        assert after == before
        check_content(catalog)
    fresh = tables_in(old_file.with_name("fresh.sqlite3"))
    assert tables_in(old_file) == fresh


def test_a_catalog_of_the_first_revision_gets_sessions_and_loses_the_secret_that_signed_them(old_file):
    with closing(SqliteDatabase(old_file)) as database, database.transaction() as connection:
        for table in ("sessions", "response_items", "response_conversations", "uploads"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.execute("INSERT INTO properties VALUES ('chat_secret', 'of-many-accounts')")
    assert b"of-many-accounts" in old_file.read_bytes()
    with closing(Catalog(old_file)) as catalog:
        check_content(catalog)
        assert catalog.property("chat_secret") is None
    assert b"of-many-accounts" not in old_file.read_bytes()
    assert tables_in(old_file) == tables_in(old_file.with_name("fresh.sqlite3"))


def test_a_catalog_in_postgresql_keeps_every_row(old_url, old_file):
    with closing(Catalog(PostgresDatabase(old_url))) as catalog, closing(Catalog(old_file)) as same:
        check_content(catalog)
        for (name,) in same.database.read("SELECT name FROM sqlite_master WHERE type = 'table'"):
            if name != "alembic_version":
                columns = ", ".join(f'"{row.name}"' for row in same.database.read(f"PRAGMA table_info({name})"))
                statement = f"SELECT {columns} FROM {name}"
                assert sorted(catalog.database.read(statement)) == sorted(same.database.read(statement)), name
    taken_over = tables_in(old_url)
    with databases.made("fresh") as fresh_url:
        assert tables_in(fresh_url) == taken_over


@pytest.mark.parametrize("version", [1, LAST_BEFORE_ALEMBIC - 1, LAST_BEFORE_ALEMBIC + 1])
def test_a_version_that_nobody_knows_is_refused_and_left_alone(old_file, version):
    with closing(sqlite3.connect(old_file)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(Conflict, match="newer version"):
        SqliteDatabase(old_file)
    with closing(sqlite3.connect(old_file)) as connection:
        assert connection.execute("SELECT count(*) FROM former_places").fetchone() == (2,)


def test_the_program_before_alembic_finds_a_newer_catalog(tmp_path):
    """It takes `user_version` for the number of its scripts."""
    with closing(SqliteDatabase(tmp_path / "new.sqlite3")) as database:
        assert database.read("PRAGMA user_version")[0][0] > LAST_BEFORE_ALEMBIC


def test_several_that_open_an_old_catalog_at_once_migrate_it_once(old_file, old_url):
    problems = []

    def start(open_it):
        try:
            with closing(Catalog(open_it())) as catalog:
                check_content(catalog)
        except Exception as error:  # noqa: BLE001 - told by the main thread
            problems.append(error)

    each = [lambda: SqliteDatabase(old_file), lambda: PostgresDatabase(old_url)] * 4
    threads = [threading.Thread(target=start, args=(open_it,)) for open_it in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_the_program_knows_the_last_revision():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.REVISION]
