"""Route: who answers, why, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.answering.modes.route import RouteCounts, Share
from rag.answering.prompts import JUDGE
from rag.answering.replies import reply_to
from rag.errors import BackendUnavailable, InvalidRequest, set_caller
from rag.models.models_file import Route
from rag.types.documents import (
    AnswerCompleted,
    Candidate,
    ChunksRetrieved,
    Message,
    Progress,
    QueryCondensed,
    TextDelta,
    Usage,
)
from rag.types.models import LanguageModel
from tests.rag.answering.modes.conftest import models_file
from tests.rag.answering.modes.speaking import assert_within_window, speaking
from tests.rag.versions import make_version

NOT_FOUND = reply_to("In English", "not_found")

FILE = models_file("small", "large", route={"small": "small", "large": "large", "small_cost": 2.0, "large_cost": 50.0})
QUESTION = "How often does the pump need oil?"
GOOD = "The pump needs oil every 90 days [1]."


def small(says: str = GOOD, verdict: str = "Yes.", **more) -> LanguageModel:
    def say(prompt: str) -> str:
        said = verdict if prompt.endswith(JUDGE) else says
        if isinstance(said, Exception):
            raise said
        return said

    return speaking(say, name="small", **more)


def large(says: str = "Every 90 days, says the large one [1].") -> LanguageModel:
    return speaking(lambda _: says, name="large")


def words_of(model: LanguageModel, said: str) -> int:
    """The tokens of the model's one answer."""
    return len(model.llm.asked[0][0].split()) + len(said.split())


@pytest.mark.parametrize("verdict", ["Yes.", "yes", "**Yes**, it does"])
async def test_a_good_answer_of_the_small_model_is_shown(filled, events_of, verdict):
    counts, models = RouteCounts(), [small(verdict=verdict), large()]
    *events, completed = await events_of(QUESTION, *models, mode="route", file=FILE, counts=counts)
    assert (completed.answer.model, completed.answer.text) == ("small", GOOD)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == GOOD
    assert completed.answer.citations
    assert not models[1].llm.asked
    (answering, _), (judging, verdict_tokens) = models[0].llm.asked
    assert verdict_tokens == 3
    assert judging == f"{answering}\n\nassistant: {GOOD}\n\nuser: {JUDGE}", (
        "what the server has read already, gone on with"
    )
    tokens = len(answering.split()) + len(GOOD.split()) + len(judging.split()) + len(verdict.split()[:3])
    assert counts.shares.small == Share(1, tokens, pytest.approx(tokens * 2.0 / 1_000_000))
    assert counts.shares.large == Share()


@pytest.mark.parametrize(
    ("says", "verdict", "why", "calls"),
    [
        (GOOD, "No.", "finds its own answer bad", 2),
        (GOOD, "Well", "finds its own answer bad", 2),
        (GOOD, "", "finds its own answer bad", 2),
        (NOT_FOUND, "Yes.", "found no answer", 1),
        ("The pump needs oil every 80 days [1].", "Yes.", "“80” is not on the page", 1),
        ("The pump is made of cheese.", "Yes.", "no source is named", 1),
        ("".join(f"word{n} " for n in range(2000)) + "[1]", "Yes.", "cut off", 1),
        ("The pump needs oil every 90 days [1]. " * 20, "Yes.", "it repeated itself", 1),
        (BackendUnavailable("The small one is gone."), "Yes.", "The small one is gone.", 1),
        (GOOD, BackendUnavailable("The small one is gone."), "The small one is gone.", 2),
    ],
)
async def test_a_bad_answer_is_not_shown_and_the_large_model_answers(filled, events_of, says, verdict, why, calls):
    set_caller(runs_footnote=True)
    counts, models = RouteCounts(), [small(says, verdict), large()]
    *events, completed = await events_of(QUESTION, *models, mode="route", file=FILE, counts=counts)
    assert completed.answer.model == "large"
    assert completed.answer.text == "Every 90 days, says the large one [1]."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == completed.answer.text
    assert sum(isinstance(event, AnswerCompleted) for event in [*events, completed]) == 1
    drafts = [event.event.answer.text for event in events if isinstance(event, Candidate)]
    assert len(drafts) == (not isinstance(says, Exception))
    *_, told = [event.doing for event in events if isinstance(event, Progress)]
    assert told.startswith("large answers, because: ")
    assert why in told
    assert len(models[0].llm.asked) == calls
    assert len(models[1].llm.asked) == 1
    assert (counts.shares.small.answers, counts.shares.large.answers) == (0, 1)
    tokens = words_of(models[1], completed.answer.text)
    assert counts.shares.large == Share(1, tokens, pytest.approx(tokens * 50.0 / 1_000_000))


