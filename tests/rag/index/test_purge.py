"""What was deleted leaves the disk soon, whatever comes between: writers, searches, the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from rag.index.index import Index
from rag.index.lexical import LexicalEntry, LexicalIndex, LexicalWriter
from rag.index.purge import purge_words
from rag.index.segments import segments_with_deleted
from tests.rag.index.test_index import assert_consistent, lexical, put, scope
from tests.rag.versions import make_version

SECRET = "Zyzzogeton7391"
SOON = 30  # seconds


@pytest.fixture
def storage(tmp_path):
    return tmp_path / "storage"


@pytest.fixture
def index(storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        yield index


def fill(index, embedding, *, documents=20, lines=30):
    """Documents of equal size, the third of which has the secret in it."""
    for number in range(documents):
        page = "\n".join(f"line {n} of document {number}" + SECRET * (number == 3) for n in range(lines))
        put(index, embedding, f"doc_{number}", page.replace(SECRET, f" {SECRET}"))


def holders(storage):
    """Where the secret can still be found: files with its letters, and tantivy's dictionary of words."""
    letters = SECRET.lower().encode()
    found = [path.name for path in storage.rglob("*") if path.is_file() and letters in path.read_bytes().lower()]
    searcher = LexicalIndex(storage / "words").tantivy.searcher()
    return found + ["dictionary"] * (searcher.doc_freq("body", SECRET.lower()) > 0)


def assert_gone_soon(storage, deleted_at):
    while holders(storage):
        assert time.monotonic() < deleted_at + SOON, holders(storage)
        time.sleep(0.1)


def test_a_deleted_document_is_gone_from_the_disk_soon(index, storage, bag_of_words):
    fill(index, bag_of_words)
    assert "dictionary" in holders(storage)
    assert len(holders(storage)) > 1
    now = time.monotonic()
    assert index.delete_documents(["doc_3"]) > 30 * (len(SECRET) + bag_of_words.dimension * 4)
    assert lexical(index, SECRET, scope(index)) == []
    assert_gone_soon(storage, now)
    while index.is_purge_pending():
        assert time.monotonic() < now + SOON
        time.sleep(0.1)
    assert_consistent(index)


def test_a_version_that_was_replaced_before_goes_with_its_document(index, storage, bag_of_words):
    fill(index, bag_of_words)
    put(index, bag_of_words, "doc_3", "nothing of it any more", version=2)
    assert "dictionary" in holders(storage)
    now = time.monotonic()
    index.delete_documents(["doc_3"])
    assert_gone_soon(storage, now)


