"""A part of a collection: chosen by name, filter and pages before the best are taken, in both legs alike."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from dataclasses import replace

import pytest

import rag.index.index
from rag.errors import InvalidRequest, NotFound
from rag.index.index import Index
from rag.retrieval.retriever import HybridRetriever
from rag.settings import RetrievalSettings
from rag.storage.attributes import read_tags, set_attributes, tag
from rag.storage.catalog import Catalog
from rag.storage.selection import Selection, scope_of
from rag.text.analysis import ANALYSIS_VERSION
from tests.rag.versions import make_version

pytestmark = pytest.mark.databases


@pytest.fixture
def index(tmp_path, bag_of_words, database):
    with closing(Index(tmp_path / "storage", bag_of_words, database)) as index:
        yield index


def put(index, embedding, document_id, *pages, attributes=None, **options):
    version = make_version(document_id, pages, embedding, **options)
    index.replace_documents([version])
    if attributes:
        set_attributes(index.catalog, document_id, attributes)
    return version


def within(index, **selection):
    return scope_of(index.catalog, "default", Selection(**selection))


def found(index, question, scope, limit=10):
    """The chunk ids of each leg."""
    dense, lexical = index.search_dense(question, scope, limit), index.search_lexical(question, scope, limit)
    return {chunk_id for chunk_id, _ in dense}, {chunk_id for chunk_id, _ in lexical}


def where(kind, key, value):
    return {"type": kind, "key": key, "value": value}


# ------------------------------------------------------------------------------------------------------- before top-k


async def test_what_ranks_far_below_is_found_when_the_filter_leaves_only_it(index, bag_of_words):
    """Ranked 501st of all, and looked for with a limit of one."""
    index.replace_documents(
        [make_version(f"doc_{n}", ["pump oil pump oil"], bag_of_words, title="pump oil") for n in range(500)]
    )
    put(index, bag_of_words, "doc_x", "a very long line of other words and then a pump", attributes={"year": 2021})
    everywhere, only = within(index), within(index, filters=where("gt", "year", 2020))
    assert (
        "doc_x:1:0" not in found(index, "pump oil", everywhere, 100)[0] | found(index, "pump oil", everywhere, 100)[1]
    )
    assert found(index, "pump oil", only, 1) == ({"doc_x:1:0"}, {"doc_x:1:0"})
    retriever = HybridRetriever(index, RetrievalSettings())
    (hit,) = await retriever.retrieve("pump oil", only, 5)
    assert hit.chunk.id == "doc_x:1:0"
    assert (hit.dense_rank, hit.lexical_rank) == (1, 1)


def test_far_away_in_a_wide_scope_is_found_too(index, bag_of_words):
    """More chunks than are compared directly, all of them farther away than the nearest that are looked through."""
    chance = random.Random(1)
    words = [f"{first}{second}" for first in "bcdfghjklm" for second in ("ola", "eri", "atu", "ino", "ume")]

    def page(count, prefix=""):
        return "\n".join(prefix + " ".join(chance.choices(words, k=9)) for _ in range(count))

    near, far = (
        page(50 * rag.index.index._WIDENING + 100, "needle needle needle "),
        page(rag.index.index.DIRECT_COMPARISON + 100),
    )
    index.replace_documents(
        [make_version("doc_near", [near], bag_of_words), make_version("doc_far", ["no", far], bag_of_words)]
    )
    for scope in (within(index, documents=("doc_far",)), within(index, documents=("doc_far",), pages=(2, 2))):
        hits = index.search_dense("needle", scope, 50)
        assert len(hits) == 50
        assert all(chunk_id.startswith("doc_far:") for chunk_id, _ in hits)


async def test_an_empty_choice_finds_nothing(index, bag_of_words):
    put(index, bag_of_words, "doc_a", "pump oil")
    retriever = HybridRetriever(index, RetrievalSettings())
    for selection in (
        {"filters": where("eq", "year", 1)},
        {"documents": ()},
        {"pages": (2, 9)},
        {"documents": ("doc_a",), "filters": where("ne", "title", "Title doc_a")},
    ):
        scope = within(index, **selection)
        assert found(index, "pump oil", scope) == (set(), set())
        assert await retriever.retrieve("what does doc_a say of pump oil", scope, 5) == ()
        assert index.live_chunks(["doc_a:1:0"], scope) == {}


# -------------------------------------------------------------------------------------------------------------- pages


def test_pages_are_counted_from_one_and_both_ends_belong_to_them(index, bag_of_words):
    put(index, bag_of_words, "doc_a", "pump zero", "pump one", "pump two", "pump three")
    put(index, bag_of_words, "doc_b", "pump zero", "pump one")
    version = make_version("doc_text", ["pump of a file without pages"], bag_of_words)
    chunks = [replace(chunk, page_index=None, page_label=None) for chunk in version.chunks]
    sections = [replace(section, page_index=None, page_label=None) for section in version.sections]
    index.replace_documents([replace(version, chunks=chunks, sections=sections)])
    ids = [f"doc_{name}:1:{number}" for name, count in (("a", 4), ("b", 2), ("text", 1)) for number in range(count)]
    for scope, expected in (
        (within(index, pages=(2, 3)), {"doc_a:1:1", "doc_a:1:2", "doc_b:1:1"}),
        (within(index, pages=(1, 1)), {"doc_a:1:0", "doc_b:1:0"}),
        (within(index, pages=(4, 1000)), {"doc_a:1:3"}),
        (within(index, pages=(2, 3), documents=("doc_b.txt",)), {"doc_b:1:1"}),
    ):
        assert found(index, "pump", scope) == (expected, expected)
        assert index.live_chunks(ids, scope).keys() == expected


async def test_a_named_document_keeps_to_its_pages_and_to_the_filter(index, bag_of_words):
    put(index, bag_of_words, "doc_a", "pump oil", "pump grease", title="Zebra")
    put(index, bag_of_words, "doc_b", "pump oil", "pump grease", title="Giraffe")
    retriever = HybridRetriever(index, RetrievalSettings())
    question = "what does the zebra say of pump oil"
    hits = await retriever.retrieve(question, within(index, pages=(2, 2)), 5)
    assert [hit.chunk.id for hit in hits] == ["doc_a:1:1", "doc_b:1:1"]
    hits = await retriever.retrieve(question, within(index, filters=where("eq", "title", "Giraffe")), 5)
    assert {hit.chunk.document_id for hit in hits} == {"doc_b"}


@pytest.mark.parametrize("pages", [(0, 1), (3, 2), (-1, 5), (1, 2**40)])
def test_pages_that_are_none(index, pages):
    with pytest.raises(InvalidRequest, match="no range") as raised:
        within(index, pages=pages)
    assert raised.value.param == "pages"


# -------------------------------------------------------------------------------------------------------------- names


def test_documents_by_id_source_or_file_name(index, bag_of_words):
    for name in ("doc_a", "doc_b"):
        put(index, bag_of_words, name, "pump")
    twin = make_version("doc_c", ["pump"], bag_of_words)
    index.replace_documents([replace(twin, document=replace(twin.document, source="/other/doc_a.txt"))])
    index.catalog.create_collection("other")
    put(index, bag_of_words, "doc_d", "pump", collection="other")
    for names, expected in (
        (("doc_b",), {"doc_b"}),
        (("/documents/doc_a.txt",), {"doc_a"}),
        (("doc_b.txt", "/other/doc_a.txt"), {"doc_b", "doc_c"}),
    ):
        assert within(index, documents=names).document_ids == expected
    chosen = within(index, documents=("doc_b", "doc_c"), filters=where("ne", "file_name", "doc_b.txt"))
    assert chosen.document_ids == {"doc_c"}
    with pytest.raises(InvalidRequest, match="2 documents") as raised:
        within(index, documents=("doc_a.txt",))
    assert raised.value.param == "documents"
    for name in ("doc_d", "doc_d.txt", "%", "", "doc_a.txt' OR 1 --"):
        with pytest.raises(NotFound):
            within(index, documents=("doc_b", name))


# --------------------------------------------------------------------------------------------------------- attributes


def test_attributes_stay_when_the_document_changes_and_go_with_it(index, bag_of_words):
    version = put(index, bag_of_words, "doc_a", "pump", attributes={"year": 2021, "draft": True, "x": 1.5, "t": "ä 🦊"})
    expected = {"year": 2021, "draft": True, "x": 1.5, "t": "ä 🦊"}
    assert index.catalog.document("doc_a").attributes == expected
    put(index, bag_of_words, "doc_a", "new", version=2)
    index.catalog.put_record(replace(version.document, version=2, modified_ns=7))
    assert index.catalog.document("doc_a").attributes == expected
    tag(index.catalog, "doc_a", {"year": None, "draft": False, "new": "n"})
    assert index.catalog.document("doc_a").attributes == {"draft": False, "x": 1.5, "t": "ä 🦊", "new": "n"}
    assert type(index.catalog.document("doc_a").attributes["draft"]) is bool
    with pytest.raises(InvalidRequest):
        tag(index.catalog, "doc_a", {str(n): n for n in range(13)})
    with pytest.raises(NotFound):
        tag(index.catalog, "doc_b", {"a": 1})
    index.delete_documents(["doc_a"])
    put(index, bag_of_words, "doc_a", "pump")
    assert index.catalog.document("doc_a").attributes == {}


def test_attributes_as_they_are_typed():
    assert read_tags(("a=1", "b=x=y", "c=", 'd="1"', " e = true")) == {
        "a": 1,
        "b": "x=y",
        "c": None,
        "d": "1",
        "e": True,
    }
    for word in ("a", "=1", "k" * 65 + "=1"):
        with pytest.raises(InvalidRequest):
            read_tags((word,))


# ---------------------------------------------------------------------------------------------- older storage folders


def test_a_folder_of_an_older_program_is_taken_over(tmp_path, bag_of_words, caplog):
    """With an index of words that knows no pages."""
    import tantivy

    storage = tmp_path / "storage"
    with closing(Index(storage, bag_of_words)) as index:
        put(index, bag_of_words, "doc_a", "pump one", "pump two")
        index.catalog.set_property("words", "2")
    shutil.rmtree(storage / "words")
    (storage / "words").mkdir()
    names = ("id", "version", "collection", "title", "heading", "body")
    builder = tantivy.SchemaBuilder()
    for name in names:
        builder = builder.add_text_field(name, stored=name == "id", tokenizer_name="raw", index_option="basic")
    old = tantivy.Index(builder.build(), path=str(storage / "words"))
    writer = old.writer(heap_size=15_000_000, num_threads=1)
    writer.add_document(tantivy.Document(id="doc_a:1:0", version="doc_a:1", body="pump"))
    writer.commit()
    writer.wait_merging_threads()
    with closing(Index(storage, bag_of_words)) as index:
        assert found(index, "pump", within(index, pages=(2, 2))) == ({"doc_a:1:1"}, {"doc_a:1:1"})
        assert index.catalog.document("doc_a").attributes == {}
        tag(index.catalog, "doc_a", {"year": 2021})
        assert within(index, filters=where("eq", "year", 2021)).document_ids == {"doc_a"}
    assert caplog.messages == [], "nothing was damaged"
    assert sorted(path.name for path in storage.iterdir() if path.is_dir()) == ["vectors", "words"]
    with closing(Catalog(storage / "catalog.sqlite3")) as catalog:
        assert catalog.property("words") == ANALYSIS_VERSION
