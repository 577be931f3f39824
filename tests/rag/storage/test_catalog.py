"""The catalog: what is written is read back, versions swap whole, and nothing unknown is served."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from rag.errors import Conflict, NotFound
from rag.storage.catalog import Catalog, VersionedChunks
from rag.storage.staged_versions import Staging
from rag.types.documents import Scope
from tests.rag.versions import commit, make_version

pytestmark = pytest.mark.databases


@pytest.fixture
def catalog(database):
    with closing(Catalog(database)) as catalog:
        yield catalog


def test_a_document_comes_back_as_it_went_in(catalog, bag_of_words):
    version = make_version("doc_a", ["first line\nsecond line", "Zeile drei: größer 𝔘nicode 🦊"], bag_of_words)
    commit(catalog, version)
    assert catalog.document("doc_a") == version.document
    assert catalog.documents() == catalog.documents("default") == [version.document]
    assert catalog.document_of_source(catalog.collection().id, version.document.source) == version.document
    assert catalog.sections("doc_a") == version.sections
    assert list(catalog.chunks_of("doc_a")) == version.chunks
    stored = catalog.chunks([chunk.id for chunk in version.chunks])
    assert [stored[chunk.id].chunk for chunk in version.chunks] == version.chunks
    assert {item.title for item in stored.values()} == {"Title doc_a"}
    assert catalog.page_text("doc_a", 1) == version.sections[1].text
    assert catalog.page_text("doc_a", None) == catalog.page_text("doc_a", 7) == catalog.page_text("nobody", 0) == ""


def test_a_new_version_replaces_the_old_one_whole(catalog, bag_of_words):
    commit(catalog, make_version("doc_a", ["one\ntwo\nthree", "four"], bag_of_words))
    revision = catalog.revision
    new = commit(catalog, make_version("doc_a", ["five"], bag_of_words, version=2))
    assert catalog.revision > revision
    assert [section.text for section in catalog.sections("doc_a")] == ["five"]
    assert list(catalog.chunks_of("doc_a")) == new.chunks
    assert catalog.chunks(["doc_a:1:0", "doc_a:1:3", "doc_a:2:0"]).keys() == {"doc_a:2:0"}
    collection = catalog.collection().id
    assert catalog.unfinished() == [VersionedChunks("doc_a", 1, collection)]
    assert len(catalog.loose_vectors()[collection]) == 4
    catalog.finish()
    assert (catalog.unfinished(), catalog.loose_vectors()) == ([], {})


def test_vectors_are_loose_when_no_live_chunk_needs_them(catalog, bag_of_words):
    collection = catalog.collection().id
    first = commit(catalog, make_version("doc_a", ["one\ntwo"], bag_of_words, title="T"))
    commit(catalog, make_version("doc_b", ["two\nthree"], bag_of_words, title="T"))
    one, two = first.vector_ids
    assert catalog.chunks_of_vectors(collection, [one, two, "nothing"]) == {
        one: ["doc_a:1:0"],
        two: ["doc_a:1:1", "doc_b:1:0"],
    }
    assert catalog.vectors_within(collection, Scope((collection,), frozenset(["doc_b"])))[two] == ["doc_b:1:0"]
    assert catalog.count_vectors(collection) == 3
    catalog.delete_documents(["doc_a"])
    assert catalog.loose_vectors() == {collection: [one]}
    assert catalog.count_vectors(collection) == 2


def test_what_was_begun_is_unfinished_until_committed(catalog, bag_of_words):
    version = make_version("doc_a", ["one"], bag_of_words)
    begun = VersionedChunks("doc_a", 1, catalog.collection().id)
    catalog.begin([begun], {begun.collection_id: version.vector_ids})
    assert catalog.unfinished() == [begun]
    assert catalog.loose_vectors() == {begun.collection_id: version.vector_ids}
    assert catalog.chunks(["doc_a:1:0"]) == {}
    commit(catalog, version)
    assert (catalog.unfinished(), catalog.loose_vectors()) == ([], {})


def test_what_another_writer_has_swept_away_is_not_committed(catalog, bag_of_words):
    """Who waits longer than its lock is kept finds that others have gone on."""
    old = commit(catalog, make_version("doc_a", ["one"], bag_of_words))
    late = make_version("doc_a", ["two"], bag_of_words, version=2)
    catalog.begin([VersionedChunks("doc_a", 2, catalog.collection().id)], {})
    catalog.finish()
    with pytest.raises(Conflict, match="Another process"):
        catalog.commit_document(late.document, late.sections, late.chunks, late.vector_ids)
    assert catalog.document("doc_a") == old.document
    assert (catalog.unfinished(), catalog.loose_vectors()) == ([], {})


def test_staged_versions_that_another_writer_has_swept_away_stay_staged(catalog, bag_of_words):
    old, staging = commit(catalog, make_version("doc_a", ["one"], bag_of_words)), Staging(catalog)
    late = make_version("doc_a", ["two"], bag_of_words, version=2)
    staging.put(old.document, 2, "fingerprint", late.chunks, late.vector_ids)
    catalog.begin(staging.versions(), {})
    catalog.finish()
    with pytest.raises(Conflict, match="Another process"):
        staging.switch({"model": "other", "fingerprint": "other"})
    assert catalog.document("doc_a") == old.document
    assert len(staging.versions()) == 1


def test_a_removed_document_is_gone_with_its_text(catalog, bag_of_words):
    commit(catalog, make_version("doc_a", ["a secret"], bag_of_words))
    catalog.delete_documents(["doc_a"])
    assert [version.name for version in catalog.unfinished()] == ["doc_a:1"]
    assert catalog.documents() == catalog.sections("doc_a") == list(catalog.chunks_of("doc_a")) == []
    assert catalog.live_versions(["doc_a"]) == []
    for table in ("sections", "chunks"):
        assert catalog.database.read(f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("ask", ["document", "collection", "documents"])
def test_unknown_names_are_not_found_and_the_error_helps(catalog, ask):
    with pytest.raises(NotFound, match="nobody") as raised:
        getattr(catalog, ask)("nobody")
    assert raised.value.hint


def test_chunks_of_unknown_ids_are_missing_and_many_ids_are_no_problem(catalog, bag_of_words):
    commit(catalog, make_version("doc_a", ["\n".join(f"line {i}" for i in range(1700))], bag_of_words))
    ids = [f"doc_a:1:{number}" for number in range(2000)] + ["doc_b:1:0", "doc_a:2:0"]
    assert catalog.chunks(ids).keys() == set(ids[:1700])
    assert catalog.chunks([]) == {}
    assert catalog.live_versions([]) == []


def test_collections_are_made_once_and_found_by_name_and_id(catalog):
    assert [collection.name for collection in catalog.collections()] == ["default"]
    made = catalog.create_collection("Contracts 2024")
    assert catalog.create_collection("Contracts 2024") == made
    assert catalog.collection(made.id) == catalog.collection("Contracts 2024") == made


def test_documents_stay_in_their_collection(catalog, bag_of_words):
    catalog.create_collection("other")
    commit(catalog, make_version("doc_a", ["one"], bag_of_words))
    commit(catalog, make_version("doc_b", ["two"], bag_of_words, collection="other"))
    assert [d.id for d in catalog.documents("other")] == ["doc_b"]
    assert {d.id for d in catalog.documents()} == {"doc_a", "doc_b"}
    assert catalog.headings([catalog.collection("other").id], 10) == [("Title doc_b", "")]


def test_a_record_alone_leaves_the_text(catalog, bag_of_words):
    version = commit(catalog, make_version("doc_a", ["still readable"], bag_of_words))
    revision = catalog.revision
    catalog.put_record(replace(version.document, status="failed", error="It is broken.", size=9))
    assert catalog.document("doc_a").error == "It is broken."
    assert list(catalog.chunks_of("doc_a")) == version.chunks
    assert catalog.revision == revision


def test_a_failed_write_changes_nothing(catalog, bag_of_words):
    old = commit(catalog, make_version("doc_a", ["one\ntwo"], bag_of_words))
    revision = catalog.revision
    broken = make_version("doc_a", ["three\nfour"], bag_of_words, version=2)
    with pytest.raises(Exception, match=r"(?i)unique"):
        commit(catalog, replace(broken, chunks=[broken.chunks[0], broken.chunks[0]]))
    assert catalog.document("doc_a") == old.document
    assert list(catalog.chunks_of("doc_a")) == old.chunks
    assert (catalog.revision, [version.name for version in catalog.unfinished()]) == (revision, ["doc_a:2"])


def test_everything_is_there_after_reopening(tmp_path, bag_of_words):
    path = tmp_path / "catalog.sqlite3"
    with closing(Catalog(path)) as catalog:
        version = commit(catalog, make_version("doc_a", ["one"], bag_of_words))
        catalog.set_property("embedding", "x")
        catalog.set_property("embedding", "y")
        before = (catalog.collections(), catalog.revision)
    with closing(Catalog(path)) as catalog:
        assert catalog.documents() == [version.document]
        assert (catalog.collections(), catalog.revision) == before
        assert (catalog.property("embedding"), catalog.property("nothing")) == ("y", None)


def test_a_catalog_of_a_newer_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "catalog.sqlite3"
    Catalog(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    with pytest.raises(Conflict, match="newer version") as raised:
        Catalog(path)
    assert raised.value.hint
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_migration_that_was_interrupted_is_done_again(tmp_path):
    path = tmp_path / "catalog.sqlite3"
    with closing(sqlite3.connect(path)) as raw:  # an empty file of the right kind: nothing was migrated yet
        raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
        raw.execute("PRAGMA journal_mode = WAL")
    with closing(Catalog(path)) as catalog:
        assert [collection.name for collection in catalog.collections()] == ["default"]
        assert catalog.database.read("PRAGMA auto_vacuum") == [(2,)], "what is deleted is given back"


def test_threads_read_whole_versions_while_one_writes(catalog, bag_of_words):
    pages = {n: "\n".join(f"version {n} line {i}" for i in range(40 + n % 3)) for n in range(1, 41)}
    versions = [make_version("doc_a", [pages[n]], bag_of_words, version=n) for n in pages]
    commit(catalog, versions[0])
    stop = threading.Event()
    problems: list[object] = []
    reads = [0] * 4

    def read(reader: int) -> None:
        try:
            while not stop.is_set():
                chunks = list(catalog.chunks_of("doc_a"))
                (number,) = {int(chunk.text.split()[1]) for chunk in chunks}
                if [chunk.text for chunk in chunks] != pages[number].splitlines():
                    problems.append(chunks)
                reads[reader] += 1
        except Exception as error:  # noqa: BLE001 - told by the main thread
            problems.append(error)

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(4)]
    for thread in threads:
        thread.start()
    for version in versions[1:]:
        commit(catalog, version)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert all(reads)


def test_threads_may_write_at_the_same_time(catalog, bag_of_words):
    def write(name: str) -> None:
        for number in range(1, 11):
            commit(catalog, make_version(name, [f"text {number}"], bag_of_words, version=number))

    threads = [threading.Thread(target=write, args=(f"doc_{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [document.version for document in catalog.documents()] == [10] * 4
    assert catalog.revision == 40


def test_the_latest_documents_of_a_scope(catalog, bag_of_words):
    for number in range(5):
        commit(catalog, make_version(f"doc_{number}", ["text"], bag_of_words))
    everything = Scope((catalog.collection().id,))
    latest, total = catalog.latest_documents(everything, 2)
    assert ([document.id for document in latest], total) == (["doc_4", "doc_3"], 5)
    some = replace(everything, document_ids=frozenset({"doc_1", "nobody"}), pages=(7, 9))
    assert [document.id for document in catalog.latest_documents(some, 2)[0]] == ["doc_1"]
    assert catalog.latest_documents(Scope(()), 2) == ([], 0)
