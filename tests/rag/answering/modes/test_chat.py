"""Chat: the model and the conversation, and nothing of the documents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.answering.prompts import SUMMARY
from rag.errors import InvalidRequest
from rag.types.documents import AnswerCompleted, Message, TextDelta
from rag.types.models import LanguageModel
from tests.rag.answering.modes.speaking import assert_within_window, speaking


async def test_the_reply_is_passed_on_as_it_is(filled, events_of):
    model = speaking(lambda _: "Write `oil[1]`, or `oil[9]` [2].")
    messages = [Message("system", "Speak like a pirate."), Message("user", "How often does the pump need oil?")]
    *deltas, completed = await events_of(messages, model, mode="chat")
    assert all(isinstance(event, TextDelta) for event in deltas), "nothing is searched"
    ((prompt, _),) = model.llm.asked
    assert prompt == "system: Speak like a pirate.\n\nuser: How often does the pump need oil?"
    answer = completed.answer
    assert answer.text == "".join(event.text for event in deltas) == "Write `oil[1]`, or `oil[9]` [2]."
    assert (answer.citations, answer.claims, answer.passages) == ((), (), ())
    assert answer.found
    assert answer.usage.completion_tokens == 5


async def test_without_instructions_there_is_no_system_message(filled, events_of):
    model = speaking(lambda _: "Hello.")
    await events_of("Hello?", model, mode="chat")
    assert model.llm.asked[0][0] == "user: Hello?"
    model = replace(model, system_prompt="Be brief.")
    examples = (Message("user", "Hi?"), Message("assistant", "Hi."))
    await events_of("Hello?", model, mode="chat", examples=examples)
    assert model.llm.asked[1][0] == "system: Be brief.\n\nuser: Hi?\n\nassistant: Hi.\n\nuser: Hello?"


@pytest.mark.parametrize("mode", ["chat", "documents"])
@pytest.mark.parametrize("window", [700, 4000])
async def test_two_hundred_turns_stay_inside_the_window(filled, events_of, mode, window):
    def say(prompt: str) -> str:
        return "The user wants oil. " * 40 if SUMMARY in prompt else "Every 90 days [1]. " * 8

    model = speaking(say, window=window, max_tokens=100)
    messages = [Message("system", "Speak of pumps.")]
    for turn in range(200):
        messages.append(Message("user", f"How often does the pump need oil in year {turn}?"))
        before = len([prompt for prompt, _ in model.llm.asked if SUMMARY in prompt])
        if turn % 20 == 19 or turn > 190:
            *_, completed = await events_of(messages, model, mode=mode)
            assert isinstance(completed, AnswerCompleted)
            made = len([prompt for prompt, _ in model.llm.asked if SUMMARY in prompt]) - before
            last = model.llm.asked[-1][0]
            assert last.endswith(f"user: {messages[-1].content}")
            if window == 700 or turn > 100:
                assert made > 0
                assert "assistant: The user wants oil." in last
        messages.append(Message("assistant", "Every 90 days [1]. " * 8))
    assert_within_window(model)


async def test_a_question_longer_than_the_window_is_refused(filled, events_of):
    with pytest.raises(InvalidRequest, match="too long"):
        await events_of("why " * 9000, speaking(lambda _: "Well."), mode="chat")


async def test_it_needs_a_model(filled, events_of):
    with pytest.raises(InvalidRequest, match="needs a language model") as raised:
        await events_of("Hello?", LanguageModel("quotes", "quotes", "no model"), mode="chat")
    assert raised.value.param == "mode"
    assert raised.value.hint
