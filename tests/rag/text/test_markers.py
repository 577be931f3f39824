"""What markers cost: the filter reads every character about once, whatever a model writes."""

from __future__ import annotations

import time

import pytest

from rag.text.markers import MARKER_WITH_SPACE, MarkerFilter, cited_numbers, round_markers, without_markers

N = 20_000


def streamed(text):
    markers = MarkerFilter([1])
    return "".join([*map(markers.feed, text), markers.flush()])


def in_one_piece(text):
    markers = MarkerFilter([1])
    return markers.feed(text) + markers.flush()


def seconds(work, text):
    """The quickest of three: other processes make one late, not all."""
    times = []
    for _ in range(3):
        began = time.process_time()
        work(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    "work",
    [
        streamed,
        in_one_piece,
        cited_numbers,
        round_markers,
        without_markers,
        lambda text: MARKER_WITH_SPACE.sub("", text),
    ],
    ids=["streamed", "in one piece", "cited", "rounded", "without", "without, and the space"],
)
@pytest.mark.parametrize("unit", [" ", "\t ", "[", "[ ", "[a", "a ", "[1, ", "[1", "1, "])
def test_runs_take_no_more_than_their_length(work, unit):
    short, long = (unit * (length // len(unit)) + "x" for length in (N // 8, N))
    assert seconds(work, long) < 8 * 4 * seconds(work, short) + 0.05, "eight times as long, not 64 times"


def test_nothing_of_a_run_is_lost():
    for run in (" " * 1000, "[" * 1000, "[1, " * 300, f"[{'1, ' * 300}1]", f"see{' ' * 100}[x]"):
        assert streamed(run) == in_one_piece(run) == run


def test_a_marker_behind_a_long_run_is_still_one():
    assert streamed(f"end{' ' * 50}[1]") == f"end{' ' * 50}[1]"
    assert streamed(f"end{' ' * 50}[7].") == f"end{' ' * 42}."
