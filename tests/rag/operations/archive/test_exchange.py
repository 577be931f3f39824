"""A restore over a storage folder, killed before each step: the folder is then what it was, or what the backup says."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest
from pydantic import SecretStr

from rag.errors import StorageLocked
from rag.index.index import Index
from rag.operations.services import open_index
from rag.storage.connect import open_catalog
from rag.storage.exchange import is_unfinished, owned
from rag.storage.lock import StorageLock
from tests.commands import ROOT, Commands
from tests.rag.operations.archive.archives import put_file, state
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


@pytest.mark.slow
def test_killed_at_any_step_the_next_start_finishes_it_or_nothing_has_changed(tmp_path, storage, backup, bag_of_words):
    copies = tmp_path / "copies"
    former = state(storage, bag_of_words)
    driver = [sys.executable, "-m", "tests.rag.operations.archive.restore_and_die"]
    subprocess.run([*driver, backup, storage, copies], cwd=ROOT, check=True, timeout=200)
    outcomes = []
    for copy in sorted(copies.iterdir()):
        settings = settings_of(copy)
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
