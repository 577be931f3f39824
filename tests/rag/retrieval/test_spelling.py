"""Slips of the finger: a word that the index does not know is read as one that it knows, and nothing else is."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.index.index import Index
from rag.retrieval.spelling import corrected
from rag.types.documents import Scope
from tests.rag.versions import make_version

TEXTS = [
    "The pension scheme of Lindqvist Marine pays the contribution every quarter. The committee approves it.",
    "Payments to the government are organised by the treasurer. Class of 1999: two pensions.",
    "The spare keys are in the cabinet, beside the extinguisher. A ruling of the tribunal was translated.",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory, bag_of_words):
    with closing(Index(tmp_path_factory.mktemp("spelling") / "storage", bag_of_words)) as index:
        index.replace_documents([make_version("doc_a", TEXTS, bag_of_words)])
        index.catalog.create_collection("other")
        secret = make_version("doc_b", ["The moratorium is confidential."], bag_of_words, collection="other")
        index.replace_documents([secret])
        yield index


@pytest.fixture(scope="module")
def scope(index):
    return Scope((index.catalog.collection().id,))


@pytest.mark.parametrize(
    ("question", "read_as"),
    [
        ("Who is in the comittee?", "Who is in the committee?"),
        ("Is the goverment the govrenment?", "Is the government the government?"),
        ("payments to the governemnt", "payments to the government"),
        ("Where is the extingiusher in the cabinet?", "Where is the extinguisher in the cabinet?"),
        ("contrbution of the penson scheme", "contribution of the pension scheme"),
        ("Penion payments per quarter", "Pension payments per quarter"),
        ("Is Lindqvst a pension scheme?", "Is Lindqvist a pension scheme?"),
        ("Where is the extnguishr?", "Where is the extinguisher?"),
        ("tribunla", "tribunal"),
    ],
)
def test_slips(question, read_as, index, scope):
    assert corrected(question, index, scope) == read_as
    assert corrected(read_as, index, scope) == read_as, "what is known stays"


@pytest.mark.parametrize(
    "question",
    [
        "Who is in the committee of the pension scheme?",
        "Which clause of the pension scheme is it?",  # no slip in `class`
        "How much space is in the cabinet?",  # nor this one in `spare`
        "Is Cabinat a pension scheme?",  # a name is no other word
        "payments in PEN-5104 and pensoin-12",  # nor is a code
        "Wo steht der tribunla im Vertrag?",  # the language is another one
        "Is there a moratorum on payments?",  # that word is in another collection
        "mony for keys",  # too short
        "",
    ],
)
def test_what_stays(question, index, scope):
    assert corrected(question, index, scope) == question


def test_each_collection_has_its_words(index):
    other = Scope((index.catalog.collection("other").id,))
    assert corrected("Is the moratorum confidential?", index, other) == "Is the moratorium confidential?"
    assert corrected("Is the comittee confidential?", index, other) == "Is the comittee confidential?"
