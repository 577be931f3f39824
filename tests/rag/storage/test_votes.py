"""Votes are kept with all that was shown, and go with the documents that the answers were made from."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.errors import InvalidRequest
from rag.index.index import Index
from rag.storage.feedback import list_votes, passage_id, put_vote
from rag.types.documents import LOCAL_PRINCIPAL, Passage
from tests.rag.versions import make_version

pytestmark = pytest.mark.databases

ANSWERS = {"small": "Every 90 days [1].", "large": "Each quarter [1]."}


@pytest.fixture
def index(tmp_path, bag_of_words, database):
    with closing(Index(tmp_path / "storage", bag_of_words, database)) as index:
        index.replace_documents(
            [make_version(name, ["The pump needs oil."], bag_of_words) for name in ("doc_a", "doc_ab")]
        )
        yield index


def place(document_id, page_index=3):
    return passage_id(Passage(1, document_id, "T", "a.pdf", page_index, "4", "", 10, 20, "x" * 10, 1.0))


def test_a_vote_is_kept_with_all_that_was_shown(index):
    first = put_vote(
        index.catalog.database, LOCAL_PRINCIPAL, "How often?", ANSWERS, [place("doc_a"), place("doc_ab", None)], "large"
    )
    second = put_vote(index.catalog.database, LOCAL_PRINCIPAL, "Why?", ANSWERS, [], None)
    assert list_votes(index.catalog.database) == [second, first]
    assert first.passages == ("doc_a:3:10-20", "doc_ab::10-20")
    assert list(first.answers) == ["small", "large"]
    assert (first.chosen, second.chosen) == ("large", None)


@pytest.mark.parametrize(("answers", "chosen"), [(ANSWERS, "other"), ({"small": "Yes."}, "small"), ({}, None)])
def test_one_votes_for_what_was_shown(index, answers, chosen):
    with pytest.raises(InvalidRequest) as raised:
        put_vote(index.catalog.database, LOCAL_PRINCIPAL, "How often?", answers, [], chosen)
    assert raised.value.param == "chosen"
    assert list_votes(index.catalog.database) == []


def test_with_a_document_go_the_votes_on_what_it_says(index):
    gone = put_vote(
        index.catalog.database, LOCAL_PRINCIPAL, "How often?", ANSWERS, [place("doc_ab"), place("doc_a")], "large"
    )
    kept = put_vote(index.catalog.database, LOCAL_PRINCIPAL, "Why?", ANSWERS, [place("doc_ab")], "small")
    index.delete_documents(["doc_a"])
    assert list_votes(index.catalog.database) == [kept]
    assert gone not in list_votes(index.catalog.database)
