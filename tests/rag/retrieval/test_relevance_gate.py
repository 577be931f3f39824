"""The gate: what is near in meaning or shares the question's rare words passes, and the very code that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rag.retrieval.relevance_gate import (
    best_relevance,
    foreign_documents,
    is_foreign,
    matching_documents,
    with_relevance,
)
from rag.types.documents import Chunk, Hit


@dataclass(frozen=True)
class Scales:
    """What the gate wants to know of an embedding model."""

    is_multilingual: bool = False
    similarity_scale: tuple[float, float] = (0.0, 1.0)
    scale_across_languages: tuple[float, float] = (0.0, 1.0)


ENGLISH, MANY = Scales(), Scales(is_multilingual=True, similarity_scale=(0.7, 0.9), scale_across_languages=(0.6, 1.0))


def hit(text, *, dense=None, is_exact=False, document="doc_a"):
    chunk = Chunk(f"{document}:1:0", document, 0, None, None, "", None, 0, len(text), text)
    return Hit(chunk, "Title", "a.txt", 1.0, (0, len(text)), dense_score=dense, is_exact=is_exact)


def relevance(hits, weights):
    return best_relevance(with_relevance(hits, "Where is the pump?", weights, ENGLISH))


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
    judged = with_relevance(hits, "blue crane hook", weights, ENGLISH)
    assert list(matching_documents([*judged, *judged], 0.5)) == ["a", "d"]
    assert matching_documents(judged, 1.5) == {}
    assert matching_documents([], 0.5) == {}


def test_a_probability_grows_with_the_relevance_alone():
    hits = with_relevance([hit("pump", dense=share / 10) for share in range(10)], "pump", {"pump": 1.0}, ENGLISH)
    probabilities = [hit.probability for hit in hits]
    assert probabilities == sorted(probabilities)
    assert 0 < probabilities[0] < 0.1 < 0.9 < probabilities[-1] < 1


def test_cosines_count_on_the_scale_of_their_model():
    weights = {"pump": 3.0, "oil": 1.0}
    [judged] = with_relevance([hit("Where the pump is.", dense=0.74)], "Where is the pump?", weights, MANY)
    assert judged.relevance == pytest.approx(0.2 + 4 / 6)
    [capped] = with_relevance([hit("Where the pump is.", dense=0.99)], "Where is the pump?", weights, MANY)
    assert capped.relevance == pytest.approx(1 + 4 / 6)


def test_in_another_language_meaning_counts_for_the_words_too():
    spanish = [hit("La bomba está en el sótano.", dense=0.8), hit("El aceite se cambia cada mes.", dense=0.7)]
    weights = {"pump": 3.0}
    judged = with_relevance(spanish, "Where is the pump?", weights, MANY)
    assert [item.relevance for item in judged] == pytest.approx([2 * 0.5, 2 * 0.25])
    [plain, _] = with_relevance(spanish, "Where is the pump?", weights, ENGLISH)
    assert plain.relevance == pytest.approx(0.8 + 1.5 / 6), "a model of one language may not say so"


@pytest.mark.parametrize(
    ("question", "text", "is_across"),
    [
        ("Where is the pump?", "The pump is in the cellar, where it is dry.", False),
        ("Where is the pump?", "La bomba está en el sótano.", True),
        ("¿Dónde está la bomba?", "La bomba está en el sótano.", False),
        ("¿Dónde está la bomba?", "The pump is in the cellar.", True),
        ("水泵在哪里？", "水泵在地下室里。", False),
        ("水泵在哪里？", "The pump is in the cellar.", True),
        ("2019?", "The pump is in the cellar.", False),
        ("purple umbrellas", "The pump is in the cellar.", False),
    ],
)
def test_common_words_tell_whether_the_language_is_the_same(question, text, is_across):
    hits = [hit(text), hit(text)]
    assert is_foreign(question, hits, MANY) == is_across
    assert not is_foreign(question, hits, ENGLISH)
    assert not is_foreign(question, [], MANY)


def test_each_document_has_its_own_language():
    hits = [
        hit("The pump is in the cellar, where it is dry.", document="doc_a"),
        hit("La bomba gira.", document="doc_b"),
    ]
    assert foreign_documents("Where is the pump, and is it dry?", hits, MANY) == {"doc_b"}
