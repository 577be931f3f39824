"""Markers: the same however the reply is cut into pieces; and the words that a citation points at."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.answering.citations import collect_citations
from rag.text.markers import MarkerFilter, cited_numbers
from rag.types.documents import Passage


def filtered(*deltas: str, numbers=(1, 2, 3)) -> str:
    markers = MarkerFilter(numbers)
    return "".join([*(markers.feed(delta) for delta in deltas), markers.flush()])


PIECES = [
    "[",
    "]",
    "【",
    "】",
    "1",
    "2",
    "9",
    "12",
    "0123",
    ",",
    ", ",
    ";",
    " & ",
    " ",
    "  ",
    "\t",
    "\n",
    "source ",
    "Sources ",
    "a",
    ".",
]
REPLIES = st.one_of(
    st.lists(
        st.sampled_from([*PIECES, "[1]", "[2, 3]", "[9]", "word", "[x]", "[1", "[source 1, source 2, source 3]"])
    ).map("".join),
    st.text(max_size=60),
)


@given(REPLIES, st.lists(st.integers(0, 80), max_size=8))
@example("see [1,\n2] there", [7])
@example("see [source 1, source 2, source 3, source 9, source 1, source 2]", [12, 50, 60])
@example("end \n[1]", [4])
def test_any_split_of_a_reply_gives_the_same_text(reply, cuts):
    borders = [0, *sorted(min(cut, len(reply)) for cut in cuts), len(reply)]
    deltas = [reply[a:b] for a, b in pairwise(borders)]
    whole = filtered(reply)
    assert filtered(*deltas) == whole
    assert filtered(*reply) == whole


@given(st.text(max_size=60).filter(lambda text: "[" not in text and "【" not in text))
def test_text_without_markers_is_unchanged(text):
    assert filtered(*text) == text


@given(REPLIES)
def test_only_known_sources_are_cited(reply):
    assert set(cited_numbers(filtered(reply))) <= {1, 2, 3}
    assert filtered(filtered(reply)) == filtered(reply)


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("So it is [1].", "So it is [1]."),
        ("So it is [7].", "So it is."),
        ("So [1, 7, 2].", "So [1][2]."),
        ("So 【3】 it [Source 2] is [sources 1; 2 & 9].", "So [3] it [2] is [1][2]."),
        ("An array a[0] and [see below] and [x].", "An array a and [see below] and [x]."),
        ("Open [", "Open ["),
        ("Open [1", "Open [1"),
        ("[1]", "[1]"),
        ("[2023] was a year", "[2023] was a year"),
        ("[](link) [ ] todo [x] done", "[](link) [ ] todo [x] done"),
    ],
)
def test_examples(reply, shown):
    assert filtered(reply) == shown


def test_a_reply_is_not_held_back_longer_than_needed():
    markers = MarkerFilter([1])
    assert markers.feed("The pump") == "The pump"
    assert markers.feed(" needs") == " needs"
    assert markers.feed(" oil [") == " oil"
    assert markers.feed("1") == ""
    assert markers.feed("]. Next") == " [1]. Next"


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
