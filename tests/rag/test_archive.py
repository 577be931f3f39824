"""Export and import: what comes in is what went out, and a damaged or forged archive changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import threading
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.archive import Archive
from rag.archive_form import SEAL_LENGTH, EmbeddingIdentity
from rag.backends.dormant import DormantEmbedding
from rag.backends.embeddings import open_embedding
from rag.errors import Conflict, IndexMismatch, NotFound, RagError, StorageLocked, UnreadableArchive
from rag.export import export
from rag.importing import import_archive
from rag.index import Index
from rag.lock import StorageLock
from rag.services import open_index
from rag.settings import EmbeddingSettings
from rag.types import Scope
from tests.commands import Commands
from tests.rag.backends.model_server import free_port
from tests.rag.test_index import assert_consistent
from tests.rag.versions import make_version

QUESTIONS = ["apple pie", "the boiler’s valve", "naïve fox 🦊", "shared line", "payday"]


class Mute:
    """The embedding model of the tests, which may not be asked."""

    def __init__(self, embedding):
        self.name, self.fingerprint = embedding.name, embedding.fingerprint

    def embed_passages(self, texts):
        raise AssertionError(f"{len(texts)} passages were to be embedded")


def last(progresses):
    *_, result = progresses
    return result


def put_file(index, embedding, folder, name, pages, **options):
    """A document whose file exists: its pages, one after the other."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\f".join(pages), encoding="utf-8")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    version = make_version(f"doc_{path.stem}", pages, embedding, **options)
    document = replace(version.document, source=str(path), content=path, sha256=sha256, size=path.stat().st_size)
    index.replace_documents([replace(version, document=document)])
    return path


