"""A process's own words: filled at the first look, following from then on, and swept when their process was killed."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing

from rag.index.lexical import LexicalIndex
from rag.index.lexical_replica import LexicalReplica
from rag.storage.catalog import Catalog
from tests.rag.versions import commit, make_version


def test_words_follow_the_catalog_and_go_with_their_process(database, bag_of_words, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "footnote-words-killed"
    left.mkdir()
    (left / "lock").touch()
    with closing(Catalog(database)) as catalog:
        commit(catalog, make_version("doc_a", ["apple\nbanana"], bag_of_words))
        with closing(LexicalReplica(catalog)) as first, closing(LexicalReplica(catalog)) as second:
            assert len(list(tmp_path.glob("footnote-words-*"))) == 2
            assert (first.index.count(), second.index.count()) == (2, 2)
            commit(catalog, make_version("doc_a", ["cherry"], bag_of_words, version=2))
            assert [chunk for chunk, _ in first.index.search("cherry apple", None, 5)] == ["doc_a:2:0"]
        assert list(tmp_path.glob("footnote-words-*")) == []


def test_what_is_deleted_leaves_the_files_of_every_process_soon(database, bag_of_words, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(Catalog(database)) as catalog:
        for document_id, word in (("doc_a", "apple"), ("doc_b", "banana"), ("doc_c", "cherry")):
            commit(catalog, make_version(document_id, [word], bag_of_words))
        with closing(LexicalReplica(catalog)) as replica:
            assert replica.index.count() == 3
            [folder] = tmp_path.glob("footnote-words-*/words")
            catalog.delete_documents(["doc_b"])
            deadline = time.monotonic() + 30
            while LexicalIndex(folder).tantivy.searcher().doc_freq("body", "banana"):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert [chunk for chunk, _ in replica.index.search("apple banana cherry", None, 5)] == [
                "doc_a:1:0",
                "doc_c:1:0",
            ]
