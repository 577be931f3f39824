"""Fusion by hand and by property, and what a search does when one of its legs fails."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import RagError
from rag.index.index import Index
from rag.retrieval.document_names import NamedDocuments
from rag.retrieval.relevance_gate import best_relevance
from rag.retrieval.retriever import HybridRetriever, LegResults, boost_named_documents, convex_fusion, spread
from rag.settings import RetrievalSettings
from rag.types.documents import Chunk, Scope
from tests.rag.versions import make_version

IDS = st.sampled_from([f"c{number}" for number in range(12)])


def legs(lowest: float):
    scores = st.floats(lowest, 50, allow_nan=False)
    pairs = st.lists(st.tuples(IDS, scores), unique_by=lambda pair: pair[0], max_size=12)
    return pairs.map(lambda leg: sorted(leg, key=lambda pair: -pair[1]))


def test_fusion_as_computed_by_hand():
    dense = [("a", 0.9), ("b", 0.7), ("c", 0.5)]
    lexical = [("c", 8.0), ("a", 2.0), ("d", 1.0)]
    legs = LegResults(dense, lexical)
    assert convex_fusion(legs, 0.5) == pytest.approx({"a": 0.625, "b": 0.25, "c": 0.5, "d": 0.0625})
    assert convex_fusion(legs, 0.3) == pytest.approx({"a": 0.475, "b": 0.15, "c": 0.7, "d": 0.0875})


def test_edges_of_fusion():
    assert convex_fusion(LegResults([], []), 0.5) == {}
    assert convex_fusion(LegResults([("a", 0.3)], []), 0.2) == {"a": 1.0}
    assert convex_fusion(LegResults([], [("a", 3.0), ("b", 1.5)]), 0.9) == {"a": 1.0, "b": 0.5}
    assert convex_fusion(LegResults([("a", 0.3), ("b", 0.3)], [("c", 1.0)]), 0.5) == {"a": 0.5, "b": 0.5, "c": 0.5}


@given(legs(-1), legs(0.001), st.floats(0, 1))
def test_properties_of_fusion(dense, lexical, weight):
    fused = convex_fusion(LegResults(dense, lexical), weight)
    assert fused.keys() == {i for i, _ in dense} | {i for i, _ in lexical}
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused.values())
    for leg, share in ((dense, weight), (lexical, 1 - weight)):
        if (
            fused
            and leg
            and (len(leg) == len(fused))
            and ((leg is dense and not lexical) or (leg is lexical and not dense))
        ):
            assert [fused[i] for i, _ in leg] == sorted(fused.values(), reverse=True)
            assert max(fused.values()) == pytest.approx(1.0)
        elif leg and dense and lexical:
            assert fused[leg[0][0]] >= share - 1e-6, "the best of a leg gets all of its weight"


def test_named_documents_are_lifted_as_far_as_they_speak_to_the_question():
    scores = {"a:1:0": 1.0, "b:1:0": 0.5, "b:1:1": 0.1}
    within = {"b:1:0": 1.0, "b:1:2": 0.4}
    named = NamedDocuments(frozenset("b"), coverage=0.8)
    assert boost_named_documents(scores, within, named) == pytest.approx(
        {"a:1:0": 0.8, "b:1:0": 0.6, "b:1:1": 0.08, "b:1:2": 0.08}  # lifted by 0.5 ** 2
    )
    best = boost_named_documents({"a:1:0": 0.9, "b:1:0": 1.0}, {"b:1:0": 1.0, "b:1:1": 0.9}, named)
    assert max(best.values()) == best["b:1:0"] == pytest.approx(1.0)
    assert boost_named_documents(scores, {}, NamedDocuments(frozenset("c"), 1.0)) == pytest.approx(scores)
    half_said = boost_named_documents(scores, within, replace(named, coverage=0.35))
    assert half_said["b:1:0"] == pytest.approx((0.5 + 0.5**4) / (1 + 0.5**4))
    assert boost_named_documents({}, {"b:1:0": 1.0}, named) == {"b:1:0": 0.5}


def test_another_page_comes_before_more_of_the_same():
    def chunk(document, number, page):
        return Chunk(f"{document}:1:{number}", document, number, page, None, "", None, 0, 1, "x")

    chunks = {c.id: c for c in (chunk("a", 0, 0), chunk("a", 1, 0), chunk("a", 2, 1), chunk("b", 0, None))}
    scores = {"a:1:0": 1.0, "a:1:1": 0.9, "a:1:2": 0.7, "b:1:0": 0.4}
    assert [chunk_id for chunk_id, _ in spread(scores, chunks)] == ["a:1:0", "a:1:2", "a:1:1", "b:1:0"]
    without_pages = {c.id: c for c in (chunk("b", n, None) for n in range(3))}
    assert [s for _, s in spread(dict.fromkeys(without_pages, 0.5), without_pages)] == [0.5, 0.5, 0.5]


@pytest.fixture
def opened(tmp_path, bag_of_words):
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        pages = {"doc_a": ["The pump needs oil every 90 days.\nKeep it dry."], "doc_b": ["Travel costs are paid."]}
        index.replace_documents([make_version(i, text, bag_of_words) for i, text in pages.items()])
        scope = Scope((index.catalog.collection().id,))
        yield index, HybridRetriever(index, RetrievalSettings()), scope


async def test_hits_carry_ranks_and_scores_of_both_legs(opened):
    _, retriever, scope = opened
    hits = await retriever.retrieve("pump oil", scope, 10)
    assert hits[0].chunk.text == "The pump needs oil every 90 days."
    assert (hits[0].score, hits[0].dense_rank, hits[0].lexical_rank) == (pytest.approx(1.0), 1, 1)
    assert hits[0].title == "Title doc_a"
    assert hits[0].source == "/documents/doc_a.txt"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[-1].lexical_rank is hits[-1].lexical_score is None
    assert len(await retriever.retrieve("pump oil", scope, 1)) == 1
    assert await retriever.retrieve("pump oil", Scope(()), 10) == ()
    assert await retriever.retrieve("pump oil", scope, 10) == hits


class Interrupting:
    """An embedding model that takes its time over the first question; meanwhile the document is replaced."""

    def __init__(self, embedding, interrupt):
        self._embedding = embedding
        self._interrupt = interrupt

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_query(self, text):
        if self._interrupt is not None:
            time.sleep(0.3)  # the words have been searched by now
            self._interrupt()
            self._interrupt = None
        return self._embedding.embed_query(text)


async def test_a_search_that_a_replacement_ran_into_is_done_again(tmp_path, bag_of_words):
    old, new = (
        make_version("doc_a", [f"The pump needs oil every {days} days."], bag_of_words, version=version)
        for version, days in ((1, 90), (2, 30))
    )
    slow = Interrupting(bag_of_words, lambda: index.replace_documents([new]))
    with closing(Index(tmp_path, slow)) as index:
        index.replace_documents([old])
        scope = Scope((index.catalog.collection().id,))
        hits = await HybridRetriever(index, RetrievalSettings()).retrieve("pump oil", scope, 10)
    assert hits[0].chunk.text == "The pump needs oil every 30 days."
    assert (hits[0].dense_rank, hits[0].lexical_rank) == (1, 1)


@pytest.mark.parametrize("failing", ["words", "vectors"])
async def test_one_failing_leg_is_logged_and_the_other_answers(opened, failing, caplog, tmp_path):
    index, retriever, scope = opened
    if failing == "words":
        lose_words(index, tmp_path)
    else:
        lose_vectors(index)
    with caplog.at_level(logging.ERROR):
        hits = await retriever.retrieve("pump oil", scope, 10)
    assert hits[0].chunk.text == "The pump needs oil every 90 days."
    assert hits[0].score == pytest.approx(1.0)
    assert [record.name for record in caplog.records] == ["rag.retrieval.retriever"]
    assert ("lexical" if failing == "words" else "dense") in caplog.text


async def test_both_failing_legs_are_an_error_and_no_empty_result(opened, tmp_path):
    index, retriever, scope = opened
    lose_words(index, tmp_path)
    lose_vectors(index)
    with pytest.raises(RagError, match="search failed") as raised:
        await retriever.retrieve("pump oil", scope, 10)
    assert raised.value.hint


def lose_vectors(index):
    """Behind the index's back, as a damaged disk would: its collections are gone."""
    for collection in index._vectors._client.list_collections():
        index._vectors._client.delete_collection(collection.name)


