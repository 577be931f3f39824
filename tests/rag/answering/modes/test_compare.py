"""Compare: the same passages for all, side by side, and one that fails keeps nobody from answering."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.errors import BackendUnavailable, InvalidRequest, NotFound, set_caller
from rag.types.documents import AnswerCompleted, Candidate, ChunksRetrieved, Message, QueryCondensed, TextDelta
from tests.rag.answering.modes.conftest import models_file
from tests.rag.answering.modes.speaking import speaking

QUESTION = "How often does the pump need oil?"


def saying(name: str, text: str, **more):
    return speaking(lambda _: text, name=name, **more)


def texts(events) -> dict[str, str]:
    told: dict[str, str] = {}
    for event in events:
        if isinstance(event, Candidate) and isinstance(event.event, TextDelta):
            told[event.model] = told.get(event.model, "") + event.event.text
    return told


def answers(events):
    return {
        event.model: event.event.answer
        for event in events
        if isinstance(event, Candidate) and isinstance(event.event, AnswerCompleted)
    }


async def test_all_answer_side_by_side_from_the_same_passages(filled, events_of):
    said = {"a": "Every 90 days [1]. " * 5, "b": "Each quarter [1]. " * 5, "c": "Often [1]."}
    models = [saying(name, text, tokens_per_second=100) for name, text in said.items()]
    *events, completed = await events_of(QUESTION, *models, mode="compare", models=("b", "a", "c"))
    told = answers(events)
    assert texts(events) == {name: answer.text for name, answer in told.items()}
    assert completed == AnswerCompleted(told["b"]), "the first that was named"
    (retrieved,) = [event for event in events if isinstance(event, ChunksRetrieved)]
    assert {answer.passages for answer in told.values()} == {retrieved.passages}
    prompts = {model.llm.asked[0][0] for model in models}
    assert len(prompts) == 1
    order = [event.model for event in events if isinstance(event, Candidate)]
    assert order[:3] == ["b", "a", "c"], "as they were named"
    assert len(set(order[3:15])) == 3, "word by word, all at once"
    assert told["a"].citations[0].quote == "The pump needs oil every 90 days."
    assert [told[name].model for name in "abc"] == list("abc")


async def test_the_first_two_that_are_offered_are_compared(filled, events_of):
    file = models_file("a", "b", "c", default="c")
    models = [saying(name, f"I am {name} [1].") for name in "abc"]
    events = await events_of(QUESTION, *models, mode="compare", file=file)
    assert set(texts(events)) == {"c", "a"}


async def test_one_that_fails_says_so_and_the_others_go_on(filled, events_of):
    set_caller(runs_footnote=True)

    def gone(_):
        raise BackendUnavailable("The server of b does not answer.")

    models = [speaking(gone, name="b"), saying("a", "Every 90 days [1].")]
    *events, completed = await events_of(QUESTION, *models, mode="compare", models=("b", "a"))
    told = answers(events)
    assert told["a"].text == "Every 90 days [1]."
    assert (told["b"].text, told["b"].found) == ("The server of b does not answer.", False)
    assert texts(events)["b"] == told["b"].text
    assert completed == AnswerCompleted(told["b"])


def follow_up() -> list[Message]:
    return [Message("user", "Is there a pump?"), Message("assistant", "Yes."), Message("user", "How often?")]


async def test_a_follow_up_is_rewritten_once(filled, events_of):
    def say(prompt: str) -> str:
        return QUESTION if "Rewritten question" in prompt else "Every 90 days [1]."

    models = [speaking(say, name=name) for name in "ab"]
    events = await events_of(follow_up(), *models, mode="compare", models=("a", "b"))
    assert events[0] == QueryCondensed(QUESTION)
    assert [len(model.llm.asked) for model in models] == [2, 1]


async def test_instructions_are_each_models_own(filled, events_of):
    models = [replace(saying(name, "Well [1]."), system_prompt=f"You are {name}.") for name in "ab"]
    await events_of(QUESTION, *models, mode="compare", models=("a", "b"))
    for model in models:
        assert model.llm.asked[0][0].startswith(f"system: You are {model.name}.")


async def test_it_takes_two_that_are_known(filled, events_of):
    models = [saying(name, "Well [1].") for name in "ab"]
    for names in ((), ("a",), ("a", "a")):
        with pytest.raises(InvalidRequest, match="two models"):
            await events_of(QUESTION, *models, mode="compare", models=names)
    with pytest.raises(NotFound):
        await events_of(QUESTION, *models, mode="compare", models=("a", "x"))
    with pytest.raises(InvalidRequest, match="no question"):
        await events_of([], *models, mode="compare", models=("a", "b"))
