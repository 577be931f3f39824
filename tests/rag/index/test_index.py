"""The index is never half-written: whatever dies, whatever is lost, catalog, vectors and words say the same."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from rag.errors import Conflict, IndexMismatch, NotFound
from rag.index.index import Index
from rag.index.lexical import LexicalEntry
from rag.models.embedding import open_embedding
from rag.retrieval.retriever import HybridRetriever
from rag.settings import EmbeddingSettings, RetrievalSettings
from rag.types.documents import Scope
from tests.rag.index.crash_driver import NEW, OLD, OTHER
from tests.rag.versions import make_version

pytestmark = pytest.mark.databases


@pytest.fixture
def index(tmp_path, bag_of_words, database):
    with closing(Index(tmp_path / "storage", bag_of_words, database)) as index:
        yield index


def scope(index, *document_ids, collection="default"):
    return Scope((index.catalog.collection(collection).id,), frozenset(document_ids) if document_ids else None)


def put(index, embedding, document_id, *pages, **options):
    index.replace_documents([make_version(document_id, pages, embedding, **options)])


def dense(index, question, where, limit=10):
    found = index.search_dense(question, where, limit)
    return [chunk_id for chunk_id, _ in found]


def lexical(index, question, where, limit=10):
    return [chunk_id for chunk_id, _ in index.search_lexical(question, where, limit)]


def assert_consistent(index):
    """Vectors and words hold the catalog's chunks, all of them and nothing else, and each can be found."""
    assert index.catalog.unfinished() == []
    assert not index.catalog.has_loose_vectors()
    total = 0
    for collection in index.catalog.collections():
        documents = index.catalog.documents(collection.id)
        chunks = {chunk.id: chunk for document in documents for chunk in index.catalog.chunks_of(document.id)}
        assert sum(document.chunks for document in documents) == len(chunks)
        vectors = {vector for document in documents for vector in index.catalog.vector_ids(document.id)}
        assert sorted(index._vectors.ids(collection.id)) == sorted(vectors)
        total += len(chunks)
        for chunk in chunks.values():
            assert chunk.id in lexical(index, chunk.text, scope(index, chunk.document_id, collection=collection.id))
            assert chunk.id in dense(index, chunk.text, scope(index, chunk.document_id, collection=collection.id))
            assert index.catalog.page_text(chunk.document_id, chunk.page_index)[chunk.start : chunk.end] == chunk.text
    assert index._lexical.count() == total


def texts(index, document_id):
    return [chunk.text for chunk in index.catalog.chunks_of(document_id)]


def lines(pages):
    return [line for page in pages for line in page.splitlines()]


# ------------------------------------------------------------------------------------------------------ whole writes


def test_replaced_and_deleted_documents_leave_nothing(index, bag_of_words):
    for document_id, pages in OLD.items():
        put(index, bag_of_words, document_id, *pages)
    assert_consistent(index)
    put(index, bag_of_words, "doc_a", *NEW["doc_a"], version=2)
    assert_consistent(index)
    everywhere = scope(index)
    assert lexical(index, "apple", everywhere) == []
    assert set(lexical(index, "aubergine", everywhere)) == {"doc_a:2:0", "doc_a:2:1"}
    assert not [i for i in dense(index, "apple", everywhere, 100) if i.startswith("doc_a:1")]
    index.delete_documents(["doc_a"])
    assert_consistent(index)
    assert lexical(index, "aubergine", everywhere) == []
    with pytest.raises(NotFound):
        index.delete_documents(["doc_a"])


