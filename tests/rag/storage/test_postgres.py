"""The catalog in PostgreSQL: made once, the same as in SQLite, back after a fault, and silent about its password."""

from __future__ import annotations

import io
import queue
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select

from ingest.ingestor import Ingestor
from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import ConfigurationError, Conflict, DatabaseUnavailable
from rag.operations.archive.reader import Archive
from rag.operations.archive.restore import open_replaced, restore
from rag.operations.archive.writer import back_up
from rag.operations.doctor import examine
from rag.operations.services import open_index
from rag.settings import Settings
from rag.storage.catalog import Catalog
from rag.storage.lock import ProcessLock
from rag.storage.postgres import PostgresDatabase
from rag.storage.schema import metadata
from rag.storage.sqlite import SqliteDatabase
from rag.types.documents import Scope
from tests import databases
from tests.rag.api.serving import serving, write_documents
from tests.rag.operations.archive.archives import last
from tests.rag.versions import commit, make_version

PASSWORD = "four-words-in-a-row"


@pytest.fixture
def database(postgres_url):
    with closing(PostgresDatabase(postgres_url)) as database:
        yield database


@pytest.fixture
def bare_url():
    """A database without tables."""
    with databases.made("bare") as url:
        yield url


def settings_of(storage, url=""):
    return Settings(_env_file=None, storage={"dir": storage, "database_url": url}, embedding={"model": "bag-of-words"})


# -------------------------------------------------------------------------------------------------------- statements


def test_values_come_back_as_sqlite_has_them(database, tmp_path):
    statement = "SELECT :number, :text || '! 100%', coalesce(:none, 'nothing'), :truth, :number = :same"
    values = {"number": 2**40, "text": "größer 𝔘 🦊 100% ? $1 :text", "none": None, "truth": True, "same": 2**40}
    with closing(SqliteDatabase(tmp_path / "a.sqlite3")) as sqlite:
        assert database.read(statement, **values) == sqlite.read(statement, **values)


def test_json_is_read_as_sqlite_reads_it(database, tmp_path):
    text = '{"a": [1, 2.5], "b": "x", "metadata": {"passages": ["p:1"], "question": "ä"}, "n": null}'
    with closing(SqliteDatabase(tmp_path / "a.sqlite3")) as sqlite:
        for statement in (
            'SELECT value, type FROM json_each(\'["b", "a", "b"]\')',
            "SELECT key, type FROM json_each(:text)",
            "SELECT json_extract(:text, '$.metadata.passages')",
            "SELECT json_extract(:text, '$.metadata.question')",
            "SELECT json_extract(:text, '$.metadata.nothing')",
            "SELECT json_extract(json_remove(:text, '$.metadata', '$.a'), '$.metadata.question')",
            "SELECT json_extract(json_remove(:text, '$.metadata', '$.a'), '$.b')",
        ):
            values = {"text": text} if ":text" in statement else {}
            assert database.read(statement, **values) == sqlite.read(statement, **values), statement


def test_what_postgresql_cannot_store_becomes_another_character_of_that_length(database, bag_of_words):
    with closing(Catalog(database)) as catalog:
        version = make_version("doc_a", ["before\0after\nlast line"], bag_of_words)
        commit(catalog, version)
        (section,) = catalog.sections("doc_a")
        assert len(section.text) == len(version.sections[0].text)
        assert section.text.startswith("before\ufffdafter")
        first, second = catalog.chunks_of("doc_a")
        assert section.text[second.start : second.end] == second.text == "last line"
        assert len(first.text) == len(version.chunks[0].text)
        assert catalog.database.read("SELECT :text", text="half \ud800 of a character") == [("half ? of a character",)]


def test_json_with_an_escaped_nul_can_be_read(database):
    text = r'["a\u0000b", "c\\u0000", "\u0000\u0000"]'
    assert database.read("SELECT value FROM json_each(:text)", text=text) == [
        ("a\ufffdb",),
        (r"c\u0000",),
        ("\ufffd\ufffd",),
    ]


# ------------------------------------------------------------------------------------------------------------ tables