async def test_what_the_documents_do_not_tell_needs_no_model(filled, events_of):
    counts, models = RouteCounts(), [small(), large()]
    *_, completed = await events_of("Who won the regatta of Henley?", *models, mode="route", file=FILE, counts=counts)
    assert not completed.answer.found
    assert not models[0].llm.asked
    assert not models[1].llm.asked
    assert counts.shares.small.tokens == 0


async def test_the_judgement_stays_inside_the_window(index, bag_of_words, events_of):
    pages = [f"Words fill page {n} to its end." for n in range(60)]
    index.replace_documents([make_version("doc_a", pages, bag_of_words)])
    many = {"retrieval": {"max_passages": 50}}
    for window in range(500, 540, 4):
        sentences = (f"Words fill the {chr(97 + n)}page to its end [1]. " for n in range(window // 3 // 8))
        model = small("".join(sentences), window=window)
        model = replace(model, count_prompt=lambda told: sum(len(message.content.split()) for message in told))
        asked = "Which words fill a page to its end?"
        *_, completed = await events_of(asked, model, large(), mode="route", file=FILE, settings=many)
        assert completed.answer.model == "small"
        assert len(model.llm.asked) == 2
        assert_within_window(model)


async def test_the_large_model_answers_from_what_the_small_one_found(filled, events_of):
    def say(prompt: str) -> str:
        return QUESTION if "Rewritten question" in prompt else "No idea."

    models = [speaking(say, name="small"), large()]
    messages = [Message("user", "Is there a pump?"), Message("assistant", "Yes."), Message("user", "How often?")]
    events = await events_of(messages, *models, mode="route", file=FILE)
    assert events[0] == QueryCondensed(QUESTION)
    ((prompt, _),) = models[1].llm.asked
    assert "The pump needs oil every 90 days." in prompt
    assert prompt.endswith("user: How often?")


async def test_without_retrieval_the_models_are_asked_alone(filled, events_of):
    models = [small(), large()]
    off_topic = "Who won the regatta of Henley?"
    *events, completed = await events_of(off_topic, *models, mode="route", file=FILE, retrieval=False)
    assert completed.answer.model == "small"
    assert not any(isinstance(event, ChunksRetrieved) and event.hits for event in events)
    assert models[0].llm.asked[0][0] == f"user: {off_topic}"


async def test_it_fails_when_the_large_model_does(filled, events_of):
    def say(_):
        raise BackendUnavailable("Gone.")

    with pytest.raises(BackendUnavailable):
        await events_of(QUESTION, small(verdict="No."), speaking(say, name="large"), mode="route", file=FILE)


async def test_without_a_route_it_says_what_to_do(filled, events_of):
    with pytest.raises(InvalidRequest) as raised:
        await events_of(QUESTION, small(), large(), mode="route", file=models_file("small", "large"))
    assert "[route]" in raised.value.hint


def test_who_answered_is_told_in_words():
    entry = Route(small="small", large="large", small_cost=0.1, large_cost=2.0)
    counts = RouteCounts()
    assert counts.shares.told() == ""
    counts.add("small", Usage(900, 100), entry, answered=True)
    counts.add("small", Usage(900, 100), entry, answered=False)
    counts.add("large", Usage(1900, 100), entry, answered=True)
    assert counts.shares.told() == (
        "The small model wrote 1 of 2 routed answers (50%), with 2,000 and 2,000 tokens, at 0.0042 in all."
    )