@pytest.mark.slow
def test_searches_and_writers_go_on_while_a_purge_does(index, storage, bag_of_words):
    fill(index, bag_of_words)
    everywhere, failures = scope(index), []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            if len(lexical(index, "line document", everywhere, 1_000)) < 16 * 30:
                failures.append("a chunk was not found while its segment was written anew")

    searcher = threading.Thread(target=search)
    searcher.start()
    now = time.monotonic()
    try:
        index.delete_documents(["doc_3"])
        for number in range(20):
            page = "\n".join(f"line {n} of document {number}" for n in range(30))
            put(index, bag_of_words, f"doc_{number % 3}", page, version=2 + number // 3)
            if number == 5:
                index.delete_documents(["doc_4"])
        assert_gone_soon(storage, now)
    finally:
        stop.set()
        searcher.join()
    assert failures == []
    assert_consistent(index)


def test_closing_finishes_what_is_to_be_purged(storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        fill(index, bag_of_words)
        index.delete_documents(["doc_3"])
    assert holders(storage) == []
    with closing(Index(storage, bag_of_words)) as index:
        assert not index.is_purge_pending()
        assert_consistent(index)


@pytest.mark.slow
def test_killed_before_the_purge_the_next_start_does_it(storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        fill(index, bag_of_words)
    child = os.fspath(storage)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.rag.index.delete_and_die", child, "doc_3"], check=False, timeout=60
    )
    assert ran.returncode == 9
    assert "dictionary" in holders(storage), "it was purged before the process was killed"
    now = time.monotonic()
    with closing(Index(storage, bag_of_words)) as index:
        assert index.is_purge_pending()
        assert_gone_soon(storage, now)
        assert_consistent(index)


def test_only_the_segments_of_what_was_deleted_are_written_anew(index, storage, bag_of_words):
    words = storage / "words"
    for pair in (("doc_1", "doc_2"), ("doc_3", "doc_4"), ("doc_5", "doc_6")):  # a segment each
        index.replace_documents([make_version(document_id, ["apple\npear"], bag_of_words) for document_id in pair])
    segments = {path.stem for path in words.glob("*.term")}
    index._writer.delete(["doc_1:1", "doc_4:1"])
    deleted = segments_with_deleted(words, {"doc_1", "doc_2", "doc_3", "doc_4"})
    assert sorted(deleted.values()) == [["doc_2:1"], ["doc_3:1"]]
    [segment] = segments_with_deleted(words, {"doc_1"})
    assert purge_words(index._writer, {"doc_1"}, index._purger._rewrite, threading.Event())
    assert list(segments_with_deleted(words, {"doc_1", "doc_4"}).values()) == [["doc_3:1"]]
    assert segments - {path.stem for path in words.glob("*.term")} == {segment}


def test_a_document_that_came_back_stays(index, storage, bag_of_words):
    version = make_version("doc_a", ["apple\nbanana"], bag_of_words)
    index.replace_documents([version, make_version("doc_b", ["cherry"], bag_of_words)])
    index.delete_documents(["doc_a"])
    index.replace_documents([version])
    index.delete_documents(["doc_b"])
    now = time.monotonic()
    while index.is_purge_pending():
        assert time.monotonic() < now + SOON
        time.sleep(0.1)
    assert lexical(index, "apple", scope(index)) == ["doc_a:1:0"]
    assert_consistent(index)


@pytest.mark.slow
def test_words_among_more_than_20_000_chunks_are_purged_after_a_stop_in_the_midst(tmp_path):
    """A purge that was stopped, as the end of the process stops it, is gone on with over the same files."""
    versions = {f"doc_{number}:1": number for number in range(250)}

    def entries(version):
        word = SECRET if version == "doc_3:1" else "banana"
        return [LexicalEntry(f"{version}:{n}", "vs_a", "", "", f"line {n} of {word}") for n in range(100)]

    def purged(stop):
        writer = LexicalWriter(LexicalIndex(tmp_path / "words"))

        def rewrite(version):
            writer.rewrite(version, entries(version))
            return 100

        try:
            return purge_words(writer, {"doc_3"}, rewrite, stop)
        finally:
            writer.close()

    writer = LexicalWriter(LexicalIndex(tmp_path / "words"))
    writer.add(entry for version in versions for entry in entries(version))
    writer.delete(["doc_3:1"])
    writer.close()
    stopped = threading.Event()
    threading.Timer(1.0, stopped.set).start()
    assert not purged(stopped)
    assert LexicalIndex(tmp_path / "words").tantivy.searcher().doc_freq("body", SECRET.lower())
    assert purged(threading.Event())
    searcher = LexicalIndex(tmp_path / "words").tantivy.searcher()
    assert not searcher.doc_freq("body", SECRET.lower())
    assert searcher.num_docs == 24_900


def test_a_panic_of_tantivy_is_an_error_that_a_purge_survives(tmp_path):
    """A panic is no Exception: it would end the purging thread."""
    writer = LexicalWriter(LexicalIndex(tmp_path))
    writer.add(LexicalEntry(f"doc_{n}:1:0", "vs", "Title", "", f"word {n}") for n in range(100))
    writer.delete(["doc_1:1"])
    writer.close()
    terms = next(tmp_path.glob("*.term"))
    content = terms.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    terms.write_bytes(bytes([0xFF] * (len(content) - footer)) + content[-footer:])
    with pytest.raises(RuntimeError, match="tantivy"):
        segments_with_deleted(tmp_path, {"doc_1"})
