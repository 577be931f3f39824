"""A restore over a storage folder, killed before each step: the folder is then what it was, or what the backup says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from itertools import count

import pytest
from pydantic import SecretStr

from rag.errors import StorageLocked
from rag.index.index import Index
from rag.operations.services import open_index
from rag.settings import Settings
from rag.storage.connect import open_catalog
from rag.storage.exchange import is_unfinished, owned
from rag.storage.lock import StorageLock
from rag.storage.postgres import PostgresDatabase
from tests.commands import ROOT, Commands
from tests.rag.index.test_index import assert_consistent
from tests.rag.operations.archive.archives import put_file, state
from tests.rag.operations.archive.restore_and_die import DIED
from tests.rag.operations.archive.test_restore import back_up_of, settings_of

NAMES = ("restoring", "restored", "placing", "replaced")


@pytest.fixture
def backup(tmp_path, storage, bag_of_words):
    """A backup of the storage folder, to which more came since."""
    path = tmp_path / "all.backup"
    back_up_of(storage, path, bag_of_words)
    with closing(Index(storage, bag_of_words)) as index:
        put_file(index, bag_of_words, tmp_path / "more", "later.txt", ["came later"])
    return path


def deaths(backup, storage, copies, database_url=""):
    """The settings of a copy of the storage folder for each step that a restore died before."""
    driver = [sys.executable, "-m", "tests.rag.operations.archive.restore_and_die"]
    for step in count(1):
        copy = copies / str(step)
        shutil.copytree(storage, copy)
        ended = subprocess.run([*driver, backup, copy, str(step), database_url], cwd=ROOT, timeout=60, check=False)
        if ended.returncode != DIED:
            assert ended.returncode == 0
            return
        place = {"dir": copy, "database_url": database_url}
        yield Settings(_env_file=None, storage=place, embedding={"model": "bag-of-words"})


@pytest.mark.slow
def test_killed_at_any_step_the_next_start_finishes_it_or_nothing_has_changed(tmp_path, storage, backup, bag_of_words):
    former = state(storage, bag_of_words)
    outcomes = []
    for settings in deaths(backup, storage, tmp_path / "copies"):
        copy = settings.storage.dir
        with open_index(settings):
            pass
        assert not is_unfinished(settings.storage)
        outcomes.append("former" if state(copy, bag_of_words) == former else "restored")
        if outcomes[-1] == "restored":
            assert "came later" not in str(state(copy, bag_of_words))
            assert {path.name for path in copy.iterdir()} - {"lock", "reserve"} == {
                "catalog.sqlite3",
                "vectors",
                "words",
            }
    assert outcomes == sorted(outcomes), "what was finished once is finished at every later step"
    assert outcomes.count("former") >= 2
    assert outcomes.count("restored") >= 6


@pytest.mark.slow
def test_killed_at_any_step_with_the_catalog_in_postgres(tmp_path, storage, backup, postgres_url):
    former = tmp_path / "former.sqlite3"
    (storage / "catalog.sqlite3").rename(former)

    def put_back():
        with closing(PostgresDatabase(postgres_url)) as database:
            database.copy_from(former)

    put_back()
    outcomes = []
    for settings in deaths(backup, storage, tmp_path / "copies", postgres_url):
        with open_index(settings) as index:
            assert_consistent(index)
            names = {document.source.rpartition("/")[2] for document in index.catalog.documents()}
        outcomes.append("former" if "later.txt" in names else "restored")
        assert len(names) == (7 if "later.txt" in names else 6)
        assert not is_unfinished(settings.storage)
        assert {path.name for path in settings.storage.dir.iterdir()} - {"lock", "reserve"} == {"vectors", "words"}
        put_back()
    assert outcomes == sorted(outcomes), "what was finished once is finished at every later step"
    assert outcomes.count("former") >= 2
    assert outcomes.count("restored") >= 8


def test_what_an_older_program_left_half_exchanged_is_put_back(tmp_path, storage, bag_of_words, caplog):
    former = state(storage, bag_of_words)
    (storage / "replaced").mkdir()
    for part in ("catalog.sqlite3", "vectors", "words"):
        (storage / part).rename(storage / "replaced" / part)
    (storage / "vectors").mkdir()
    (storage / "vectors" / "of the backup").write_text("")
    with open_index(settings_of(storage)):
        pass
    assert state(storage, bag_of_words) == former
    assert not (storage / "replaced").exists()
    assert "is put back" in caplog.text


def test_the_commands_tell_that_a_restore_is_finished(tmp_path, storage, bag_of_words):
    (storage / "replaced").mkdir()
    (storage / "catalog.sqlite3").rename(storage / "replaced" / "catalog.sqlite3")
    storage.chmod(0o700)
    commands = Commands(storage.parent)
    commands.environment["RAG_STORAGE__DIR"] = str(storage)
    examined = commands.run("rag", "doctor", code=0)
    assert "is put back" in examined.stderr
    assert "6 documents" in examined.stdout


def test_what_was_replaced_is_kept_beside_a_catalog_that_was_made_since(storage, bag_of_words, caplog):
    catalog = storage / "catalog.sqlite3"
    former = catalog.read_bytes()
    (storage / "replaced").mkdir()
    catalog.rename(storage / "replaced" / catalog.name)
    with closing(Index(storage, bag_of_words)):
        pass
    for _ in range(2):
        with closing(open_catalog(settings_of(storage).storage)) as fresh:
            assert not fresh.documents()
    [kept] = storage.glob("replaced*")
    assert (kept / catalog.name).read_bytes() == former
    assert caplog.text.count(f"is kept in {kept}") == 1


def test_commands_that_open_the_catalog_alone_finish_it_first(storage):
    commands = Commands(storage.parent)
    commands.environment["RAG_STORAGE__DIR"] = str(storage)
    for command in (("users", "list"), ("feedback",)):
        (storage / "replaced").mkdir()
        (storage / "catalog.sqlite3").rename(storage / "replaced" / "catalog.sqlite3")
        assert "is put back" in commands.run("rag", *command).stderr
        assert not is_unfinished(settings_of(storage).storage)
    with closing(open_catalog(settings_of(storage).storage)) as catalog:
        assert len(catalog.documents()) == 6


def test_it_is_finished_by_one_process_alone(storage, tmp_path):
    settings = settings_of(storage).storage.model_copy(update={"chroma_url": "http://127.0.0.1:1"})
    shared = settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:1/none")})
    assert shared.is_shared
    (storage / "replaced").mkdir()
    with StorageLock(storage, shared=True), pytest.raises(StorageLocked), owned(shared):
        pass
    with pytest.raises(StorageLocked), StorageLock(storage), closing(open_catalog(settings)):
        pass
    assert is_unfinished(settings)
    with owned(shared):
        assert not is_unfinished(settings)
