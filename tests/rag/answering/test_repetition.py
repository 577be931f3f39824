"""Loops are seen however the text is cut into pieces, and what only looks like one is none."""

from __future__ import annotations

import pytest

from rag.answering.repetition import RepetitionGuard

SENTENCE = "Salaries are paid on the 25th [1]. "


def guarded(text, size):
    guard = RepetitionGuard()
    pieces = [guard.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join(pieces) + guard.flush(), guard.is_loop


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (SENTENCE * 5, SENTENCE * 2),
        (f"{SENTENCE}Hotels are booked by the office. " * 4, f"{SENTENCE}Hotels are booked by the office. " * 2),
        ("the pump needs oil and a filter " * 9, "the pump needs oil and a filter " * 2),
        ("日本語の文です。" * 5, "日本語の文です。" * 2),
    ],
)
def test_the_third_time_is_not_shown(text, shown, size):
    assert guarded(text, size) == (shown, True)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        SENTENCE * 2 + "And something else.",
        "1. Room one has a bed.\n2. Room two has a bed.\n3. Room three has a bed.\n",
        "| a b c d e | 1 |\n" * 9,
        "```\nfor x in y: go on now\n" + "go on and on now\n" * 9 + "```\n",
        "Yes. No. Yes. No. Yes. No.",
        "".join(f"{year}: revenue was 5 million euros\n" for year in range(2021, 2025)),
        "".join(f"## Policy {name}\n\nThe documents do not say it.\n\n" for name in "ABCD"),
    ],
)
def test_what_is_no_loop_stays(text, size):
    assert guarded(text, size) == (text, False)
