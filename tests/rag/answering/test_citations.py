"""The words that a citation points at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.citations import collect_citations
from rag.types.documents import Passage


def passage(number: int, text: str, start: int = 100) -> Passage:
    return Passage(number, f"doc_{number}", "T", "t.pdf", 4, "v", "H", start, start + len(text), text, 1.0)


PUMP = passage(1, "The pump is blue. It needs oil every 90 days. It weighs 12 kg.")
TRAVEL = passage(2, "Hotels in London cost 185 EUR at most. Flights are economy class. Trains are first class.")


def test_a_citation_points_at_the_sentence_its_claim_rests_on():
    answer = "Oil the pump every 90 days [1]. A hotel may cost 185 EUR [2]."
    first, second = collect_citations(answer, [PUMP, TRAVEL])
    assert first.quote == "It needs oil every 90 days."
    assert second.quote == "Hotels in London cost 185 EUR at most."
    assert (first.number, first.document_id, first.page_index, first.page_label) == (1, "doc_1", 4, "v")
    assert PUMP.text[first.start - 100 : first.end - 100] == first.quote


def test_a_marker_after_the_full_stop_belongs_to_the_sentence_before_it():
    answer = "Oil it every 90 days. [1] Flights are economy class. [2]"
    assert [c.quote for c in collect_citations(answer, [PUMP, TRAVEL])] == [
        "It needs oil every 90 days.",
        "Flights are economy class.",
    ]


@pytest.mark.parametrize("end", ["", " More follows here."])
def test_several_markers_after_the_full_stop_belong_to_it_too(end):
    other = passage(2, "The bearings are old. Days of oil: 90. Nothing else.")
    answer = f"Oil it every 90 days. [1][2]{end}"
    assert [c.quote for c in collect_citations(answer, [PUMP, other])] == [
        "It needs oil every 90 days.",
        "Days of oil: 90.",
    ]


def test_each_source_is_cited_once_in_order_of_mention():
    answer = "Trains are first class [2][1]. And blue [1]. And more [2] [3]."
    assert [c.number for c in collect_citations(answer, [PUMP, TRAVEL])] == [2, 1]
    assert collect_citations("Nothing.", [PUMP]) == ()
    assert collect_citations("", [PUMP]) == ()
    assert collect_citations("[1]", [PUMP])[0].number == 1


@given(st.text(max_size=80), st.text(min_size=1, max_size=80))
def test_a_quote_is_always_an_exact_piece_of_its_passage(claim, text):
    source = passage(1, text)
    for citation in collect_citations(f"{claim} [1]", [source]):
        assert text[citation.start - 100 : citation.end - 100] == citation.quote
        assert citation.quote
