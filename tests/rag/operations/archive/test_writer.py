"""Exports are whole or not at all, of one moment, and have nobody's secrets; and the commands for archives."""

from __future__ import annotations

import json
import stat
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from rag.auth.users import Users
from rag.errors import Conflict, RagError
from rag.index.index import Index
from rag.operations.archive.reader import Archive
from rag.operations.archive.writer import back_up, export
from rag.storage.lock import StorageLock
from tests.commands import Commands
from tests.rag.index.test_index import assert_consistent
from tests.rag.models.model_server import free_port
from tests.rag.operations.archive.archives import Mute, last, state, take_in, tree
from tests.rag.versions import make_version


def test_files_that_are_gone_or_changed_are_left_out_and_named(tmp_path, storage, papers, bag_of_words):
    (papers / "apple.txt").write_text("changed since")
    (papers / "boiler.txt").unlink()  # its bytes are in copy.txt, too
    (papers / "pay.txt").unlink()
    (papers / "pay.txt").mkdir()
    with closing(Index(storage, Mute(bag_of_words))) as index:
        exported = last(export(index, tmp_path / "partly.zip"))
    names = {Path(source).name for source in exported.left_out}
    assert names == {"apple.txt", "pay.txt", "doc_gone.txt", "doc_failed.txt"}
    assert exported.files == 1
    with Archive(tmp_path / "partly.zip") as archive:
        last(archive.verify())
        assert (archive.manifest.documents, archive.manifest.files) == (6, 1)


def test_an_archive_gets_its_name_when_it_is_whole(tmp_path, storage, bag_of_words):
    target = tmp_path / "target" / "backup.zip"
    target.parent.mkdir()
    with closing(Index(storage, Mute(bag_of_words))) as index:
        for steps in range(1, 12):
            progresses = export(index, target)
            for _ in range(steps):
                next(progresses)
            assert not target.exists()
            progresses.close()
            assert list(target.parent.iterdir()) == []
        target.write_text("mine")
        with pytest.raises(Conflict):
            last(export(index, target))
        assert target.read_text() == "mine"
        last(export(index, target, overwrite=True))
        with pytest.raises(Conflict):
            last(export(index, tmp_path, overwrite=True))
        with pytest.raises(RagError, match="cannot be written"):
            last(export(index, tmp_path / "no" / "folder.zip"))
        with pytest.raises(RagError, match="cannot be written"):
            last(export(index, target / "below a file.zip"))
    with Archive(target) as archive:
        last(archive.verify())


def test_documents_that_change_meanwhile_are_in_the_archive_as_they_were_when_it_was_begun(
    tmp_path, storage, bag_of_words
):
    with closing(Index(storage, bag_of_words)) as index:
        for number in range(1, 6):
            pages = [f"number {number}\nline of {number}"]
            put = make_version("doc_gone", pages, bag_of_words, version=number + 1)
            target = tmp_path / f"{number}.zip"
            for step, _ in enumerate(export(index, target)):
                if step == number:
                    index.replace_documents([put])
                if step == 2 and number == 5:
                    index.remove_documents(["doc_pay"])
        new = tmp_path / "new"
        assert take_in(target, new, bag_of_words).added == 6
    state(new, bag_of_words)
    with closing(Index(new, bag_of_words)) as index:
        assert index.catalog.page_text("doc_gone", 0) == "number 4\nline of 4"
        assert index.catalog.document("doc_pay").version == 1


class Restless(Index):
    """An index in which a document gets its next version at the worst moment: when its vectors are asked for."""

    next_versions = ()

    def vectors(self, collection_id, vector_ids):
        while self.next_versions:
            self.replace_documents([self.next_versions.pop(0)])
        return super().vectors(collection_id, vector_ids)


