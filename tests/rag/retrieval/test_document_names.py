"""A question names documents by title, file name or folder; by what many share it names none."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from rag.retrieval.document_names import NamedDocuments, named_documents
from rag.storage.catalog import Catalog
from rag.types.documents import Scope
from tests.rag.versions import commit, make_version

FILES = {
    "ACTIVISIONBLIZZARD_2019_10K.pdf": "",
    "BESTBUY_2017_10K.pdf": "",
    "BESTBUY_2019_10K.pdf": "",
    "BESTBUY_2024Q2_10Q.pdf": "",
    "JPMORGAN_2021Q1_10Q.pdf": "CORP Q1 2021",
    "JPMORGAN_2022Q2_10Q.pdf": "",
    "VERIZON_2021_10K.pdf": "",
    "VERIZON_2022_10K.pdf": "",
    "policies/travel.docx": "Travel policy",
    "policies/state-of-the-union.md": "",
    "Handbuch Öfen.pdf": "Brennöfen",
    "Notary.pdf": "",
    "Allstate_2020.pdf": "",
    "oreilly.pdf": "O'Reilly Automotive",
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, bag_of_words):
    with closing(Catalog(tmp_path_factory.mktemp("named") / "catalog.sqlite3")) as catalog:
        for name, title in FILES.items():
            version = make_version(f"doc_{name}", ["text"], bag_of_words, title=title or name)
            document = replace(version.document, source=f"/documents/{name}")
            commit(catalog, replace(version, document=document))
        yield catalog


def named(catalog, question, documents=None):
    scope = Scope((catalog.collection().id,), documents)
    return {document.removeprefix("doc_") for document in named_documents(catalog.database, question, scope).documents}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the FY2019 turnover ratio of Activision Blizzard?", {"ACTIVISIONBLIZZARD_2019_10K.pdf"}),
        ("what are best buy's inventories in fiscal 2019", {"BESTBUY_2019_10K.pdf"}),
        ("Did Best Buy's cash drop between FY2017 and FY2019?", {"BESTBUY_2019_10K.pdf"}),
        ("Best Buy stores in Q2 of FY2024?", {"BESTBUY_2024Q2_10Q.pdf"}),
        ("Which of JPM's segments had the lowest revenue in 2021 Q1?", {"JPMORGAN_2021Q1_10Q.pdf"}),
        ("JPMorgan's net income in Q22022", {"JPMORGAN_2022Q2_10Q.pdf"}),
        ("Did Verizon grow between FY21 and FY22?", {"VERIZON_2022_10K.pdf"}),
        ("Is Verizon capital intensive?", {"VERIZON_2021_10K.pdf", "VERIZON_2022_10K.pdf"}),
        ("As of FY 2021, what did Verizon expect to pay in 2024?", {"VERIZON_2021_10K.pdf"}),
        ("What does the travel policy say about hotels?", {"policies/travel.docx"}),
        ("Wie heiß werden die Brennöfen?", {"Handbuch Öfen.pdf"}),
        ("Who is the CEO of O'Reilly?", {"oreilly.pdf"}),
        ("List ALL fees, and what is NOT covered", set()),
        (
            "Which ALL MUST NOT " + " ".join(f"{a}{b}{c}" for a in "ABCDEFGHIJ" for b in "KLMNOPQRST" for c in "XYZ"),
            set(),
        ),
        ("How much is the rent? " * 20_000, set()),
        ("How much is the rent?", set()),
        ("", set()),
        ("?! 🦊", set()),
    ],
)
def test_documents_are_found_by_their_names(catalog, question, expected):
    assert named(catalog, question) == expected


def test_only_documents_in_the_scope_are_named(catalog):
    assert named(catalog, "Is Verizon capital intensive?", frozenset({"doc_VERIZON_2021_10K.pdf"})) == {
        "VERIZON_2021_10K.pdf"
    }
    assert named(catalog, "Is Verizon capital intensive?", frozenset({"doc_policies/travel.docx"})) == set()
    assert named_documents(catalog.database, "Is Verizon capital intensive?", Scope(())) == NamedDocuments()


def test_what_half_of_the_documents_share_names_none(tmp_path, bag_of_words):
    with closing(Catalog(tmp_path / "catalog.sqlite3")) as catalog:
        for number in range(4):
            title = f"Report {'kiln' if number < 3 else 'clay'}"
            version = make_version(f"doc_{number}", ["text"], bag_of_words, title=title)
            commit(catalog, version)
        assert named(catalog, "what does the kiln report say?") == set()
        assert named(catalog, "what does the clay report say?") == {"3"}


def test_names_follow_their_document(tmp_path, bag_of_words):
    with closing(Catalog(tmp_path / "catalog.sqlite3")) as catalog:
        for name in ("a", "b", "c"):
            version = make_version(f"doc_{name}", ["text"], bag_of_words, title=f"The {name * 4} file")
            commit(catalog, version)
        assert named(catalog, "bbbb") == {"b"}
        catalog.put_record(replace(catalog.document("doc_b"), title="The quince file"))
        assert (named(catalog, "bbbb"), named(catalog, "a quince")) == (set(), {"b"})
        catalog.delete_documents(["doc_b"])
        assert named(catalog, "a quince") == set()


def test_a_catalog_without_names_notes_them_when_it_is_opened(tmp_path, bag_of_words):
    with closing(Catalog(tmp_path / "catalog.sqlite3")) as catalog:
        for name in ("kiln", "clay", "glaze"):
            version = make_version(f"doc_{name}", ["text"], bag_of_words, title=name)
            commit(catalog, version)
        with catalog.database.transaction() as connection:
            connection.execute("DELETE FROM names")
            connection.execute("DELETE FROM properties WHERE name = 'names'")
        assert named(catalog, "clay") == set()
    with closing(Catalog(tmp_path / "catalog.sqlite3")) as catalog:
        assert named(catalog, "clay") == {"clay"}


def test_other_collections_do_not_count(tmp_path, bag_of_words):
    with closing(Catalog(tmp_path / "catalog.sqlite3")) as catalog:
        for collection in ("default", "second", "third"):
            catalog.create_collection(collection)
            for name in ("apple", "boeing", "cisco", "delta"):
                version = make_version(
                    f"{collection}_{name}", ["text"], bag_of_words, title=name, collection=collection
                )
                commit(catalog, version)
        found = named_documents(catalog.database, "revenue of Apple?", Scope((catalog.collection().id,)))
        assert found.documents == {"default_apple"}
        assert found.coverage > 0.9