def test_the_scope_is_kept(index, bag_of_words):
    index.catalog.create_collection("other")
    put(index, bag_of_words, "doc_a", "the same words")
    put(index, bag_of_words, "doc_b", "the same words")
    put(index, bag_of_words, "doc_c", "the same words", collection="other")
    for find in (dense, lexical):
        assert set(find(index, "same words", scope(index))) == {"doc_a:1:0", "doc_b:1:0"}
        assert find(index, "same words", scope(index, "doc_b")) == ["doc_b:1:0"]
        assert find(index, "same words", scope(index, collection="other")) == ["doc_c:1:0"]
        assert find(index, "same words", scope(index, "doc_c")) == []
        assert find(index, "same words", Scope(())) == []
        assert find(index, "same words", Scope(scope(index).collection_ids, frozenset())) == []
    assert index.live_chunks(["doc_c:1:0"], scope(index)) == {}
    assert index.live_chunks(["doc_a:1:0", "doc_b:1:0"], scope(index, "doc_b")).keys() == {"doc_b:1:0"}


def test_a_wide_scope_of_documents_is_searched_too(index, bag_of_words):
    """More chunks than are compared directly: the index is asked for more and the rest dropped."""
    chance = random.Random(1)
    words = ["hay", *(f"{first}{second}" for first in "bcdfghjklm" for second in ("ola", "eri", "atu", "ino", "ume"))]
    filler = ["\n".join(" ".join(chance.sample(words, 6)) for _ in range(1100)) for _ in range(2)]
    versions = [make_version(f"doc_{n}", [text], bag_of_words) for n, text in enumerate(filler)]
    versions += [make_version(name, ["a needle in the hay"], bag_of_words, title="T") for name in ("doc_x", "doc_y")]
    index.replace_documents(versions)
    found = dense(index, "needle hay", scope(index, "doc_0", "doc_1", "doc_x"), 50)
    assert found[0] == "doc_x:1:0"
    assert "doc_y:1:0" not in found


def test_a_source_belongs_to_one_document(index, bag_of_words):
    """Another process may have taken in a file of that name since the caller looked."""
    put(index, bag_of_words, "doc_a", "The first.")
    other = make_version("doc_b", ["The second."], bag_of_words)
    document = replace(other.document, source=index.catalog.document("doc_a").source)
    with pytest.raises(Conflict, match="meanwhile"):
        index.replace_documents([replace(other, document=document)])
    index.catalog.put_record(replace(document, version=0, status="failed"))
    assert [document.id for document in index.catalog.documents()] == ["doc_a"]
    assert_consistent(index)


def test_a_write_that_failed_does_not_show_in_the_next_one(index, bag_of_words):
    """A full disk, say, at the commit: the process lives on, and the same version is written again."""
    put(index, bag_of_words, "doc_a", *OLD["doc_a"])
    good = make_version("doc_a", NEW["doc_a"], bag_of_words, version=2)
    broken = replace(good, chunks=[good.chunks[0], good.chunks[0]])
    with pytest.raises(Exception, match=r"(?i)unique"):
        index.replace_documents([broken])
    assert texts(index, "doc_a") == lines(OLD["doc_a"])
    index.replace_documents([good])
    assert texts(index, "doc_a") == lines(NEW["doc_a"])
    assert_consistent(index)


# ---------------------------------------------------------------------------------------------------- crashes, losses


