"""A repair goes on until nothing is found that does not fit, and makes way for a change of the embedding model."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from rag.index.index import Index
from rag.index.lexical import LexicalEntry
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
from rag.types.documents import Scope
from tests.rag.versions import make_version


class WaitingEmbedding:
    """Embeds passages when it may."""

    def __init__(self, embedding):
        self._embedding = embedding
        self.is_embedding, self.may_embed = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        self.is_embedding.set()
        self.may_embed.wait()
        return self._embedding.embed_passages(texts)


@pytest.fixture
def index(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        index.replace_documents([make_version("doc_a", ["apple one"], bag_of_words)])
        yield index


def lose_vectors(index):
    collection_id = index.catalog.collection().id
    index._vectors.delete(collection_id, index._vectors.ids(collection_id))


def test_a_repair_makes_way_for_another_embedding_model_and_goes_on_after_it(index, bag_of_words):
    embedding = WaitingEmbedding(bag_of_words)
    lose_vectors(index)
    index._repairer.start(index._vectors, embedding, patience=0)
    assert embedding.is_embedding.wait(10)
    threading.Timer(0.3, embedding.may_embed.set).start()
    with index.switching(open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="other "))):
        assert list(index.follow_repair()) == []
    for _ in index.follow_repair():
        pass
    assert index.impaired == frozenset()
    scope = Scope((index.catalog.collection().id,))
    assert [chunk for chunk, _ in index.search_dense("apple", scope, 5)] == ["doc_a:1:0"]


def test_words_that_stand_for_nothing_are_deleted_and_those_that_lack_are_indexed(index, bag_of_words):
    index.replace_documents([make_version(f"doc_{number}", ["banana"], bag_of_words) for number in range(3)])
    index._writer.delete(["doc_1:1"])
    index._writer.add([LexicalEntry(f"doc_gone:1:{n}", "vs", "", "", "cherry") for n in range(2)])
    index._repairer.start(index._vectors, bag_of_words)
    assert index.impaired == frozenset()
    scope = Scope((index.catalog.collection().id,))
    found = {chunk for chunk, _ in index.search_lexical("banana", scope, 5)}
    assert found == {"doc_0:1:0", "doc_1:1:0", "doc_2:1:0"}
    assert index._lexical.count() == 4