def lose_words(index, tmp_path):
    """Behind the index's back: what tantivy has mapped becomes unreadable by taking its schema apart."""
    import tantivy

    index._lexical._schema = tantivy.SchemaBuilder().build()


CONTRACT = """9.1.2 The Supplier keeps records for 15 months.
9.1.21 The Customer pays within 30 days.
Records under clause 9.1.2 are open to the Customer for inspection of any clause, as clause 12.1.2 tells.
12.1.2 The parties meet in Oslo on 3 June 2025.
The kiln E05 takes element set EL-2140."""


@pytest.fixture
def contract(tmp_path, bag_of_words):
    """A contract, with chunks about clauses that share more words with a question than the clause does."""
    others = "\n".join(f"What does a clause say of clause law, part {number}?" for number in range(12))
    with closing(Index(tmp_path / "storage", bag_of_words)) as index:
        for document_id, text in {"doc_a": CONTRACT, "doc_b": others}.items():
            index.replace_documents([make_version(document_id, [text], bag_of_words)])
        yield index, Scope((index.catalog.collection().id,))


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("What does clause 9.1.2 say?", "9.1.2"),
        ("What does clause 12.1.2 say?", "12.1.2"),
        ("What does a clause say of 2025-06-03?", "12.1.2"),
        ("What does a clause say of EL 2140?", "The kiln E05"),
        ("What does a clause say of part 2140?", "The kiln E05"),
        ("Compare clause 9.1.2 with clause 12.1.2.", "Records under"),  # which holds both
    ],
)
@pytest.mark.parametrize("reranker", [False, True])
async def test_what_holds_a_code_of_the_question_comes_first(contract, question, beginning, reranker):
    index, scope = contract
    retriever = HybridRetriever(index, RetrievalSettings(), ByLength() if reranker else None)
    hits = await retriever.retrieve(question, scope, 20)
    assert hits[0].chunk.text.startswith(beginning)
    exact = [hit.is_exact for hit in hits]
    assert exact == sorted(exact, reverse=True)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert best_relevance(hits) >= RetrievalSettings().min_relevance


