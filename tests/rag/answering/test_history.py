"""Long conversations: what fits is told whole, else the last turns and a summary that is made once a turn at most."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise

import pytest

from rag.answering.history import Summaries, fit_history
from rag.answering.prompt_budget import turn_tokens
from rag.answering.prompts import SUMMARY, SUMMARY_QUESTION
from rag.errors import BackendUnavailable
from rag.settings import HistorySettings
from rag.types.documents import Message
from rag.types.models import LanguageModel
from tests.rag.answering.modes.speaking import assert_within_window, speaking

SIX = HistorySettings()
THREE = HistorySettings(turns=3)


def conversation(turns: int, words: int = 20) -> list[Message]:
    return [
        message
        for number in range(turns)
        for message in (
            Message("user", f"Question {number} " + "why " * words),
            Message("assistant", f"Answer {number} " + "so " * words),
        )
    ]


def summariser(window: int = 2000):
    """Says which turns it has read: those of the summary so far, and those said since."""

    def say(prompt: str) -> str:
        before = prompt.partition("Summary so far: ")[2].partition("\n\nWhat was said then:\n")[0]
        read = [word for word in before.split() if word.isdigit()]
        told = [line.split()[2] for line in prompt.splitlines() if line.startswith("user: Question")]
        return "Told: " + " ".join([*read, *told])

    return speaking(say, window=window)


async def test_what_fits_is_told_whole_and_nothing_is_summarised():
    model = summariser()
    history = conversation(40)
    told = await fit_history(model, history, turn_tokens(history, model.count_tokens), SIX, Summaries())
    assert told == history
    assert not model.llm.asked


async def test_the_last_turns_stay_whole_and_the_others_are_summarised_in_order():
    model = summariser()
    history = conversation(40)
    told = await fit_history(model, history, 1000, SIX, Summaries())
    assert told[0] == Message("user", SUMMARY_QUESTION)
    assert told[1] == Message("assistant", "Told: " + " ".join(map(str, range(34))))
    assert told[2:] == history[-12:]
    ((prompt, _), *more) = model.llm.asked
    assert prompt.startswith(f"user: {SUMMARY}")
    assert not more, "all of it fits into one prompt"


async def test_two_hundred_turns_cost_a_summary_a_turn_at_most_and_stay_in_the_room():
    model = summariser(window=8000)
    summaries = Summaries()
    history = conversation(200)
    calls = []
    for turns in range(1, 201):
        told = await fit_history(model, history[: 2 * turns], 500, THREE, summaries)
        assert turn_tokens(told, model.count_tokens) <= 500
        assert told[-2:] == history[2 * turns - 2 : 2 * turns]
        calls.append(len(model.llm.asked))
    assert all(after - before <= 1 for before, after in pairwise(calls))
    assert 10 < calls[-1] < 70, "turns that fit beside the summary are kept whole, and not summarised each"
    read = [line for prompt, _ in model.llm.asked for line in prompt.splitlines() if line.startswith("user: Question")]
    assert len(read) == len(set(read)), "a turn is read once"
    assert_within_window(model)
    again = await fit_history(model, history, 500, THREE, summaries)
    assert (again, len(model.llm.asked)) == (told, calls[-1]), "the same conversation again costs nothing"


@pytest.mark.parametrize(("window", "calls"), [(400, 200), (700, 40), (4000, 5)])
async def test_a_conversation_that_comes_late_is_read_in_pieces_that_fit(window, calls):
    model = summariser(window)
    history = [*conversation(100), *conversation(1, words=3000), *conversation(100)]
    told = await fit_history(model, history, 350, THREE, Summaries())
    assert turn_tokens(told, model.count_tokens) <= 350
    assert told[2:] == history[-6:]
    assert_within_window(model)
    assert len(model.llm.asked) <= calls


async def test_a_huge_turn_is_summarised_even_if_it_is_among_the_last():
    model = summariser()
    history = [*conversation(3), *conversation(1, words=600), *conversation(2)]
    told = await fit_history(model, history, 400, SIX, Summaries())
    assert told[1].content == "Told: 0 1 2 0"
    assert told[2:] == history[-4:]


async def test_a_summary_that_is_counted_longer_than_it_was_to_be_is_cut():
    model = replace(summariser(), count_tokens=lambda text: 2 * len(text.split()))
    history = conversation(150)
    told = await fit_history(model, history, 800, SIX, Summaries())
    assert turn_tokens(told, model.count_tokens) <= 800
    assert 180 < model.count_tokens(told[1].content) <= 200


async def test_a_changed_turn_makes_another_summary():
    model, summaries = summariser(), Summaries()
    history = conversation(40)
    await fit_history(model, history, 1000, SIX, summaries)
    changed = [Message("user", "Question 99 is another"), *history[1:]]
    told = await fit_history(model, changed, 1000, SIX, summaries)
    assert told[1].content.startswith("Told: 99 1 2")
    assert len(model.llm.asked) == 2


async def test_one_can_ask_for_another_summary():
    model = summariser()
    await fit_history(model, conversation(40), 1000, HistorySettings(summary_prompt="Name the numbers."), Summaries())
    assert model.llm.asked[0][0].startswith("user: Name the numbers.\n\nSummary so far: (none)")


@pytest.mark.parametrize("said", ["", BackendUnavailable("Gone.")])
async def test_without_a_summary_the_history_is_left_as_it_is(caplog, said):
    def say(_):
        if isinstance(said, Exception):
            raise said
        return said

    history = conversation(40)
    with caplog.at_level(logging.WARNING):
        assert await fit_history(speaking(say), history, 1000, SIX, Summaries()) == history
    assert "could not be summarised" in caplog.text


async def test_nothing_is_summarised_where_that_is_not_wanted_or_not_possible():
    model = summariser()
    history = conversation(40)
    assert await fit_history(model, history, 1000, HistorySettings(turns=0), Summaries()) == history
    assert await fit_history(model, history, 60, SIX, Summaries()) == history
    assert await fit_history(model, history, -10, SIX, Summaries()) == history
    assert not model.llm.asked
    quotes = LanguageModel("quotes", "quotes", "no model")
    assert await fit_history(quotes, history, 1000, SIX, Summaries()) == history


def test_only_so_many_summaries_are_kept():
    summaries = Summaries(most=2)
    summaries.put(b"a", "first")
    summaries.put(b"b", "second")
    assert summaries.get(b"a") == "first"
    summaries.put(b"c", "third")
    assert [summaries.get(key) for key in (b"a", b"b", b"c")] == ["first", "", "third"]
