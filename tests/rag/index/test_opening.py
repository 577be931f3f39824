"""A storage folder is opened after a kill, or a failure, on the way."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest

from rag.index.index import Index
from rag.index.integrity import FolderNote
from rag.types.documents import Scope
from tests.rag.versions import make_version


class NoPassages:
    """Embeds questions alone."""

    def __init__(self, embedding):
        self._embedding = embedding

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        raise AssertionError(f"embedded again: {texts}")


@pytest.fixture
def storage(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        index.replace_documents([make_version("doc_a", ["apple one"], bag_of_words)])
    return tmp_path / "storage"


@pytest.mark.parametrize("is_new_there", [False, True])
def test_killed_while_vectors_are_put_aside_nothing_is_embedded_again(storage, bag_of_words, is_new_there):
    (storage / "vectors").rename(storage / "vectors.damaged-20260101T000000000000")
    if is_new_there:
        (storage / "vectors").mkdir()
    with closing(Index(storage, NoPassages(bag_of_words))) as index:
        scope = Scope((index.catalog.collection().id,))
        assert [chunk for chunk, _ in index.search_dense("apple", scope, 5)] == ["doc_a:1:0"]
        assert index.impaired == frozenset()
    assert list(storage.glob("*.damaged-*")) == []


def test_an_opening_that_fails_closes_what_it_has_opened(storage, bag_of_words):
    shutil.rmtree(storage / "vectors")
    with pytest.raises(AssertionError, match="embedded again"):
        Index(storage, NoPassages(bag_of_words))
    assert FolderNote(storage / "vectors").is_certain
    with closing(Index(storage, bag_of_words)) as index:
        assert index.impaired == frozenset()


def test_what_was_put_aside_stays_until_all_is_whole(storage, bag_of_words):
    (storage / "vectors" / "copy.sqlite3").unlink()
    (storage / "vectors" / "chroma.sqlite3").write_bytes(b"no database")
    with pytest.raises(AssertionError, match="embedded again"):
        Index(storage, NoPassages(bag_of_words))
    assert len(list(storage.glob("vectors.damaged-*"))) == 1
    Index(storage, bag_of_words).close()
    assert list(storage.glob("vectors.damaged-*")) == []
