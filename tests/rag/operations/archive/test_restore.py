"""Backups have everything as it stood at one moment; what is damaged is refused whole, and nothing is changed."""

from __future__ import annotations

import io
import json
import random
import stat
import threading
import zipfile
from contextlib import closing

import httpx
import pytest

from ingest.ingestor import Ingestor
from ingest.jobs import JobStore
from rag.auth.principals import OF_THIS_MACHINE
from rag.auth.sessions import Sessions
from rag.auth.users import Users
from rag.errors import Conflict, IndexMismatch, RagError, StorageLocked, UnreadableArchive
from rag.index.chroma_server import ChromaServer
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.operations.archive.format import SEAL_LENGTH
from rag.operations.archive.reader import Archive
from rag.operations.archive.restore import restore
from rag.operations.archive.writer import back_up
from rag.operations.services import open_index
from rag.settings import EmbeddingSettings, Settings
from rag.storage.catalog import Catalog
from rag.storage.files import FileRecords
from rag.storage.lock import StorageLock
from rag.storage.sqlite import check_catalog
from rag.storage.staged_versions import Staging
from tests.commands import Commands
from tests.rag.index.test_index import assert_consistent
from tests.rag.models.model_server import free_port
from tests.rag.operations.archive.archives import Mute, assert_nothing_is_lacking, last, put_file, state, take_in, tree
from tests.rag.operations.archive.test_reader import forge
from tests.rag.versions import make_version


def settings_of(storage, model="bag-of-words"):
    return Settings(_env_file=None, storage={"dir": storage}, embedding={"model": model})


def bring_back(path, storage, *, overwrite=False, model="bag-of-words"):
    with Archive(path) as backup:
        last(backup.verify())
        return last(restore(settings_of(storage, model), backup, overwrite=overwrite))


def back_up_of(storage, path, embedding):
    with closing(Index(storage, Mute(embedding))) as index:
        return last(back_up(index, storage, path))


@pytest.fixture
def backup(tmp_path, storage, bag_of_words):
    path = tmp_path / "all.backup"
    back_up_of(storage, path, bag_of_words)
    return path


def test_what_comes_back_is_what_was_there(tmp_path, storage, backup, bag_of_words):
    restored = bring_back(backup, tmp_path / "new")
    assert (restored.documents, restored.files) == (6, 0)
    assert state(tmp_path / "new", bag_of_words) == state(storage, bag_of_words)
    assert {path.name for path in (tmp_path / "new").iterdir()} - {"reserve"} == {
        "catalog.sqlite3",
        "lock",
        "vectors",
        "words",
    }
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("all.backup*")] == ["all.backup"]


def test_uploads_jobs_and_all_tables_come_along(tmp_path, settings):
    storage, new = settings.storage.dir, tmp_path / "new"
    path = tmp_path / "all.backup"
    with open_index(settings) as index, Ingestor(settings, index) as ingestor:
        (tmp_path / "note.txt").write_text("The fox is orange.")
        job = ingestor.submit(tmp_path / "note.txt", "note.txt", "default", OF_THIS_MACHINE)
        assert ingestor.wait(job.id, 30).state == "done"
        kept = ingestor.keep(io.BytesIO(b"for later"), "later.txt", "assistants", OF_THIS_MACHINE)
        lost = ingestor.keep(io.BytesIO(b"rotten"), "rotten.txt", "assistants", OF_THIS_MACHINE)
        for stored in storage.glob("files/*/*"):
            if stored.read_bytes() == b"rotten":
                stored.write_bytes(b"rotteN")
        written = last(back_up(index, storage, path))
        assert (written.files, written.left_out) == (2, ("rotten.txt",))
        tables = index.catalog.database.read("SELECT name FROM sqlite_master WHERE type = 'table'")
        rows = {name: index.catalog.database.read(f"SELECT * FROM {name}") for (name,) in tables}
        assert lost
    bring_back(path, new)
    with (
        open_index(settings_of(new)) as index,
        Ingestor(settings_of(new), index) as ingestor,
    ):
        database = index.catalog.database
        [document] = index.catalog.documents()
        assert document.content.is_relative_to(new)
        assert document.content.read_text() == "The fox is orange."
        assert [found.state for found in ingestor.jobs()] == ["done"]
        assert database.read("SELECT name FROM files WHERE id = :id", id=kept) == [("later.txt",)]
        for name in rows.keys() - {"documents", "properties"}:
            assert database.read(f"SELECT * FROM {name}") == rows[name], name


