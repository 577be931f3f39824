"""A question to several documents is put to each of them; one about a single thing stays whole."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from rag.retrieval.question_parts import question_parts
from rag.storage.catalog import Catalog
from rag.types.documents import Scope
from tests.rag.versions import commit, make_version

FILES = {
    "visitor-guide.pdf": "Visitor Guide",
    "lease-ostergaard.md": "Lease between Ostergaard Fisheries and the Port of Varde",
    "Tern 300.pdf": "Tern 300 operating instructions",
    "Petrel 80.pdf": "Petrel 80 operating instructions",
    "safety-rules-2021.md": "Safety rules (2021)",
    "safety-rules-2024.md": "Safety rules (2024)",
    "order-2031-114.txt": "",
    "order-2031-118.txt": "",
    "order-2031-120.txt": "",
    "Brandschutzordnung.md": "Brandschutzordnung",
    "canteen.txt": "",
    "crane.txt": "",
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, bag_of_words):
    with closing(Catalog(tmp_path_factory.mktemp("parts") / "catalog.sqlite3")) as catalog:
        for name, title in FILES.items():
            version = make_version(f"doc_{name}", ["text"], bag_of_words, title=title or name.partition(".")[0])
            document = replace(version.document, source=f"/documents/{name}")
            commit(catalog, replace(version, document=document))
        yield catalog


def parts_of(catalog, question, documents=None):
    scope = Scope((catalog.collection().id,), documents)
    return [
        (" ".join(part.question.split()), *sorted(name.removeprefix("doc_") for name in part.document_ids or ()))
        for part in question_parts(catalog.database, question, scope)
    ]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Compare the guarantee of the Tern 300 with that of the Petrel 80",
            [
                ("Compare the guarantee of the Tern 300", "Tern 300.pdf"),
                ("Compare the guarantee of the with that of the Petrel 80", "Petrel 80.pdf"),
            ],
        ),
        (
            "What are the opening hours in the guide and the deposit in the Ostergaard lease?",
            [
                ("What are the opening hours in the guide", "visitor-guide.pdf"),
                ("the deposit in the Ostergaard lease?", "lease-ostergaard.md"),
            ],
        ),
        (
            "sum of order 2031-114 and of 2031-120",
            [
                ("sum of order 2031-114", "order-2031-114.txt"),
                ("sum of order 2031- and of 2031-120", "order-2031-120.txt"),
            ],
        ),
        (
            "What changed between the safety rules of 2021 and 2024?",
            [
                ("What changed between the safety rules of 2021 and ?", "safety-rules-2021.md"),
                ("What changed between the safety rules of and 2024?", "safety-rules-2024.md"),
            ],
        ),
        (
            "Welches Gewicht haben Tern 300 und Petrel 80?",
            [
                ("Welches Gewicht haben Tern 300", "Tern 300.pdf"),
                ("Welches Gewicht haben und Petrel 80?", "Petrel 80.pdf"),
            ],
        ),
        (
            "¿Cuánto pesa la Tern 300 y cuánto la Petrel 80?",
            [
                ("¿Cuánto pesa la Tern 300 y cuánto la ?", "Tern 300.pdf"),
                ("cuánto la Petrel 80?", "Petrel 80.pdf"),
            ],
        ),
        (
            "What is the difference between the pilot's bonus and the stoker's bonus?",
            [("What is the difference between the pilot's bonus",), ("the stoker's bonus?",)],
        ),
    ],
)
def test_each_part_has_its_question_and_its_documents(catalog, question, expected):
    assert parts_of(catalog, question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "What is the deposit in the Ostergaard lease?",
        "How are the ropes of the Tern 300 oiled and greased?",
        "Do the safety rules forbid smoking, alcohol and loud music?",
        "How many accidents were there in 2021 and 2024?",  # a report has the years before it, too
        "Where do I find soap and towels?",
        "Is there a canteen beside the crane?",
        "and",
        "",
    ],
)
def test_a_question_about_one_thing_stays_whole(catalog, question):
    assert parts_of(catalog, question) == []


def test_only_documents_in_the_scope_are_named(catalog):
    question = "Compare the weight of the Tern 300 with the weight of the Petrel 80"
    assert len(parts_of(catalog, question)) == 2
    parts = parts_of(catalog, question, frozenset({"doc_Tern 300.pdf"}))
    assert [documents for _, *documents in parts] == [[], []], "compared within what is there"