def test_a_document_is_never_half_of_one_version_and_half_of_another(tmp_path, storage, bag_of_words):
    with closing(Restless(storage, bag_of_words)) as index:
        index.next_versions = [
            make_version("doc_gone", [f"number {number}\nline of {number}"], bag_of_words, version=number)
            for number in range(2, 6)
        ]
        last(export(index, tmp_path / "restless.zip"))
        assert index.catalog.document("doc_gone").version == 5
    take_in(tmp_path / "restless.zip", tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        assert index.catalog.document("doc_gone").version == 1
        assert index.catalog.page_text("doc_gone", 0) == "gone but not forgotten"
        assert_consistent(index)


def test_an_export_while_another_thread_ingests(tmp_path, storage, bag_of_words):
    stop = threading.Event()
    with closing(Index(storage, bag_of_words)) as index:

        def ingest():
            number = 1
            while not stop.is_set():
                number += 1
                pages = [f"number {number}\nline of {number}\nshared line"] * 3
                index.replace_documents([make_version("doc_gone", pages, bag_of_words, version=number)])

        thread = threading.Thread(target=ingest)
        thread.start()
        try:
            for _ in range(5):
                last(export(index, tmp_path / "backup.zip", overwrite=True))
        finally:
            stop.set()
            thread.join()
    take_in(tmp_path / "backup.zip", tmp_path / "new", bag_of_words)
    state(tmp_path / "new", bag_of_words)


def test_an_export_has_no_users_keys_or_conversations(tmp_path, storage, archive, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        user = Users(index.catalog.database).add("anna", "a password of hers")
        last(export(index, tmp_path / "again.zip"))
        last(back_up(index, storage, tmp_path / "all.backup"))
    assert stat.S_IMODE((tmp_path / "again.zip").stat().st_mode) == 0o600
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert user.id.encode() in (tmp_path / "all.backup").read_bytes()
    with zipfile.ZipFile(archive) as opened:
        assert {name.partition("/")[0] for name in opened.namelist()} == {"collections", "files", "manifest.json"}


# --------------------------------------------------------------------------------------------------------- command line


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("archive"))
    (commands.folder / "papers").mkdir()
    for name, text in {"oil.md": "# Pump\n\nThe pump needs oil.\n", "fox.txt": "The fox is orange. 🦊\n"}.items():
        (commands.folder / "papers" / name).write_text(text, encoding="utf-8")
    commands.run("ingest", "papers")
    return commands


def test_export_and_import_on_the_command_line(commands):
    new = {"RAG_STORAGE__DIR": str(commands.folder / "new")}
    said = commands.run("rag", "export", "backup.zip").stdout
    assert "2 documents, 2 chunks, 2 files" in said
    assert "--force" in commands.refused("rag", "export", "backup.zip", code=1)
    before = commands.run("rag", "search", "pump oil", "--json").stdout
    papers = (commands.folder / "papers").rename(commands.folder / "elsewhere")
    assert "2 documents added" in commands.run("rag", "import", "backup.zip", **new).stdout
    assert commands.run("rag", "search", "pump oil", "--json", **new).stdout == before
    assert "2 unchanged" in commands.run("rag", "import", "backup.zip", **new).stdout

    damaged = bytearray((commands.folder / "backup.zip").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (commands.folder / "damaged.zip").write_bytes(damaged)
    unharmed = tree(commands.folder / "new")
    assert "damaged" in commands.refused("rag", "import", "damaged.zip", code=1, **new)
    assert tree(commands.folder / "new") == unharmed
    fresh = {"RAG_STORAGE__DIR": str(commands.folder / "fresh")}
    assert "damaged" in commands.refused("rag", "import", "damaged.zip", code=1, **fresh)
    assert not (commands.folder / "fresh").exists()
    commands.refused("rag", "import", "backup.zip", RAG_EMBEDDING__QUERY_PREFIX="query: ", **fresh)

    # the folder comes, too: its documents are paths again, and can be pruned
    papers.rename(commands.folder / "papers")
    events = commands.run("ingest", "papers", "--json", **new).stdout.splitlines()
    assert json.loads(events[-1])["outcomes"] == {"unchanged": 2}
    (commands.folder / "papers" / "fox.txt").unlink()
    events = commands.run("ingest", "papers", "--prune", "--json", **new).stdout.splitlines()
    assert json.loads(events[-1])["outcomes"] == {"unchanged": 1, "removed": 1}


def test_a_server_exports_and_must_end_for_an_import(commands):
    with commands.server(free_port()):
        said = commands.run("rag", "export", "served.zip").stdout
        assert "2 documents" in said
        assert "--force" in commands.refused("rag", "export", "served.zip", code=1)
        assert "server" in commands.refused("rag", "import", "served.zip")
    with Archive(commands.folder / "served.zip") as archive:
        last(archive.verify())


def test_another_process_in_the_folder_is_named(commands):
    lock = StorageLock(commands.storage).acquire()
    try:
        commands.refused("rag", "export", "locked.zip")
    finally:
        lock.release()
