"""Markers: the same however the reply is cut into pieces, and every character is read about once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.text.markers import MarkerFilter, cited_numbers, find_markers, round_markers, without_markers
from tests.growth import assert_linear


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
@example(f"end{' ' * 30}[9]. And{' ' * 30}[1]", [10, 25, 50])
@example(f"[{'1, ' * 66}1] and [{'1, ' * 67}1]", [150, 205, 300])
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
        ("An array a[0] and [see below] and [x].", "An array a[0] and [see below] and [x]."),
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


N = 20_000


def streamed(text):
    markers = MarkerFilter([1])
    return "".join([*map(markers.feed, text), markers.flush()])


def in_one_piece(text):
    markers = MarkerFilter([1])
    return markers.feed(text) + markers.flush()


@pytest.mark.parametrize(
    "work",
    [
        streamed,
        in_one_piece,
        cited_numbers,
        round_markers,
        without_markers,
        find_markers,
    ],
    ids=["streamed", "in one piece", "cited", "rounded", "without", "found"],
)
@pytest.mark.parametrize("unit", [" ", "\t ", "[", "[ ", "[a", "a ", "[1, ", "[1", "1, "])
def test_runs_take_no_more_than_their_length(work, unit):
    assert_linear(lambda length: work(unit * (length // len(unit)) + "x"), N // 8)


def test_nothing_of_a_run_is_lost():
    for run in (" " * 1000, "[" * 1000, "[1, " * 300, f"[{'1, ' * 300}1]", f"see{' ' * 100}[x]"):
        assert streamed(run) == in_one_piece(run) == run


def test_a_marker_behind_a_long_run_is_still_one():
    assert streamed(f"end{' ' * 50}[1]") == f"end{' ' * 50}[1]"
    assert streamed(f"end{' ' * 50}[7].") == f"end{' ' * 42}."


@pytest.mark.parametrize(
    "text",
    [
        "a = rows[4]; b = grid[2, 7]",
        '{"pages": [1, 2], "ids": [1]}',
        "```python\nx = [1]\n[9]\n```",
        "`args[1]` and `[9]`",
        "Clauses [14], [2] and [3] apply",
        "nach § [3] und Art. [2]",
        "Seiten [2, 3], la página [2], à la page [1]",
        "[12](http://a.b) and [1](#x)",
        "- [x] done\n- [ ] open",
        "the formula $x [1] + y$ and \\(z [2]\\)",
        "v = [1, 2]",
        "[1] + [2]",
        "The pages are: [2, 3]",
        "| Day | Count |\n|---|---|\n| 26 | [1] |",
        "[[1, 2], [2, 3]]",
        "two (2) copies of (1) this",
        "Section (1).",
        "an area of 5 m².",
    ],
)
def test_what_is_no_marker_stays_and_cites_nothing(text):
    for split in range(len(text) + 1):
        assert filtered(text[:split], text[split:]) == text
    assert cited_numbers(text) == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("【1†source】", "[1]"),
        ("[^1]", "[1]"),
        ("[1-2]", "[1][2]"),
        ("[1–3]", "[1][2][3]"),
        ("[Doc 1]", "[1]"),
        ("[Document 2]", "[2]"),
        ("[Source: 1]", "[1]"),
        ("[citation:1]", "[1]"),
        ("[ref1]", "[1]"),
        ("[#1]", "[1]"),
        ("[[1]]", "[1]"),
        ("(1)", "[1]"),
        ("[1][2]", "[1][2]"),
        ("[1, 2]", "[1][2]"),
    ],
)
def test_the_ways_in_which_models_write_markers(written, shown):
    text = f"Oil is needed every 90 days {written}."
    for split in range(len(text) + 1):
        assert filtered(text[:split], text[split:]) == f"Oil is needed every 90 days {shown}."


def test_a_marker_that_touches_a_word_is_set_apart():
    assert filtered("Oil is needed each month[1].") == "Oil is needed each month [1]."
    assert filtered("Oil is needed each month.¹") == "Oil is needed each month. [1]"
    assert cited_numbers("工资每月26日支付[1]。") == [1]


def test_in_a_table_markers_stand_under_their_heading():
    table = "| Day | Source |\n|---|---|\n| 26 | [1] |"
    assert (filtered(table), cited_numbers(table)) == (table, [1])


def test_markers_can_be_given_other_numbers():
    markers = MarkerFilter({1: 7})
    assert markers.feed("So it is [1], not `[1]`.") + markers.flush() == "So it is [7], not `[1]`."
