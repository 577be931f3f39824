"""Sentences without a footnote get the one of the passage that bears them out; nothing else is touched."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.attribution import Attribution
from rag.text.markers import find_markers, without_markers
from rag.types.documents import Passage

HANDBOOK = (
    "Salaries are paid on the 25th of each month. Employees get 24 days of annual leave, and 27 days after five years. "
    "A doctor's certificate is needed from the third day of illness."
)
TRAVEL = "Driving one's own car is paid at 0.42 euros per kilometre. Hotels are booked by the front office."


def passage(number, text):
    return Passage(number, f"doc_{number}", f"Document {number}", "a.pdf", 0, "1", "", 0, len(text), text, 1.0)


PASSAGES = [passage(1, HANDBOOK), passage(2, TRAVEL)]


def attributed(text, size=3, passages=PASSAGES):
    """What is passed on of a text that comes in pieces, and the offsets of what Footnote put in."""
    attribution = Attribution(passages)

    async def passed_on():
        pieces = [await attribution.feed(text[start : start + size]) for start in range(0, len(text), size)]
        return "".join(pieces) + await attribution.flush()

    return asyncio.run(passed_on()), attribution.found


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Salaries are paid on the 25th.", "Salaries are paid on the 25th. [1]"),
        ("Salaries are paid on the 25th", "Salaries are paid on the 25th [1]"),
        (
            "Salaries are paid on the 25th. Driving your own car is paid at 0.42 euros per kilometre.\n",
            "Salaries are paid on the 25th. [1] Driving your own car is paid at 0.42 euros per kilometre. [2]\n",
        ),
        (
            "- 24 days of annual leave\n- Hotels are booked by the front office\n",
            "- 24 days of annual leave [1]\n- Hotels are booked by the front office [2]\n",
        ),
        ("Salaries are paid on the 25th. [2]", "Salaries are paid on the 25th. [1]"),  # a wrong one is put right
        ("Salaries are paid on the 25th [2].", "Salaries are paid on the 25th [1]."),
        ("Salaries are paid on the 25th [2][3].\n\nYes.", "Salaries are paid on the 25th [1].\n\nYes."),
        ("Salaries are paid on the 25th items[2].", None),
        ("- 24 days of annual leave [2]\n", "- 24 days of annual leave [1]\n"),
        ("Salaries are paid on the 25th [1].", None),
        ("Salaries are paid on the 25th. [1] Yes.", None),
        (
            "Salaries are paid on the 25th. 24 sheep live on the moon.",
            "Salaries are paid on the 25th. [1] 24 sheep live on the moon.",
        ),
        ("**Salaries are paid on the 25th.** So.", "**Salaries are paid on the 25th.** [1] So."),
        (
            "Salaries are paid on the 25th of\neach month. Yes.",
            "Salaries are paid on the 25th of\neach month. [1] Yes.",
        ),
        ("Salaries are paid on the 25th. [see above]", "Salaries are paid on the 25th. [1] [see above]"),
        (
            "```\nx = items[1].\n```\nSalaries are paid on the 25th.",
            "```\nx = items[1].\n```\nSalaries are paid on the 25th. [1]",
        ),
    ],
)
def test_footnotes_are_put_where_they_lack(answer, expected, size):
    assert attributed(answer, size)[0] == (expected or answer)


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "answer",
    [
        "Salaries are paid on the 15th.",  # says something else
        "The moon is made of cheese.",
        "The moon is made of cheese [2].",
        "Hello!",
        "When are salaries paid?",
        "```\nSalaries are paid on the 25th.\nx = items[9]\n```\n",
        "See this: ```Salaries are paid on the 25th.``` So.",
        "| Salaries are paid on the 25th. |\n",
        "Pay | Day\n--- | ---\nSalaries are paid | on the 25th.\n",
        '{"answer": "Salaries are paid on the 25th.", "pages": [12, 13]}',
        '[\n"Salaries are paid on the 25th.",\n"Hotels are booked by the front office."\n]',
        "<p>Salaries are paid on the 25th. Hotels are booked by the front office.</p>",
        "It is e.g. 3.5 euros, cf. the list.",
        "x = items[9]; y = items[1]; z = grid[2, 7].",
        "I could not find an answer to this in your documents.",
    ],
)
def test_all_else_stays_as_it_is(answer, size):
    assert attributed(answer, size) == (answer, [])


def test_it_is_told_which_were_found():
    text, found = attributed("Salaries are paid on the 25th. The moon is far. 24 days of annual leave [2].")
    assert text == "Salaries are paid on the 25th. [1] The moon is far. 24 days of annual leave [1]."
    assert [text[place:].lstrip()[:3] for place in found] == ["[1]", "[1]"]


@given(st.text(alphabet='ab .!?\n[]123`|-\t"*。', max_size=80), st.integers(1, 7))
def test_no_character_is_lost_or_changed(text, size):
    assert attributed(text, size, ()) == (text, [])


@given(st.text(alphabet='ab .!?\n[]123`|-\t"*。', max_size=40), st.integers(1, 7))
def test_only_markers_are_put_in_between(text, size):
    written = f"Salaries are paid on the 25th. {text}\n\nHotels are booked by the front office.{text}"
    result, found = attributed(written, size)
    assert "".join(without_markers(result).split()) == "".join(without_markers(written).split())
    assert result == attributed(written, 1000)[0]
    assert {place + result[place:].index("[") for place in found} <= {marker.start for marker in find_markers(result)}


@pytest.mark.parametrize("unit", ["[", ".", "\n", "a. ", "[1] ", "word "])
def test_long_runs_take_linear_time(unit):
    text = unit * (50_000 // len(unit))
    began = time.perf_counter()
    assert attributed(text, 50, ())[0] == text
    assert time.perf_counter() - began < 10


def test_half_a_sentence_gets_no_marker():
    async def passed_on(is_cut_off):
        attribution = Attribution(PASSAGES)
        text = "Salaries are paid on the 25th. Hotels are booked by the front office [1]"
        return await attribution.feed(text) + await attribution.flush(is_cut_off=is_cut_off)

    expected = "Salaries are paid on the 25th. [1] Hotels are booked by the front office"
    assert asyncio.run(passed_on(True)) == f"{expected} [1]"
    assert asyncio.run(passed_on(False)) == f"{expected} [2]"