def test_texts_are_in_a_backup_once_and_what_was_deleted_is_not(tmp_path, storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        index.replace_documents([make_version("doc_secret", ["a secret line"], bag_of_words)])
        index.delete_documents(["doc_secret"])
        last(back_up(index, storage, tmp_path / "all.backup"))
    with zipfile.ZipFile(tmp_path / "all.backup") as opened:
        catalog = opened.read("catalog.sqlite3")
    assert b"boiler.txt" in catalog
    assert "the boiler’s valve".encode() not in catalog
    assert b"a secret line" not in catalog


def test_a_session_that_ended_since_does_not_come_back_with_a_backup(tmp_path, storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        database = index.catalog.database
        token = Sessions(database).begin(Users(database).add("anna").id)
        last(back_up(index, storage, tmp_path / "all.backup"))
        assert Sessions(database).principal(token).name == "anna"
    bring_back(tmp_path / "all.backup", tmp_path / "new")
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        assert Users(index.catalog.database).get("anna")
        assert Sessions(index.catalog.database).principal(token) is None


def test_the_preparation_of_another_embedding_model_is_not_in_a_backup(tmp_path, storage, bag_of_words):
    other = open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="query: "))
    with closing(Index(storage, bag_of_words)) as index, index.switching(other):
        document = index.catalog.document("doc_gone")
        version = make_version("doc_gone", ["gone but not forgotten"], other, version=2)
        index.stage(document, "fingerprint", version.chunks, version.vector_ids, version.vectors)
        last(back_up(index, storage, tmp_path / "all.backup"))
        assert len(Staging(index.catalog).versions()) == 1
    bring_back(tmp_path / "all.backup", tmp_path / "new")
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        assert_consistent(index)
        assert Staging(index.catalog).versions() == []
        assert Staging(index.catalog).target() is None