def build(folder, embedding):
    """A storage folder with two collections and an empty one: equal lines, equal files, headings, a file that failed,
    one whose file is gone."""
    papers = folder / "papers"
    with closing(Index(folder / "storage", embedding)) as index:
        for name in ("staff", "nothing"):
            index.catalog.create_collection(name)
        put_file(index, embedding, papers, "apple.txt", ["apple pie\nshared line\napple pie", "cider 🦊"], title="One")
        put_file(index, embedding, papers, "boiler.txt", ["the boiler’s valve\nshared line"], title="One", version=7)
        put_file(index, embedding, papers, "copy.txt", ["the boiler’s valve\nshared line"], heading="A › B")
        put_file(index, embedding, papers, "pay.txt", ["payday\nnaïve fox\nshared line"], collection="staff")
        index.replace_documents([make_version("doc_gone", ["gone but not forgotten"], embedding)])
        failed = make_version("doc_failed", [], embedding, version=0)
        index.catalog.put_record(replace(failed.document, status="failed", error="It is broken.", fingerprint="x"))
        last(export(index, folder / "backup.zip"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, bag_of_words):
    """An archive that no test changes."""
    folder = tmp_path_factory.mktemp("built")
    build(folder, bag_of_words)
    return folder / "backup.zip"


@pytest.fixture
def archive(tmp_path, bag_of_words):
    build(tmp_path, bag_of_words)
    return tmp_path / "backup.zip"


@pytest.fixture
def storage(archive):
    return archive.with_name("storage")


@pytest.fixture
def papers(archive):
    return archive.with_name("papers")


def take_in(path, storage, embedding, collections=()):
    with Archive(path) as archive:
        last(archive.verify())
        with closing(Index(storage, Mute(embedding))) as index:
            result = last(import_archive(index, archive, storage, collections))
            assert_nothing_is_lacking(index)
            return result


def assert_nothing_is_lacking(index):
    """The index is whole, as far as that can be seen without embedding."""
    assert index.catalog.unfinished() == []
    assert not index.catalog.has_loose_vectors()
    for collection in index.catalog.collections():
        needed = {v for d in index.catalog.documents(collection.id) for v in index.catalog.vector_ids(d.id)}
        assert sorted(index._vectors.ids(collection.id)) == sorted(needed)


def refused(path, words=""):
    with Archive(path) as archive, pytest.raises(UnreadableArchive) as raised:
        last(archive.verify())
    assert words in raised.value.message, raised.value.message
    assert raised.value.hint
    return raised.value.message


def state(storage, embedding):
    """All that a reader can see of a storage folder: documents, pages, chunks, search results."""
    seen = {}
    with closing(Index(storage, embedding)) as index:
        assert_consistent(index)
        for collection in index.catalog.collections():
            for d in index.catalog.documents(collection.id):
                chunks = [replace(chunk, id="", document_id="") for chunk in index.catalog.chunks_of(d.id)]
                record = replace(d, content=Path(), file_id=None)
                seen[collection.name, d.source] = (record, index.catalog.sections(d.id), chunks)
            scope = Scope((collection.id,))
            for question in QUESTIONS:
                dense = index.search_dense(question, scope, 50)
                assert dense or not index.catalog.documents(collection.id)
                lexical = index.search_lexical(question, scope, 50)
                seen[collection.name, question] = [
                    {name: round(score, 5) for name, score in leg} for leg in (dense, lexical)
                ]
    return seen


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ------------------------------------------------------------------------------------------------------- there and back


def test_what_comes_in_is_what_went_out_and_nothing_is_embedded(tmp_path, storage, papers, archive, bag_of_words):
    before = state(storage, bag_of_words)
    moved = papers.rename(tmp_path / "elsewhere")  # as on another machine
    imported = take_in(archive, tmp_path / "new", bag_of_words)
    assert (imported.added, imported.replaced, imported.unchanged, imported.without_file) == (6, 0, 0, 2)
    assert state(tmp_path / "new", bag_of_words) == before
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        for name in ("apple.txt", "boiler.txt", "copy.txt", "pay.txt"):
            document = index.catalog.document(f"doc_{name[:-4]}")
            assert document.content.is_relative_to(tmp_path / "new")
            assert document.content.read_bytes() == (moved / name).read_bytes()
            assert document.file_id
        assert not index.catalog.document("doc_gone").content.exists()
        again = last(export(index, tmp_path / "again.zip"))
    assert (again.documents, again.files) == (6, 3)  # two documents have the same bytes
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_a_file_that_is_where_it_was_stays_there(tmp_path, archive, papers, bag_of_words):
    (papers / "boiler.txt").write_text("something else now")
    take_in(archive, tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        apple, boiler = (index.catalog.document(f"doc_{name}") for name in ("apple", "boiler"))
        assert (apple.content, apple.file_id) == (papers / "apple.txt", None)
        assert boiler.content.read_text() == "the boiler’s valve\nshared line"


def test_the_path_of_a_document_without_bytes_is_not_shown_as_its_source(tmp_path, storage, papers, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        exported = last(export(index, tmp_path / "small.zip", with_files=False))
    assert (exported.files, exported.left_out) == (0, ())
    (papers / "apple.txt").write_text("private")
    assert take_in(tmp_path / "small.zip", tmp_path / "new", bag_of_words).without_file == 3
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        assert not index.catalog.document("doc_apple").content.exists()
        assert index.catalog.document("doc_pay").content == papers / "pay.txt"


def test_files_that_come_later_are_put_to_their_documents(tmp_path, storage, papers, archive, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        last(export(index, tmp_path / "small.zip", with_files=False))
    papers.rename(tmp_path / "elsewhere")
    take_in(tmp_path / "small.zip", tmp_path / "new", bag_of_words)
    imported = take_in(archive, tmp_path / "new", bag_of_words)
    assert (imported.added, imported.unchanged, imported.without_file) == (0, 6, 2)
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        assert index.catalog.document("doc_apple").content.read_text().startswith("apple pie")


def test_one_collection(tmp_path, storage, archive, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        assert last(export(index, tmp_path / "staff.zip", ["staff"])).documents == 1
        with pytest.raises(NotFound):
            last(export(index, tmp_path / "x.zip", ["unknown"]))
    take_in(tmp_path / "staff.zip", tmp_path / "one", bag_of_words)
    take_in(archive, tmp_path / "two", bag_of_words, ["staff"])
    assert state(tmp_path / "one", bag_of_words) == state(tmp_path / "two", bag_of_words)
    with pytest.raises(NotFound, match="unknown"):
        take_in(archive, tmp_path / "two", bag_of_words, ["staff", "unknown"])


def test_documents_that_are_there_stay_or_are_replaced(tmp_path, archive, papers, bag_of_words):
    new = tmp_path / "new"
    with closing(Index(new, bag_of_words)) as index:
        # the source of doc_apple with other content, the id of doc_boiler for something else, and a stranger
        put_file(index, bag_of_words, papers, "apple.txt", ["an older text\nshared line"], title="One", version=4)
        document = index.catalog.document("doc_apple")
        version = make_version("doc_boiler", ["about trains\nshared line"], bag_of_words)
        index.replace_documents([version, make_version("doc_stranger", ["a stranger"], bag_of_words)])
        shared = index.vectors_of(version.document)
    imported = take_in(archive, new, bag_of_words)
    assert (imported.added, imported.replaced, imported.unchanged) == (5, 1, 0)
    with closing(Index(new, bag_of_words)) as index:
        assert_consistent(index)
        apple = index.catalog.document("doc_apple")
        assert (apple.id, apple.version) == (document.id, 5)
        assert index.catalog.page_text("doc_apple", 1) == "cider 🦊"
        assert index.catalog.page_text("doc_boiler", 0).startswith("about trains")
        boiler = index.catalog.document_of_source(index.catalog.collection().id, str(papers / "boiler.txt"))
        assert boiler is not None
        assert boiler.id not in ("doc_boiler", "doc_stranger")
        assert index.catalog.page_text(boiler.id, 0) == "the boiler’s valve\nshared line"
        for name, vector in index.vectors_of(version.document).items():
            assert (vector == shared[name]).all()
    before = state(new, bag_of_words)
    imported = take_in(archive, new, bag_of_words)
    assert (imported.added, imported.replaced, imported.unchanged) == (0, 0, 6)
    assert state(new, bag_of_words) == before


def test_a_file_that_could_not_be_read_there_does_not_replace_what_could_be_read_here(tmp_path, archive, bag_of_words):
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        index.replace_documents([make_version("doc_failed", ["it is well here"], bag_of_words)])
    take_in(archive, tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        assert index.catalog.page_text("doc_failed", 0) == "it is well here"


@pytest.mark.parametrize("steps", range(1, 8))
def test_an_import_that_was_interrupted_is_run_again(tmp_path, archive, storage, papers, bag_of_words, steps):
    papers.rename(tmp_path / "elsewhere")
    before = state(storage, bag_of_words)
    new = tmp_path / "new"
    with Archive(archive) as opened:
        last(opened.verify())
        with closing(Index(new, Mute(bag_of_words))) as index:
            progresses = import_archive(index, opened, new)
            for _ in range(steps):
                next(progresses)
            progresses.close()
    take_in(archive, new, bag_of_words)
    assert state(new, bag_of_words) == before


def test_ids_of_vectors_from_before_they_had_their_own_are_made_anew(tmp_path, bag_of_words):
    """They named document, version and number, which may mean another text on another machine."""
    version = make_version("doc_a", ["one line\nanother line"], bag_of_words)
    ids = [chunk.id for chunk in version.chunks]
    old = dict(zip(ids, version.vectors.values(), strict=True))
    with closing(Index(tmp_path / "old", bag_of_words)) as index:
        index.replace_documents([replace(version, vector_ids=ids, vectors=old)])
        last(export(index, tmp_path / "old.zip"))
    other = make_version("doc_b", ["about trains\nabout ships"], bag_of_words)
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        other = replace(other, vector_ids=ids, vectors=dict(zip(ids, other.vectors.values(), strict=True)))
        index.replace_documents([other])
    take_in(tmp_path / "old.zip", tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        found = index.search_dense("another line", Scope((index.catalog.collection().id,)), 1)
        assert found[0][0] == "doc_a:1:1"


# --------------------------------------------------------------------------------------------------------------- export


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
        assert archive.manifest.documents_without_file == 4


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


def test_documents_that_change_meanwhile_are_whole_in_the_archive(tmp_path, storage, bag_of_words):
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
        assert take_in(target, new, bag_of_words).added == 5
    state(new, bag_of_words)


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


# ------------------------------------------------------------------------------------------ damaged and forged archives


def test_a_flipped_bit_anywhere_is_noticed(tmp_path, built):
    whole = built.read_bytes()
    chance = random.Random(7)
    places = {0, 1, len(whole) - 1, len(whole) - SEAL_LENGTH, len(whole) - SEAL_LENGTH - 1}
    damaged = tmp_path / "damaged.zip"
    for place in places | {chance.randrange(len(whole)) for _ in range(300)}:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        damaged.write_bytes(flipped)
        refused(damaged)


def test_an_archive_that_ends_too_early_or_too_late_is_refused(tmp_path, built):
    whole = built.read_bytes()
    chance = random.Random(7)
    damaged = tmp_path / "damaged.zip"
    for length in [0, 1, 63, 64, 65, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(100))]:
        damaged.write_bytes(whole[:length])
        refused(damaged)
    for extra in (b"\0", b"x" * SEAL_LENGTH, whole):
        damaged.write_bytes(whole + extra)
        refused(damaged)
    refused_not_there = tmp_path / "nothing.zip"
    with pytest.raises(UnreadableArchive):
        Archive(refused_not_there)
    with pytest.raises(UnreadableArchive):
        Archive(tmp_path)
    damaged.write_bytes(b"%PDF-1.7 not at all")
    assert "no archive" in refused(damaged)


def seal(data):
    body = data[:-SEAL_LENGTH]
    return body + hashlib.sha256(body).hexdigest().encode()


def test_a_flipped_bit_under_a_seal_that_fits_does_no_harm(tmp_path, built, bag_of_words):
    """Made with intent, so to speak: the checks below the seal hold, too, and nothing but our error comes out."""
    whole = built.read_bytes()
    chance = random.Random(11)
    forged = tmp_path / "forged.zip"
    refusals = 0
    for _ in range(400):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole) - SEAL_LENGTH)] ^= 1 << chance.randrange(8)
        forged.write_bytes(seal(bytes(flipped)))
        with Archive(forged) as opened:
            try:
                last(opened.verify())
            except UnreadableArchive:
                refusals += 1
    assert refusals > 300


def forge(archive, target, change, compression=zipfile.ZIP_STORED, keep_hashes=False):
    """The archive with `change` done to its members (name → bytes), manifest and seal made to fit."""
    with zipfile.ZipFile(archive) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    if not keep_hashes:
        manifest["members"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()
        }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as written:
        for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            written.writestr(name, data)
        written.comment = b"0" * SEAL_LENGTH
    target.write_bytes(seal(buffer.getvalue()))
    return target


LINES, ROWS = "collections/1/documents.jsonl", "collections/1/vectors.npy"


def of_a_document(change):
    def forged(members, manifest):
        documents = [json.loads(line) for line in members[LINES].splitlines()]
        change(next(document for document in documents if document["id"] == "doc_apple"))
        members[LINES] = b"".join(json.dumps(document).encode() + b"\n" for document in documents)

    return forged


def with_rows(change):
    def forged(members, manifest):
        rows = np.frombuffer(members[ROWS][128:], dtype="<f4").copy()
        change(rows)
        members[ROWS] = members[ROWS][:128] + rows.tobytes()

    return forged


FORGERIES = {
    "newer": lambda members, manifest: manifest.update(version=2),
    "another program's": lambda members, manifest: manifest.update(format="zip"),
    "no embedding": lambda members, manifest: manifest.pop("embedding"),
    "other dimension": lambda members, manifest: manifest["embedding"].update(dimension=256),
    "no dimension": lambda members, manifest: manifest["embedding"].update(dimension=0),
    "huge dimension": lambda members, manifest: manifest["embedding"].update(dimension=10**30),
    "path upwards": lambda members, manifest: members.update({"../../evil": b"x"}),
    "path upwards in files": lambda members, manifest: members.update({"files/../../evil": b"x"}),
    "absolute path": lambda members, manifest: members.update({"/tmp/evil": b"x"}),
    "folder upwards": lambda members, manifest: manifest["collections"][0].update(folder="../1"),
    "no collection": lambda members, manifest: manifest.update(collections=[]),
    "collection twice": lambda members, manifest: manifest["collections"][1].update(name="default"),
    "nameless collection": lambda members, manifest: manifest["collections"][0].update(name=""),
    "file under another hash": lambda members, manifest: members.update({"files/" + "0" * 64: b"x"}),
    "a file less": lambda members, manifest: manifest.update(files=0),
    "a member less": lambda members, manifest: members.pop(ROWS),
    "a document less": lambda members, manifest: members.update({LINES: members[LINES].split(b"\n", 1)[1]}),
    "a document twice": lambda members, manifest: members.update({LINES: members[LINES] * 2}),
    "no lines": lambda members, manifest: members.update({LINES: b"\n\n"}),
    "deep lines": lambda members, manifest: members.update({LINES: b"[" * 100_000}),
    "a vector less": lambda members, manifest: members.update({ROWS: members[ROWS][:-2048]}),
    "a vector more": lambda members, manifest: members.update({ROWS: members[ROWS] + members[ROWS][-2048:]}),
    "pickled vectors": lambda members, manifest: members.update({ROWS: members[ROWS].replace(b"<f4", b"|O ")}),
    "not a number": with_rows(lambda rows: rows.__setitem__(5, np.nan)),
    "infinite": with_rows(lambda rows: rows.__setitem__(5, np.inf)),
    "zero": with_rows(lambda rows: rows.__setitem__(slice(512), 0)),
    "too long": with_rows(lambda rows: rows.__imul__(2)),
    "other words": of_a_document(lambda document: document["chunks"][0].update(text="never said")),
    "chunk beyond": of_a_document(lambda document: document["chunks"][0].update(start=-3)),
    "no vector id": of_a_document(lambda document: document["chunks"][0].update(vector_id="doc_a:1:0")),
    "id with colons": of_a_document(lambda document: document.update(id="doc:1:2")),
    "hash upwards": of_a_document(lambda document: document.update(sha256="../" * 21 + "x")),
    "huge number": of_a_document(lambda document: document.update(size=2**63)),
    "huge page": of_a_document(lambda document: document["sections"][1].update(page_index=2**70)),
    "unknown status": of_a_document(lambda document: document.update(status="fine")),
    "number as text": of_a_document(lambda document: document.update(size="12")),
    "unread with text": of_a_document(lambda document: document.update(version=0)),
    "lone surrogate": of_a_document(lambda document: document.update(title="\ud800")),
    "source twice": of_a_document(lambda document: document.update(source="/documents/doc_gone.txt")),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_archive_is_refused(tmp_path, built, name):
    refused(forge(built, tmp_path / "forged.zip", FORGERIES[name]))


def test_the_forger_of_the_tests_can_make_a_good_archive(tmp_path, built, bag_of_words):
    forge(built, tmp_path / "good.zip", lambda members, manifest: None)
    assert take_in(tmp_path / "good.zip", tmp_path / "new", bag_of_words).added == 6


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, built):
    def inflate(members, manifest):
        members["files/" + "0" * 64] = bytes(50_000_000)

    bomb = forge(built, tmp_path / "bomb.zip", inflate, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    assert "stored as they are" in refused(bomb)


def test_contents_are_held_against_the_manifest(tmp_path, built):
    def change(members, manifest):
        name = next(name for name in members if name.startswith("files/"))
        members[name] = b"X" + members[name][1:]

    refused(forge(built, tmp_path / "forged.zip", change, keep_hashes=True), "not what the manifest says")
    other = forge(built, tmp_path / "forged.zip", FORGERIES["newer"])
    assert "form 2" in refused(other)


# -------------------------------------------------------------------------------------------------- the embedding model


def settings_of(settings, tmp_path, **embedding):
    chosen = settings.embedding.model_copy(update=embedding)
    return settings.model_copy(
        update={"embedding": chosen, "storage": settings.storage.model_copy(update={"dir": tmp_path})}
    )


def identity_of(archive):
    with Archive(archive) as opened:
        last(opened.verify())
        return opened.manifest.embedding


def test_the_model_of_an_archive_must_be_that_of_settings_and_index(tmp_path, settings, archive, bag_of_words):
    coming = identity_of(archive)
    assert (coming.model, coming.fingerprint, coming.dimension) == ("bag-of-words", bag_of_words.fingerprint, 512)
    with (
        pytest.raises(IndexMismatch, match=r"bag-of-words.*sentence-transformers/all-MiniLM-L6-v2"),
        open_index(settings_of(settings, tmp_path / "new", model="sentence-transformers/all-MiniLM-L6-v2"), coming),
    ):
        pass
    with (
        pytest.raises(IndexMismatch, match="prefixes"),
        open_index(settings_of(settings, tmp_path / "new", query_prefix="query: "), coming),
    ):
        pass
    assert not (tmp_path / "new" / "catalog.sqlite3").exists()
    other = open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="query: "))
    with closing(Index(tmp_path / "other", other)) as index:
        index.replace_documents([make_version("doc_x", ["text"], other)])
    with pytest.raises(IndexMismatch), open_index(settings_of(settings, tmp_path / "other"), coming):
        pass


def test_the_default_model_is_known_without_being_loaded(tmp_path, settings, minilm):
    coming = EmbeddingIdentity(minilm.name, minilm.fingerprint, minilm.dimension)
    with open_index(settings_of(settings, tmp_path / "new", model=minilm.name), coming) as index:
        assert isinstance(index.embedding, DormantEmbedding)
        index.replace_documents([make_version("doc_x", ["a line\nanother"], minilm)])
        assert index.embedding._model is None
    with closing(Index(tmp_path / "new", minilm)) as index:
        assert_consistent(index)


def test_an_index_is_opened_whatever_model_the_settings_name(tmp_path, settings, storage, bag_of_words):
    with open_index(settings_of(settings, storage, model="no such model")) as index:
        assert last(export(index, tmp_path / "again.zip")).documents == 6
    shutil.rmtree(storage / "vectors")
    other = settings_of(settings, storage, query_prefix="query: ")
    with pytest.raises(IndexMismatch), open_index(other):  # it must be mended, and cannot be
        pass
    with open_index(settings_of(settings, storage)) as index:  # loads the model to mend it
        assert_nothing_is_lacking(index)
    with pytest.raises(NotFound), open_index(settings_of(settings, tmp_path / "nothing")):
        pass


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
    assert StorageLocked.exit_code == 2