@pytest.mark.slow
@pytest.mark.parametrize("action", ["replace", "delete"])
def test_killed_between_any_two_writes_the_old_or_the_new_version_answers(tmp_path, bag_of_words, action, caplog):
    with closing(Index(tmp_path / "before", bag_of_words)) as index:
        for document_id, pages in OLD.items():
            put(index, bag_of_words, document_id, *pages)
    copies = [tmp_path / f"{number:03}" for number in range(1, 71 if action == "replace" else 51)]
    for copy in copies:
        shutil.copytree(tmp_path / "before", copy)
    command = [sys.executable, "-m", "tests.rag.index.crash_driver", action, *map(str, copies)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    outcomes = ran.stdout.split()
    assert outcomes.count("died") > 10
    assert outcomes[-1] == "done", "more moments than copies"

    seen = set()
    for copy, outcome in zip(copies, outcomes, strict=False):
        with closing(Index(copy, bag_of_words)) as index:
            assert_consistent(index)
            state = {document.id: texts(index, document.id) for document in index.catalog.documents()}
        old_a, new_a = lines(OLD["doc_a"]), lines(NEW["doc_a"]) if action == "replace" else None
        assert state.get("doc_a") in (old_a, new_a), copy.name
        assert state["doc_b"] == lines(OLD["doc_b"])
        assert state["doc_c"] == lines(OLD["doc_c"])
        assert state.get("doc_d") in (None, lines(NEW["doc_d"]))
        if outcome == "done":
            assert state.get("doc_a") == new_a
        seen.add((outcome, state.get("doc_a") == old_a, "doc_d" in state))
    assert caplog.messages == [], "the notes of what was begun are enough, nothing had to be searched for and mended"
    assert ("died", True, False) in seen, "never died before the commit"
    assert ("died", False, action == "replace") in seen, "never died after the commit"


@pytest.mark.slow
def test_killed_between_any_two_writes_of_a_switch_one_model_or_the_other_answers(tmp_path, bag_of_words, caplog):
    with closing(Index(tmp_path / "before", bag_of_words)) as index:
        for document_id, pages in OLD.items():
            put(index, bag_of_words, document_id, *pages)
        expected = {document_id: lines(pages) for document_id, pages in OLD.items()}
    stride = 1 if os.environ.get("FOOTNOTE_KILLS") else 3  # each is a second of work
    copies = [tmp_path / f"{number:03}" for number in range(1, 141, stride)]
    for copy in copies:
        shutil.copytree(tmp_path / "before", copy)
    command = [sys.executable, "-m", "tests.rag.index.crash_driver", "switch", *map(str, copies)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    outcomes = ran.stdout.split()
    assert (outcomes[0], outcomes[-1]) == ("died", "done")

    answered = set()
    for copy, outcome in zip(copies, outcomes, strict=False):
        try:
            opened = Index(copy, bag_of_words)
        except IndexMismatch:
            opened = Index(copy, OTHER)
        with closing(opened) as index:
            assert_consistent(index)
            assert {document.id: texts(index, document.id) for document in index.catalog.documents()} == expected
            answered.add((outcome, index.embedding is OTHER))
            assert index.embedding is OTHER or outcome == "died"
    assert answered == {("died", False), ("died", True), ("done", True)}
    assert caplog.messages == []


@pytest.mark.parametrize("folder", ["vectors", "words"])
def test_a_lost_index_is_made_again(tmp_path, bag_of_words, folder, caplog):
    storage = tmp_path / "storage"
    with closing(Index(storage, bag_of_words)) as index:
        index.catalog.create_collection("other")
        for document_id, pages in OLD.items():
            put(index, bag_of_words, document_id, *pages, heading="A heading")
        put(index, bag_of_words, "doc_o", "orange one\norange two", collection="other")
        before = (
            index.search_dense("cherry two", scope(index), 10),
            index.search_lexical("cherry two", scope(index), 10),
        )
    shutil.rmtree(storage / folder)
    with caplog.at_level(logging.WARNING), closing(Index(storage, bag_of_words)) as index:
        assert_consistent(index)
        after = index.search_dense("cherry two", scope(index), 10), index.search_lexical("cherry two", scope(index), 10)
    assert [dict(leg) for leg in after] == [pytest.approx(dict(leg), abs=1e-5) for leg in before]
    assert caplog.messages
    caplog.clear()
    with closing(Index(storage, bag_of_words)) as index:
        assert_consistent(index)
    assert caplog.messages == []


def test_strangers_among_vectors_and_words_are_swept_out(tmp_path, bag_of_words):
    storage = tmp_path / "storage"
    with closing(Index(storage, bag_of_words)) as index:
        put(index, bag_of_words, "doc_a", *OLD["doc_a"])
        collection = index.catalog.collection().id
        index._vectors.add(collection, ["stranger"], bag_of_words.embed_passages(["stranger"]))
        index._vectors.delete(collection, index.catalog.vector_ids("doc_a")[1:3])
        index._writer.delete(["doc_a:1"])
        assert dense(index, "stranger", scope(index), 1) == []
    with closing(Index(storage, bag_of_words)) as index:
        assert_consistent(index)


def test_another_embedding_model_is_refused_by_name(tmp_path, bag_of_words):
    storage = tmp_path / "storage"
    with closing(Index(storage, bag_of_words)) as index:
        put(index, bag_of_words, "doc_a", "one")
    other = open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="query: "))
    with pytest.raises(IndexMismatch) as raised:
        Index(storage, other)
    assert "bag-of-words" in raised.value.message
    assert "bag-of-words" in raised.value.hint
    with closing(Index(storage, bag_of_words)) as index:  # nothing was harmed
        assert_consistent(index)