def test_a_backup_is_taken_in_beside_what_is_there_without_users(tmp_path, storage, papers, archive, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        Users(index.catalog.database).add("anna", "a password of hers")
        last(back_up(index, storage, tmp_path / "all.backup"))
    new = tmp_path / "new"
    with closing(Index(new, bag_of_words)) as index:
        put_file(index, bag_of_words, tmp_path / "more", "mine.txt", ["mine"])
    imported = take_in(tmp_path / "all.backup", new, bag_of_words)
    assert (imported.added, imported.without_file) == (6, 2)
    with closing(Index(new, bag_of_words)) as index:
        assert index.catalog.page_text("doc_mine", 0) == "mine"
        assert index.catalog.document("doc_apple").content == papers / "apple.txt"
        assert Users(index.catalog.database).all() == []
    imported = take_in(archive, new, bag_of_words)
    assert (imported.added, imported.unchanged) == (0, 6)


@pytest.mark.parametrize("catalog", [b"", b"no database", "another's"])
def test_a_catalog_that_does_not_fit_its_documents_is_refused_and_changes_nothing(
    tmp_path, storage, backup, bag_of_words, catalog
):
    if catalog == "another's":
        Catalog(tmp_path / "other.sqlite3").close()
        catalog = (tmp_path / "other.sqlite3").read_bytes()
    forged = forge(backup, tmp_path / "forged", lambda members, manifest: members.update({"catalog.sqlite3": catalog}))
    before = tree(storage)
    with pytest.raises(UnreadableArchive, match="its catalog is damaged"):
        bring_back(forged, storage, overwrite=True)
    assert {**tree(storage), storage / "lock": b""} == {**before, storage / "lock": b""}


def test_a_backup_while_documents_come_and_go(tmp_path, storage, bag_of_words):
    """Everything that the catalog in the backup lists is found, though much of it is gone by the time it is read."""
    stop = threading.Event()
    path = tmp_path / "all.backup"
    with closing(Index(storage, bag_of_words)) as index:

        def ingest():
            number = 1
            while not stop.is_set():
                number += 1
                pages = [f"number {number} {line}\nshared line" for line in range(4)]
                index.replace_documents([make_version("doc_gone", pages, bag_of_words, version=number)])
                put_file(index, bag_of_words, tmp_path / "more", f"more{number % 5}.txt", pages, version=number)
                index.delete_documents([f"doc_more{number % 5}"])

        thread = threading.Thread(target=ingest)
        thread.start()
        try:
            for attempt in range(4):
                last(back_up(index, storage, path, overwrite=True))
                bring_back(path, tmp_path / str(attempt))
        finally:
            stop.set()
            thread.join()
    for attempt in range(4):
        with closing(Index(tmp_path / str(attempt), bag_of_words)) as index:
            assert len(index.catalog.documents()) >= 6
            assert_consistent(index)


def test_vectors_that_went_since_are_made_again(tmp_path, storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        before = state_of_index(index)
        writing = back_up(index, storage, tmp_path / "all.backup")
        next(writing)
        next(writing)  # the catalog was copied
        index.delete_documents(["doc_apple"])
        last(writing)
    bring_back(tmp_path / "all.backup", tmp_path / "new")
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        assert_consistent(index)
        assert state_of_index(index) == before


def state_of_index(index):
    return {
        document.id: [chunk.text for chunk in index.catalog.chunks_of(document.id)]
        for document in index.catalog.documents()
    }


def test_a_flipped_bit_anywhere_is_refused_and_changes_nothing(tmp_path, backup):
    whole = backup.read_bytes()
    chance = random.Random(7)
    damaged = tmp_path / "damaged.backup"
    places = {0, len(whole) - 1, len(whole) - SEAL_LENGTH - 1, *(chance.randrange(len(whole)) for _ in range(60))}
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        damaged.write_bytes(flipped)
        with pytest.raises(UnreadableArchive):
            bring_back(damaged, tmp_path / "new")
    damaged.write_bytes(whole[:-1000])
    with pytest.raises(UnreadableArchive):
        bring_back(damaged, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_archive_is_no_backup(tmp_path, archive):
    with pytest.raises(UnreadableArchive, match="no backup"):
        bring_back(archive, tmp_path / "new")


def test_what_is_there_is_lost_only_when_that_is_said(tmp_path, storage, backup, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        put_file(index, bag_of_words, tmp_path / "more", "later.txt", ["came later"])
    before = tree(storage)
    with pytest.raises(Conflict):
        bring_back(backup, storage)
    with pytest.raises(IndexMismatch, match="bag-of-words"):
        bring_back(backup, storage, overwrite=True, model="sentence-transformers/all-MiniLM-L6-v2")
    lock = StorageLock(storage).acquire()
    with pytest.raises(StorageLocked):
        bring_back(backup, storage, overwrite=True)
    lock.release()
    assert tree(storage).keys() - {storage / "owner.json"} == before.keys() | {storage / "lock"}
    bring_back(backup, storage, overwrite=True)
    assert "came later" not in json.dumps([key[1] for key in state(storage, bag_of_words)])
    assert not (storage / "replaced").exists()
    assert not (storage / "restoring").exists()


def test_a_restore_that_was_interrupted_is_run_again(tmp_path, backup, storage, bag_of_words):
    new = tmp_path / "new"
    with Archive(backup) as opened:
        last(opened.verify())
        steps = restore(settings_of(new), opened)
        for _ in range(3):
            next(steps)
        steps.close()
        assert not (new / "catalog.sqlite3").exists()
    (new / "restoring" / "vectors").mkdir(parents=True)  # a process that was killed leaves more
    (new / "vectors").mkdir()
    (new / "vectors" / "junk").write_text("junk")
    bring_back(backup, new)
    assert state(new, bag_of_words) == state(storage, bag_of_words)


def test_nothing_is_left_of_a_backup_that_was_given_up(tmp_path, storage, bag_of_words):
    target = tmp_path / "target" / "all.backup"
    target.parent.mkdir()
    with closing(Index(storage, Mute(bag_of_words))) as index:
        for steps in range(1, 5):
            writing = back_up(index, storage, target)
            for _ in range(steps):
                next(writing)
            writing.close()
            assert list(target.parent.iterdir()) == []
        target.write_text("mine")
        with pytest.raises(Conflict):
            last(back_up(index, storage, target))
        assert target.read_text() == "mine"
        with pytest.raises(RagError, match="cannot be written"):
            last(back_up(index, storage, tmp_path / "no" / "folder"))


@pytest.mark.slow
def test_a_server_is_backed_up_and_restored_elsewhere(tmp_path):
    commands = Commands(tmp_path)
    (tmp_path / "note.txt").write_text("The pump needs oil every 90 days.")
    with commands.server(free_port(), "note.txt") as url:
        uploaded = httpx.post(
            f"{url}/v1/files", files={"file": ("up.txt", b"Hello.")}, data={"purpose": "assistants"}, trust_env=False
        )
        assert uploaded.status_code == 200
        said = commands.run("rag", "backup", "all.backup")
        assert "1 documents, 1 chunks, 1 uploaded files" in said.stdout
        assert "A server owns" in commands.refused("rag", "restore", "all.backup")
    assert "--overwrite" in commands.refused("rag", "restore", "all.backup", code=1)
    elsewhere = {"RAG_STORAGE__DIR": str(tmp_path / "new")}
    commands.run("rag", "restore", "all.backup", **elsewhere)
    found = commands.run("rag", "search", "oil", "--json", **elsewhere)
    assert json.loads(found.stdout)["text"] == "The pump needs oil every 90 days."
    assert "exists" in commands.refused("rag", "backup", "all.backup", code=1)
    commands.run("rag", "backup", "all.backup", "--force")


@pytest.mark.slow
def test_a_backup_comes_back_at_a_server_and_nothing_is_embedded(chroma, tmp_path, storage, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        last(back_up(index, storage, tmp_path / "all.backup"))
    there = {"dir": tmp_path / "new", "chroma_url": chroma.url, "chroma_database": "restored"}
    settings = Settings(_env_file=None, storage=there, embedding={"model": "bag-of-words"})
    with Archive(tmp_path / "all.backup") as backup:
        last(backup.verify())
        restored = last(restore(settings, backup))
    assert restored.documents == 6
    with closing(Index(tmp_path / "new", Mute(bag_of_words), chroma=ChromaServer(chroma.url, "restored"))) as index:
        assert_nothing_is_lacking(index)
    with open_index(settings) as index:
        assert_consistent(index)


def test_a_catalog_with_batches_of_attached_files_is_no_damaged_one(tmp_path, storage, bag_of_words):
    """SQLite 3.40 says that it has no ids of jobs."""
    with closing(Index(storage, bag_of_words)) as index:
        files = FileRecords(index.catalog.database)
        file_id = files.add("manual.txt", "0" * 64, 1, OF_THIS_MACHINE, "user_data")
        JobStore(index.catalog.database).attach(index.catalog.collection(), {file_id: {}}, "vsfb_1", {})
        last(back_up(index, storage, tmp_path / "all.backup"))
    check_catalog(storage / "catalog.sqlite3")
    assert bring_back(tmp_path / "all.backup", storage, overwrite=True).documents == 6


def test_what_a_killed_backup_left_goes_with_the_next_one(tmp_path, storage, bag_of_words):
    left = tmp_path / "all.backup.partial"
    for leave in (lambda: left.mkdir() or (left / "catalog.sqlite3").touch(), left.touch):  # the latter: older programs
        leave()
        back_up_of(storage, tmp_path / "all.backup", bag_of_words)
        assert not left.exists()
        (tmp_path / "all.backup").unlink()


def test_a_backup_may_have_the_name_of_the_catalog(tmp_path, storage, bag_of_words):
    back_up_of(storage, tmp_path / "catalog.sqlite3", bag_of_words)
    assert bring_back(tmp_path / "catalog.sqlite3", storage, overwrite=True).documents == 6


def test_a_folder_of_somebody_elses_is_not_deleted(tmp_path, storage, bag_of_words):
    thesis = tmp_path / "all.backup.partial" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.touch()
    with pytest.raises(RagError, match=r"all\.backup cannot be written: File exists"):
        back_up_of(storage, tmp_path / "all.backup", bag_of_words)
    assert thesis.exists()