@pytest.mark.parametrize("question", ["What does clause 9.9.9 say?", "What does clause part 7 say?", "What of 2025?"])
async def test_other_questions_have_no_exact_hits(contract, question):
    index, scope = contract
    hits = await HybridRetriever(index, RetrievalSettings()).retrieve(question, scope, 20)
    assert not any(hit.is_exact for hit in hits)


async def test_a_code_that_many_chunks_hold_is_no_exact_hit(contract, bag_of_words):
    index, scope = contract
    pages = "\n".join(f"3 June 2025: note {number} on visitors." for number in range(12))
    index.replace_documents([make_version("doc_c", [pages], bag_of_words)])
    hits = await HybridRetriever(index, RetrievalSettings()).retrieve("Who met on 2025-06-03?", scope, 20)
    assert not any(hit.is_exact for hit in hits)


async def test_exact_hits_keep_to_the_scope(contract):
    index, scope = contract
    elsewhere = replace(scope, document_ids=frozenset({"doc_b"}))
    hits = await HybridRetriever(index, RetrievalSettings()).retrieve("What does clause 9.1.2 say?", elsewhere, 20)
    assert {hit.chunk.document_id for hit in hits} == {"doc_b"}
    assert not any(hit.is_exact for hit in hits)


class ByLength:
    """A reranker that holds the longest passage for the best, and has read what it was given."""

    name = "by length"

    def __init__(self) -> None:
        self.read: list[str] = []

    def score(self, question, passages):
        self.read = list(passages)
        return [len(passage) / 1000 for passage in passages]


async def test_a_reranker_orders_the_best_anew(opened):
    index, _, scope = opened
    reranker = ByLength()
    retriever = HybridRetriever(index, RetrievalSettings(rerank_top_n=2), reranker)
    hits = await retriever.retrieve("pump oil", scope, 10)
    assert len(reranker.read) == 2
    assert reranker.read[0] == "Title doc_a\nThe pump needs oil every 90 days."
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].chunk.text == max((hit.chunk.text for hit in hits[:2]), key=len)
    assert len(hits) == 3, "what was not read anew follows"


SPANISH = """El contrato de alquiler de la vivienda termina el último día del mes de diciembre.
El aceite de la bomba de agua se cambia cada noventa días, antes de la primera helada.
La biblioteca presta a sus socios hasta cinco libros durante cuatro semanas.
Los gastos de viaje se pagan cuando el empleado presenta las facturas del hotel."""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How often does the water pump need new oil?", "aceite"),
        ("How many books can members borrow?", "biblioteca"),
        ("¿Cuántos libros presta la biblioteca?", "biblioteca"),
    ],
)
async def test_a_model_for_many_languages_finds_pages_in_another_one(tmp_path, multilingual, question, answer):
    settings = RetrievalSettings()
    with closing(Index(tmp_path / "storage", multilingual)) as index:
        index.replace_documents([make_version("doc_a", [SPANISH], multilingual, title="Notas")])
        scope = Scope((index.catalog.collection().id,))
        retriever = HybridRetriever(index, settings)
        assert await retriever.query(question, scope) == question, "words of another language are no typing errors"
        hits = await retriever.retrieve(question, scope, 5)
        assert answer in hits[0].chunk.text
        assert best_relevance(hits) >= settings.min_relevance
        others = await retriever.retrieve("How many moons does Jupiter have?", scope, 5)
        assert best_relevance(others) < settings.min_relevance