def test_the_error_names_both_models(tmp_path, bag_of_words, minilm):
    storage = tmp_path / "storage"
    with closing(Index(storage, bag_of_words)) as index:
        put(index, bag_of_words, "doc_a", "one")
    with pytest.raises(IndexMismatch, match=r"bag-of-words.*sentence-transformers/all-MiniLM-L6-v2"):
        Index(storage, minilm)


def test_an_empty_index_takes_any_embedding_model(tmp_path, bag_of_words):
    Index(tmp_path, bag_of_words).close()
    other = open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="query: "))
    with closing(Index(tmp_path, other)) as index:
        put(index, other, "doc_a", "one")
    with pytest.raises(IndexMismatch):
        Index(tmp_path, bag_of_words)


# ------------------------------------------------------------------------------------------- reading while writing


@pytest.mark.parametrize("pause", [0.0, 0.05])
async def test_a_document_that_is_being_replaced_is_always_found_in_one_version(index, bag_of_words, pause):
    versions = [
        make_version("doc_a", [f"lantern alpha {n}\nlantern beta {n}\nlantern gamma {n}"], bag_of_words, version=n)
        for n in range(1, 32)
    ]
    for number in range(5):
        put(index, bag_of_words, f"doc_{number}", "something else\nlantern of another")
    index.replace_documents([versions[0]])
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for version in versions[1:]:
                index.replace_documents([version])
                time.sleep(pause)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    retriever = HybridRetriever(index, RetrievalSettings())
    writer = threading.Thread(target=write)
    writer.start()
    searches = 0
    seen: set[str] = set()
    try:
        while writer.is_alive():
            hits = await retriever.retrieve("lantern alpha", scope(index), 10)
            mine = [hit for hit in hits if hit.chunk.document_id == "doc_a"]
            numbers = {hit.chunk.text.split()[-1] for hit in mine}
            assert len(mine) == 3, f"{len(mine)} hits in search {searches}"
            assert len(numbers) == 1, f"versions {numbers} at once"
            seen |= numbers
            searches += 1
    finally:
        writer.join()
    assert failures == []
    assert searches > 5
    assert len(seen) > 2
    assert_consistent(index)


def test_words_of_another_analysis_are_indexed_anew(tmp_path, bag_of_words):
    with closing(Index(tmp_path, bag_of_words)) as index:
        index.replace_documents([make_version("doc_a", ["公司在机器上花了多少钱"], bag_of_words)])
        index._writer.rewrite("doc_a:1", [LexicalEntry("doc_a:1:0", index.catalog.collection().id, "", "", "公司")])
        index._writer.commit()
        index.catalog.set_property("words", "1")
        assert index.search_lexical("机器", scope(index), 5) == []
    with closing(Index(tmp_path, bag_of_words)) as index:
        assert [chunk_id for chunk_id, _ in index.search_lexical("机器", scope(index), 5)] == ["doc_a:1:0"]
