"""Other words for those of a question: out of the shipped glossary and out of documents called glossary.txt."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest

from rag.index.index import Index
from rag.retrieval.glossary import Glossary, _shipped, _stems, glossary_of, read_groups
from rag.retrieval.retriever import HybridRetriever
from rag.settings import RetrievalSettings
from rag.types.documents import Scope
from tests.rag.versions import make_version

GLOSSARY = Glossary(
    list(read_groups(["# shop talk", "brew = coffee; hot drinks", "day off = leave; holiday", "no group"]))
)


@pytest.mark.parametrize(
    ("question", "others"),
    [
        ("Where is the brew kept?", "coffee; hot drinks"),
        ("Where are HOT DRINKS kept?", "brew; coffee"),
        ("How many days off does one get?", "leave; holiday"),
        ("How many days does one get?", ""),
        ("Is coffee served on holidays?", "brew; hot drinks; day off; leave"),
        ("", ""),
    ],
)
def test_the_other_phrases_of_a_group(question: str, others: str) -> None:
    assert GLOSSARY.other_words(question) == others


def test_lines_that_are_no_groups_are_passed_over() -> None:
    lines = ["a = b # c = d", "= x", "long = one two three four five six seven", ";;=;", "", "ü = ß; Öl"]
    assert list(read_groups(lines)) == [["a", "b"], ["ü", "ß", "Öl"]]


def test_no_phrase_of_the_shipped_glossary_is_in_two_groups() -> None:
    phrases = Counter(stems for group in _shipped().groups for stems in {_stems(phrase) for phrase in group})
    assert [stems for stems, count in phrases.items() if count > 1] == []
    assert all(len(group) > 1 for group in _shipped().groups)


@pytest.fixture
def index(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        texts = {"doc_a": "The xylograph is cleaned on Mondays.", "doc_b": "On Mondays the gadget is sold."}
        for document_id, text in texts.items():
            index.replace_documents([make_version(document_id, [text], bag_of_words)])
        yield index


async def test_a_document_is_the_glossary_of_its_collection(index, bag_of_words):
    collection = index.catalog.collection()
    retriever, scope = HybridRetriever(index, RetrievalSettings()), Scope((collection.id,))
    assert glossary_of(index.catalog, scope.collection_ids).other_words("the gizmo") == ""
    glossary = make_version("doc_g", ["gizmo = xylograph"], bag_of_words, source="/home/anna/Glossary.txt")
    index.replace_documents([glossary])
    assert glossary_of(index.catalog, scope.collection_ids).other_words("the gizmo") == "xylograph"
    assert glossary_of(index.catalog, ("vs_other",)).other_words("the gizmo") == ""
    only = Scope((collection.id,), frozenset({"doc_a", "doc_b"}))
    hits = await retriever.retrieve("When is the gizmo treated?", only, 2)
    assert hits[0].chunk.document_id == "doc_a"
    index.delete_documents(["doc_g"])
    assert glossary_of(index.catalog, scope.collection_ids).other_words("the gizmo") == ""
