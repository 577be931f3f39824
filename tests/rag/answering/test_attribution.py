"""Sentences without a footnote get the one of the passage that bears them out; nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.attribution import Attribution
from rag.types.documents import Passage

HANDBOOK = (
    "Salaries are paid on the 25th of each month. Employees get 24 days of annual leave, and 27 days after five years. "
    "A doctor's certificate is needed from the third day of illness."
)
TRAVEL = "Driving one's own car is paid at 0.42 euros per kilometre. Hotels are booked by the front office."


def passage(number, text):
    return Passage(number, f"doc_{number}", f"Document {number}", "a.pdf", 0, "1", "", 0, len(text), text, 1.0)


PASSAGES = [passage(1, HANDBOOK), passage(2, TRAVEL)]


def attributed(text, size=3):
    attribution = Attribution(PASSAGES)
    pieces = [attribution.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join(pieces) + attribution.flush()


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Salaries are paid on the 25th.", "Salaries are paid on the 25th. [1]"),
        (
            "Salaries are paid on the 25th. Driving your own car is paid at 0.42 euros per kilometre.\n",
            "Salaries are paid on the 25th. [1] Driving your own car is paid at 0.42 euros per kilometre. [2]\n",
        ),
        ("- 24 days of annual leave\n- Hotels are booked by the front office\n", None),
        ("Salaries are paid on the 25th. [2]", "Salaries are paid on the 25th. [1]"),  # a wrong one is put right
        ("Salaries are paid on the 25th [1].", "Salaries are paid on the 25th [1]."),
        ("Salaries are paid on the 25th. [1] Yes.", "Salaries are paid on the 25th. [1] Yes."),
    ],
)
def test_footnotes_are_put_where_they_lack(answer, expected, size):
    expected = expected or "- 24 days of annual leave [1]\n- Hotels are booked by the front office [2]\n"
    assert attributed(answer, size) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "Salaries are paid on the 15th.",  # says something else
        "The moon is made of cheese.",
        "Hello!",
        "When are salaries paid?",
        "```\nSalaries are paid on the 25th.\nx = items[9]\n```\n",
        "| Salaries are paid on the 25th. |\n",
        "It is e.g. 3.5 euros, cf. the list.",
        "I could not find an answer to this in your documents.",
    ],
)
def test_what_no_passage_bears_out_stays_as_it_is(answer):
    assert attributed(answer) == answer


def test_it_is_told_which_were_found():
    attribution = Attribution(PASSAGES)
    text = attribution.feed("Salaries are paid on the 25th. The moon is far.") + attribution.flush()
    assert text == "Salaries are paid on the 25th. [1] The moon is far."
    assert [text[place : place + 4] for place in attribution.found] == [" [1]"]


@given(st.text(alphabet="ab .!?\n[]123`|-\t", max_size=80), st.integers(1, 7))
def test_no_character_is_lost_or_changed(text, size):
    attribution = Attribution([])
    pieces = [attribution.feed(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join(pieces) + attribution.flush() == text
