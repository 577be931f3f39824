"""Conversations with functions: calls stay with what they gave, in the history, in its summary and in the prompt."""

from __future__ import annotations

import pytest

from rag.answering.history import Summaries, fit_history, split_conversation
from rag.answering.prompt_budget import fit_prompt, fitting_history, history_room
from rag.errors import InvalidRequest
from rag.settings import HistorySettings
from rag.types.chat import Functions, ToolCall
from rag.types.documents import Message
from rag.types.models import LanguageModel
from tests.rag.answering.modes.speaking import speaking


def words(text):
    return len(text.split())


def turn(number, length=10):
    """A question for which a function was called; some 30 words and more."""
    return [
        Message("user", f"Question {number}? " + "word " * length),
        Message("assistant", "", (ToolCall(f"call_{number}", "look_up", '{"n": ' + f"{number}" + "}"),)),
        Message("tool", f"Result {number}. " + "word " * length, tool_call_id=f"call_{number}"),
        Message("assistant", f"Answer {number}."),
    ]


def assert_calls_are_answered(messages):
    split_conversation([*messages, Message("user", "And?")])


def test_a_question_may_be_followed_by_calls_and_what_they_gave():
    told = split_conversation([Message("system", "Be brief."), *turn(1), *turn(2)[:3]])
    assert [message.role for message in told.history] == ["user", "assistant", "tool", "assistant"]
    assert told.question.content.startswith("Question 2?")
    assert [message.role for message in told.steps] == ["assistant", "tool"]


def test_an_answer_that_has_begun_is_gone_on_with():
    told = split_conversation([*turn(1), Message("user", "And then?"), Message("assistant", "Every 90 ")])
    assert told.question.content == "And then?"
    assert [step.content for step in told.steps] == ["Every 90 "]
    assert not told.calls_functions
    assert split_conversation(turn(1)).calls_functions, "the answer to what a function gave"
    assert split_conversation([*turn(1)[:3], Message("assistant", " ")]).steps[-1].role == "tool", "an empty place"


def test_what_a_call_gave_comes_before_anything_else_is_said():
    question, called, result, answer = turn(1)
    for wrong in (
        [question, called, answer, result],
        [question, called, Message("user", "And?"), result],
        [question, result, called],
        [question, called, result, result],
        [question, called],
    ):
        with pytest.raises(InvalidRequest, match="call"):
            split_conversation(wrong)


@pytest.mark.parametrize("budget", range(0, 200, 3))
def test_a_history_that_is_cut_keeps_calls_and_results_together(budget):
    history = [message for number in range(4) for message in turn(number)]
    kept = fitting_history(history, words, budget)
    assert len(kept) % 4 == 0
    assert_calls_are_answered(kept)


@pytest.mark.parametrize("window", [300, 400, 700])
def test_what_was_called_for_the_question_is_never_left_out(window):
    model = LanguageModel("p", "m", "d", None, window, words)
    history = [message for number in range(20) for message in turn(number)]
    *_, question, called, result, _ = turn(99)
    prompt = fit_prompt(model, "Rules.", [*history, question], (), 50, steps=(called, result))
    assert prompt.messages[-3:] == [question, called, result]
    assert sum(words(message.written) for message in prompt.messages) <= window - 50
    assert_calls_are_answered(prompt.messages[:-3])
    long = Message("tool", "word " * window, tool_call_id="call_99")
    with pytest.raises(InvalidRequest, match="with its functions"):
        fit_prompt(model, "Rules.", [question], (), 50, steps=(called, long))


def test_functions_take_their_room():
    model = LanguageModel("p", "m", "d", None, 2000, words)
    functions = Functions(({"name": "look_up", "description": "word " * 300},))
    without = history_room(model, "Rules.", "How?", 100, sources=False)
    with_functions = history_room(model, "Rules.", "How?", 100, sources=False, functions=functions)
    assert 300 < without - with_functions < 700
    conversation = [*(message for number in range(99) for message in turn(number)), Message("user", "How?")]
    prompt = fit_prompt(model, "Rules.", conversation, (), 100, functions=functions)
    assert prompt.functions == functions
    plain = fit_prompt(model, "Rules.", conversation, (), 100)
    counted = [sum(words(message.written) for message in told.messages) for told in (plain, prompt)]
    assert counted[0] - counted[1] > 200


async def test_a_summary_is_told_what_was_called_and_leaves_whole_turns():
    model = speaking(lambda _: "They looked things up.", window=2000)
    history = [message for number in range(6) for message in turn(number, length=20)]
    told = await fit_history(model, history, 250, HistorySettings(turns=2), Summaries())
    assert told[1].content == "They looked things up."
    assert_calls_are_answered(told)
    assert len(told) == 2 + 2 * 4
    prompt, _ = model.llm.asked[0]
    assert 'look_up({"n": 0})' in prompt
    assert "tool: Result 0." in prompt
