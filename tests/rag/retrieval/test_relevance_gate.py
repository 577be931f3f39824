"""The gate: what is near in meaning or shares the question's rare words passes, and the very code that is asked for."""

from __future__ import annotations

import pytest

from rag.retrieval.relevance_gate import best_relevance, matching_documents, with_relevance
from rag.types.documents import Chunk, Hit


def hit(text, *, dense=None, is_exact=False, document="doc_a"):
    chunk = Chunk(f"{document}:1:0", document, 0, None, None, "", None, 0, len(text), text)
    return Hit(chunk, "Title", "a.txt", 1.0, (0, len(text)), dense_score=dense, is_exact=is_exact)


def relevance(hits, weights):
    return best_relevance(with_relevance(hits, weights))


def test_the_best_of_the_first_hits_counts():
    weights = {"pump": 3.0, "oil": 1.0}
    # (shared weight + half a word of average weight) / (all weight + a word of average weight), and the cosine
    assert relevance([hit("A pump.", dense=0.2)], weights) == pytest.approx(0.2 + 4 / 6)
    assert relevance([hit("A boat."), hit("A pump.", dense=0.2)], weights) == pytest.approx(0.2 + 4 / 6)
    assert relevance([hit("A boat.")] * 10 + [hit("A pump.")], weights) == pytest.approx(1 / 6)
    assert relevance([], weights) == 0


def test_the_very_code_that_is_asked_for_passes():
    assert relevance([hit("A boat."), hit("9.1.2 A boat.", is_exact=True)], {"9": 0.1, "9qz1qz2": 5.0}) == 2


def test_documents_that_match_are_those_near_the_best():
    texts = {"a": "blue crane hook", "b": "blue crane", "c": "blue", "d": "crane hook blue"}
    hits = [hit(text, document=document) for document, text in texts.items()]
    weights = {"blue": 1.0, "crane": 1.0, "hook": 1.0}
    judged = with_relevance(hits, weights)
    assert list(matching_documents([*judged, *judged], 0.5)) == ["a", "d"]
    assert matching_documents(judged, 1.5) == {}
    assert matching_documents([], 0.5) == {}


def test_a_probability_grows_with_the_relevance_alone():
    hits = with_relevance([hit("pump", dense=share / 10) for share in range(10)], {"pump": 1.0})
    probabilities = [hit.probability for hit in hits]
    assert probabilities == sorted(probabilities)
    assert 0 < probabilities[0] < 0.1 < 0.9 < probabilities[-1] < 1
