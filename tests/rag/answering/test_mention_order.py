"""Footnotes are numbered as they are read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.mention_order import MentionOrder
from rag.text.markers import cited_numbers, find_markers
from rag.types.documents import Passage

PASSAGES = tuple(
    Passage(number, f"doc_{number}", "Manual", "manual.pdf", 0, "1", "", start=0, end=4, text="Oil.", score=1.0)
    for number in range(1, 13)
)


def renumbered(text, size=3, passages=PASSAGES):
    """The text as it is shown, fed in pieces, and each list of passages that was told, with what was shown by then."""
    told = []
    shown = ""
    order = MentionOrder(passages, lambda changed: told.append((shown, changed)))
    for start in range(0, len(text), size):
        shown += order.feed(text[start : start + size])
    shown += order.flush()
    return shown, order, told


def test_the_passage_mentioned_first_is_number_one():
    shown, order, told = renumbered("Oil [4]. Water [2][4]. Air [1], and oil again [4].")
    assert shown == "Oil [1]. Water [2][1]. Air [3], and oil again [1]."
    assert [passage.document_id for passage in order.passages[:4]] == ["doc_4", "doc_2", "doc_1", "doc_3"]
    assert [passage.number for passage in order.passages] == list(range(1, 13))
    assert told[-1][1] == order.passages


def test_an_order_that_is_right_is_told_nobody():
    text = "Oil [1]. Water [2]; `items[3]` and clause [9] are none. Air [3]."
    shown, order, told = renumbered(text)
    assert (shown, told, order.passages) == (text, [], PASSAGES)


def test_whoever_stops_reading_has_passages_that_fit_the_text():
    text = "Oil [12]. Water [7]. Air [12][1]. Fire [3]."
    names = {"12": "doc_12", "7": "doc_7", "1": "doc_1", "3": "doc_3"}
    wanted = [names[number] for number in re.findall(r"\[(\d+)\]", text)]
    for end in range(len(text) + 1):
        shown, _, told = renumbered(text[:end])
        now = {passage.number: passage.document_id for passage in (told[-1][1] if told else PASSAGES)}
        read = [now[number] for number in (marker.number for marker in find_markers(shown))]
        assert read == wanted[: len(read)]
    assert len(read) == len(wanted)


@given(st.lists(st.integers(1, 12), max_size=20), st.integers(1, 9))
def test_numbers_rise_and_places_are_found_again(numbers, size):
    text = "".join(f"Sentence about it [{number}]. " for number in numbers)
    shown, order, _ = renumbered(text, size)
    assert cited_numbers(shown) == list(range(1, len(set(numbers)) + 1))
    before, after = find_markers(text), find_markers(shown)
    assert [order.shown_offset(marker.start) for marker in before] == [marker.start for marker in after]
    documents = {passage.number: passage.document_id for passage in order.passages}
    assert [documents[marker.number] for marker in after] == [f"doc_{number}" for number in numbers]


@pytest.mark.parametrize("text", ["", "No marker.", "A [13] that is nobody's."])
def test_what_cites_nothing_changes_nothing(text):
    assert renumbered(text)[2] == []