def test_several_that_start_at_once_make_the_tables_once(bare_url):
    problems = []

    def start():
        try:
            with closing(Catalog(PostgresDatabase(bare_url))) as catalog:
                assert [collection.name for collection in catalog.collections()] == ["default"]
        except Exception as error:  # noqa: BLE001 - told by the main thread
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_tables_of_a_newer_program_are_refused_and_left_alone(bare_url):
    PostgresDatabase(bare_url).close()
    databases.run(bare_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer version") as raised:
        PostgresDatabase(bare_url)
    assert raised.value.hint
    assert databases.run(bare_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_restore_may_overwrite_tables_of_a_newer_program(bare_url, tmp_path):
    """That is the way back to an earlier version."""
    settings = Settings(_env_file=None, storage={"dir": tmp_path, "database_url": bare_url})
    PostgresDatabase(bare_url).close()
    databases.run(bare_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer version"):
        open_replaced(settings, overwrite=False)
    with closing(open_replaced(settings, overwrite=True)) as database:
        assert database.read("SELECT count(*) FROM documents") == [(0,)]


def test_a_database_with_other_tables_is_refused_and_left_alone(bare_url):
    databases.run(bare_url, "CREATE TABLE files (other text)")
    with pytest.raises(ConfigurationError, match="cannot be made") as raised:
        PostgresDatabase(bare_url)
    assert "of its own" in raised.value.hint
    assert databases.run(bare_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


# ------------------------------------------------------------------------------------------------------------ faults


def test_nobody_is_told_the_password(postgres_url, capfd, caplog, tmp_path):
    place = urlsplit(postgres_url)
    port = place.port
    urls = {
        f"postgresql://nobody:{PASSWORD}@127.0.0.1:{port}/footnote": ConfigurationError,
        f"postgresql://{place.username}:{place.password}@127.0.0.1:{port}/no_such_database": ConfigurationError,
        f"postgresql://footnote:{PASSWORD}@127.0.0.1:1/footnote": DatabaseUnavailable,
        f"postgresql://footnote:{PASSWORD}@127.0.0.1:wrong/footnote": ConfigurationError,
        f"postgresql://footnote:{PASSWORD}%@[/footnote": ConfigurationError,
        f"mysql://footnote:{PASSWORD}@127.0.0.1/footnote": ConfigurationError,
    }
    for url, kind in urls.items():
        with pytest.raises(kind) as raised:
            PostgresDatabase(url)
        assert raised.value.hint
        assert PASSWORD not in raised.value.message + raised.value.hint
        assert PASSWORD not in repr(settings_of(tmp_path, url))
        (finding,) = [found for found in examine_storage(settings_of(tmp_path, url)) if found.subject == "Database"]
        assert not finding.ok
        assert PASSWORD not in finding.summary + finding.advice
    told = capfd.readouterr()
    assert PASSWORD not in told.out + told.err + caplog.text


def examine_storage(settings):
    findings = []
    for finding in examine(settings):
        findings.append(finding)
        if finding.subject == "Disk":
            return findings
    return findings


def test_doctor_names_the_database(postgres_url, tmp_path):
    (finding,) = [
        found for found in examine_storage(settings_of(tmp_path, postgres_url)) if found.subject == "Database"
    ]
    assert finding.ok
    assert finding.summary.startswith("PostgreSQL 1")


def test_a_server_that_was_started_anew_is_found_again(postgres_url, database):
    with closing(Catalog(database)) as catalog:
        barrier = threading.Barrier(4)

        def read():
            with database.connected():
                barrier.wait(10)

        threads = [threading.Thread(target=read) for _ in range(4)]  # so many connections are open
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        databases.end_connections(postgres_url)
        assert catalog.census() == {}
        databases.end_connections(postgres_url)
        catalog.set_property("after", "all")
        assert catalog.property("after") == "all"


def test_a_transaction_that_lost_its_server_changed_nothing(postgres_url, database):
    with closing(Catalog(database)) as catalog:

        def write():
            with database.transaction() as connection:
                connection.execute("INSERT INTO properties VALUES ('half', 'done')")
                databases.end_connections(postgres_url)
                connection.execute("INSERT INTO properties VALUES ('whole', 'done')")

        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            write()
        assert (catalog.property("half"), catalog.property("whole")) == (None, None)


def test_what_is_read_within_a_transaction_is_what_it_wrote(database):
    with closing(Catalog(database)) as catalog:

        def write():
            with database.transaction() as connection:
                connection.execute("INSERT INTO properties VALUES ('half', 'done')")
                assert catalog.property("half") == "done"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write()
        assert catalog.property("half") is None


def test_writers_of_several_processes_wait_for_each_other(postgres_url):
    """Read, then write: with a lock for each process alone, one would overwrite the other."""
    with closing(Catalog(PostgresDatabase(postgres_url))) as catalog:
        catalog.set_property("count", "0")
    opened = [PostgresDatabase(postgres_url) for _ in range(3)]  # as three processes would have it

    def count(database):
        for _ in range(20):
            with database.transaction() as connection:
                (value,) = connection.execute("SELECT value FROM properties WHERE name = 'count'").fetchone()
                more = str(int(value) + 1)
                connection.execute("UPDATE properties SET value = :more WHERE name = 'count'", more=more)

    threads = [threading.Thread(target=count, args=(database,)) for database in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened[0].read("SELECT value FROM properties WHERE name = 'count'") == [("60",)]
    for database in opened:
        database.close()


def test_one_process_has_its_turn_and_notices_when_it_has_lost_it(postgres_url, database):
    turns = ProcessLock(database, "index")
    with closing(PostgresDatabase(postgres_url)) as other:
        with turns:
            turns.require()
            with other.exclusive("index", wait=False) as is_alone, other.exclusive("others", wait=False) as is_there:
                assert (is_alone(), is_there()) == (False, True)
            databases.end_connections(postgres_url)
            with pytest.raises(DatabaseUnavailable, match="lost"):
                turns.require()
        with other.exclusive("index", wait=False) as is_alone:
            assert is_alone()


def test_who_waits_for_its_turn_has_it_next_and_ends_with_the_program(postgres_url, database):
    said = queue.Queue()

    def wait():
        try:
            with ProcessLock(database, "index"):
                said.put("mine")
        except Conflict as error:
            said.put(error.message)

    with closing(PostgresDatabase(postgres_url)) as other:
        threads = [threading.Thread(target=wait) for _ in range(2)]
        with other.exclusive("index"):
            threads[0].start()
            time.sleep(0.3)
            assert said.empty()
        assert said.get(timeout=10) == "mine"
        with other.exclusive("index"):
            threads[1].start()
            database.stop_waiting()
            assert "ending" in said.get(timeout=10)
        for thread in threads:
            thread.join()
        with database.exclusive("index") as is_alone:  # what is free may be had still
            assert is_alone()


def test_connections_that_are_lost_without_a_word_end_soon_on_both_sides(database):
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    assert [database.read(f"SHOW {name}")[0][0] for name in names] == ["30", "10", "3", "30000"]


def test_the_api_says_503_while_the_database_is_gone_and_goes_on_after(postgres_url, tmp_path):
    settings = settings_of(tmp_path / "storage", postgres_url)
    settings = settings.model_copy(update={"llm": settings.llm.model_copy(update={"provider": "scripted"})})
    with serving(settings, [write_documents(tmp_path / "documents")]) as served, httpx.Client(timeout=30) as client:
        assert len(client.get(f"{served.url}/v1/vector_stores").json()["data"]) == 1
        with databases.away(postgres_url):
            answer = client.get(f"{served.url}/v1/vector_stores")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
            assert "Traceback" not in answer.text
            assert client.get(f"{served.url}/readyz").status_code == 503
        assert len(client.get(f"{served.url}/v1/vector_stores").json()["data"]) == 1
        assert client.get(f"{served.url}/readyz").status_code == 200


# ----------------------------------------------------------------------------------------------------------- backups


def test_a_backup_goes_from_sqlite_to_postgresql_and_back(postgres_url, tmp_path, bag_of_words):
    """All rows are the same afterwards, and what is added then comes behind them."""

    def rows(database):
        return {
            table.name: database.read(select(*columns(table)).order_by(*table.primary_key, *columns(table)[:2]))
            for table in metadata.sorted_tables
            if table.name not in ("properties", "runners")
        }

    def columns(table):
        return [column for column in table.columns if column.name != "rowid"]

    def bring_back(path, settings, *, overwrite=False):
        with Archive(path) as backup:
            last(backup.verify())
            return last(restore(settings, backup, overwrite=overwrite))

    first, second = settings_of(tmp_path / "first"), settings_of(tmp_path / "second", postgres_url)
    with open_index(first) as index, Ingestor(first, index) as ingestor:
        (tmp_path / "note.txt").write_text("The fox is orange.")
        job = ingestor.submit(tmp_path / "note.txt", "note.txt", "default", OF_THIS_MACHINE)
        assert ingestor.wait(job.id, 30).state == "done"
        ingestor.keep(io.BytesIO(b"for later"), "later.txt", "assistants", OF_THIS_MACHINE)
        last(back_up(index, first.storage.dir, tmp_path / "first.backup"))
        before = rows(index.catalog.database)
    bring_back(tmp_path / "first.backup", second)
    with pytest.raises(Conflict, match="already"):
        bring_back(tmp_path / "first.backup", second)
    bring_back(tmp_path / "first.backup", second, overwrite=True)
    assert not (second.storage.dir / "catalog.sqlite3").exists()
    with open_index(second) as index, Ingestor(second, index) as ingestor:
        database = index.catalog.database
        after = rows(database)
        places = {row[0] for row in database.read("SELECT rowid FROM files")}
        assert index.search_lexical("fox", Scope((index.catalog.collection().id,)), 5)
        ingestor.keep(io.BytesIO(b"still later"), "last.txt", "assistants", OF_THIS_MACHINE)
        assert database.read("SELECT rowid FROM files WHERE name = 'last.txt'")[0][0] > max(places)
        last(back_up(index, second.storage.dir, tmp_path / "second.backup"))
    for table in before.keys() - {"documents"}:  # the paths of stored files are the new folder's
        assert after[table] == before[table], table
    third = settings_of(tmp_path / "third")
    bring_back(tmp_path / "second.backup", third)
    with open_index(third) as index:
        assert [name for (name,) in index.catalog.database.read("SELECT name FROM files ORDER BY rowid")] == [
            "note.txt",
            "later.txt",
            "last.txt",
        ]
        assert [document.title for document in index.catalog.documents()] == ["note"]
