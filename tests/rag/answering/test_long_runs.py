"""Answers that a model fills with runs of one thing: time grows with their length, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from rag.answering.generation import write_prompt
from rag.answering.prompt_budget import Prompt
from rag.text.markers import find_markers, replace_markers
from rag.types.chat import Sampling
from rag.types.documents import Message
from rag.types.models import LanguageModel, ModelDelta
from rag.ui.markdown import presentable
from tests.growth import assert_linear
from tests.rag.answering.test_attribution import PASSAGES

RUN = 120_000  # characters
LONGEST_WAIT = 0.25  # seconds; a turn may be 0.05, and a machine that does much else adds to it
UNITS = (
    " ",
    "\n",
    "[",
    "]",
    "?",
    ".",
    "(",
    "`",
    "~",
    "$",
    "{",
    "\\",
    "【",
    "¹",
    "|",
    "a",
    "a ",
    "[1]",
    "[1",
    "``` ",
    "$1 ",
)


class Speaker:
    def __init__(self, pieces):
        self.pieces = pieces

    async def stream(self, messages, options):
        for piece in self.pieces:
            await asyncio.sleep(0)
            yield ModelDelta(piece)
        yield ModelDelta("", "stop")


def answered(pieces):
    """The processor's time for an answer in these pieces, and the longest that another task had to wait."""
    model = LanguageModel("test", "test", "test", Speaker(pieces), 100_000, len)
    prompt = Prompt([Message("user", "When are salaries paid?")], PASSAGES, 100)
    longest = 0.0

    async def look_on():
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    async def answer():
        onlooker = asyncio.create_task(look_on())
        await write_prompt(model, prompt, Sampling(), lambda event: None)
        onlooker.cancel()
        with suppress(asyncio.CancelledError):
            await onlooker

    began = time.process_time()
    asyncio.run(answer())
    return time.process_time() - began, longest


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_length(unit):
    for size in (1, 100_000):  # characters a piece
        pieces = {}
        for characters in (4_000, 8_000, 16_000):
            text = unit * (characters // len(unit))
            pieces[characters] = [text[start : start + size] for start in range(0, len(text), size)]
        times = {characters: min(answered(said)[0] for _ in range(2)) for characters, said in pieces.items()}
        assert times[16_000] < max(0.3, 2.6 * times[8_000]), (unit, size, times)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [" ", "[", "?", "\n", "a ", "`"])
def test_nobody_waits_for_a_run_that_comes_in_one_piece(unit):
    text = unit * (RUN // len(unit))
    taken, longest = answered([text])
    assert longest < LONGEST_WAIT, f"{taken:.1f} s, of which others waited {longest:.3f} s at once"


@pytest.mark.parametrize("unit", UNITS)
def test_an_answer_that_is_shown_again_takes_time_with_its_length(unit):
    def show(characters):
        text = unit * (characters // len(unit))
        find_markers(text)
        replace_markers(presentable(text), lambda marker: f"({marker.number})")

    assert_linear(show, 4_000)
