"""The one way in: each mode is found, and the next model answers for one that cannot be reached."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial

import pytest
from fastapi.responses import JSONResponse

from rag.answering.event_stream import EventStream
from rag.answering.modes.dispatch import OF_ONE_MODEL, answer, with_fallbacks
from rag.answering.modes.request import MODES, Request
from rag.answering.modes.route import RouteCounts
from rag.answering.replies import reply_to
from rag.errors import BackendRejected, BackendUnavailable, NotFound
from rag.models.llm import open_language_model
from rag.settings import LanguageModelSettings
from rag.types.chat import Functions
from rag.types.documents import Message, MessageClassified, Progress, TextDelta
from rag.types.models import LanguageModel
from tests.rag.answering.modes.conftest import models_file
from tests.rag.answering.modes.speaking import speaking
from tests.rag.models.model_server import ModelServer, chunk, events, free_port, running
from tests.rag.versions import make_version

NO_MODEL = reply_to("In English", "no_model")

QUESTION = "How often does the pump need oil?"
FUNCTIONS = Functions(({"name": "weather"},))
FILE = models_file("a", "b", "c", "d", fallback=["a", "b", "c"], default="d")


def saying(name: str, text: str = "Every 90 days [1]."):
    return speaking(lambda _: text, name=name)


def gone(name: str):
    def say(_):
        raise BackendUnavailable(f"{name} is gone.")

    return speaking(say, name=name)


@pytest.fixture
def served(settings):
    """A model at that address."""

    def served(name, base_url):
        llm = LanguageModelSettings(provider="openai", base_url=base_url, name=name)
        return open_language_model(settings.model_copy(update={"llm": llm}))

    return served


def test_every_mode_is_found():
    assert {*OF_ONE_MODEL, "route", "compare"} == set(MODES)


TASK = "### Task:\nWrite a title.\n<chat_history>\nUSER: How often does the pump need oil?\n</chat_history>"


@pytest.mark.parametrize(
    ("mode", "models", "expected"),
    [
        ("documents", (), "a"),
        ("summarize", ("b",), "b"),
        ("plan", (), "a"),
        ("compare", ("b", "a"), "b"),
        ("route", (), "c"),
        ("chat", (), "a"),
    ],
)
async def test_a_task_of_the_client_is_the_models_alone(filled, events_of, mode, models, expected):
    file = models_file("a", "b", "c", "d", route={"small": "c", "large": "d"})
    speaking_models = [saying(name, "Oil [1]. The pump needs oil every 90 days.") for name in "abcd"]
    *events, completed = await events_of(TASK, *speaking_models, mode=mode, models=models, file=file)
    others = [event for event in events if not isinstance(event, TextDelta)]
    assert others == ([] if mode == "chat" else [MessageClassified("client_task")]), "nothing is searched"
    answer = completed.answer
    assert (answer.model, answer.text) == (expected, "Oil [1]. The pump needs oil every 90 days.")
    assert answer.kind == ("question" if mode == "chat" else "client_task")
    assert answer.citations == answer.claims == answer.passages == ()
    assert [model.llm.asked[0][0] for model in speaking_models if model.llm.asked] == [f"user: {TASK}"]


async def test_without_a_model_a_task_of_the_client_is_declined_without_citations(filled, events_of):
    quotes = LanguageModel("quotes", "quotes", "")
    _, delta, completed = await events_of(TASK, quotes)
    assert delta == TextDelta(NO_MODEL)
    assert (completed.answer.text, completed.answer.citations, completed.answer.found) == (NO_MODEL, (), False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", ["", "a", "b", "c"]), ("d", ["d", "a", "b", "c"]), ("a", ["a", "b", "c"]), ("b", ["b", "c"]), ("c", ["c"])],
)
def test_those_behind_it_in_the_list_step_in(name, expected):
    assert with_fallbacks(name, FILE) == expected
    assert with_fallbacks("x", FILE) == ["x"], "nobody steps in for one that is neither in the list nor the default"
    assert with_fallbacks("", models_file()) == [""]


@pytest.mark.parametrize("mode", ["documents", "chat", "summarize", "plan"])
async def test_the_next_one_answers_and_it_is_said(filled, events_of, mode):
    models = [gone("d"), gone("a"), saying("b"), saying("c")]
    *told, completed = await events_of(QUESTION, *models, mode=mode, file=FILE)
    assert completed.answer.model == "b"
    assert completed.answer.text.startswith("Every 90 days")
    said = [event.doing for event in told if isinstance(event, Progress) and "instead" in event.doing]
    assert said == ["d is gone. a answers instead.", "a is gone. b answers instead."]
    assert not models[3].llm.asked


async def test_when_nobody_can_be_reached_it_is_the_first_that_failed(filled, events_of):
    with pytest.raises(BackendUnavailable, match="d is gone"):
        await events_of(QUESTION, *map(gone, "dabc"), file=FILE)
    with pytest.raises(BackendUnavailable, match="c is gone"):
        await events_of(QUESTION, *map(gone, "dabc"), file=FILE, models=("c",))


async def test_a_refusal_is_no_reason_to_ask_another(filled, events_of):
    def refuse(_):
        raise BackendRejected("Wrong key.")

    with pytest.raises(BackendRejected):
        await events_of(QUESTION, speaking(refuse, name="d"), *map(saying, "abc"), file=FILE)


async def test_a_dead_server_is_stepped_in_for(filled, events_of, served):
    dead = served("d", f"http://127.0.0.1:{free_port()}/v1")
    *_, completed = await events_of(QUESTION, dead, *map(saying, "abc"), file=FILE)
    assert completed.answer.model == "a"


async def test_nobody_steps_in_once_a_word_was_shown(filled, events_of, served):
    async def half():
        yield chunk("Every ")
        yield chunk("90 days")
        yield chunk(None) + b"data: {broken\n\n"

    with running(ModelServer()) as server:
        server.reply = lambda *_: events(half())
        models = [served("d", server.base_url), *map(saying, "abc")]
        with pytest.raises(BackendUnavailable):
            await events_of(QUESTION, *models, file=FILE)
    assert not models[1].llm.asked


async def test_nobody_steps_in_once_a_function_is_called(filled, events_of, served):
    call = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": "{"}}

    async def half():
        yield chunk(choices=[{"index": 0, "delta": {"tool_calls": [call]}}])
        yield b"data: {broken\n\n"

    with running(ModelServer()) as server:
        server.reply = lambda *_: events(half())
        models = [served("d", server.base_url), served("a", server.base_url), saying("b")]
        with pytest.raises(BackendUnavailable):
            await events_of(QUESTION, *models, file=FILE, functions=FUNCTIONS)
    assert len(server.requests) == 1


async def test_those_step_in_that_can_call_functions(filled, events_of, served):
    dead = served("d", f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(BackendUnavailable, match="cannot be used"):
        await events_of(QUESTION, dead, *map(saying, "abc"), file=FILE, functions=FUNCTIONS)
    with running(ModelServer()) as server:
        models = [dead, saying("a"), served("b", server.base_url), saying("c")]
        *_, completed = await events_of(QUESTION, *models, file=FILE, functions=FUNCTIONS)
    assert completed.answer.model == "b"


async def test_a_server_that_fails_before_its_first_word_is_stepped_in_for(filled, events_of, served):
    with running(ModelServer()) as server:
        server.reply = lambda *_: JSONResponse({"error": {"message": "out of memory"}}, 500)
        *told, completed = await events_of(QUESTION, served("d", server.base_url), *map(saying, "abc"), file=FILE)
    assert completed.answer.model == "a"
    assert "".join(event.text for event in told if isinstance(event, TextDelta)) == "Every 90 days [1]."


async def test_an_unknown_model_is_not_found(filled, events_of):
    with pytest.raises(NotFound):
        await events_of(QUESTION, saying("a"), models=("x",))


async def test_the_named_model_answers(filled, events_of):
    models = [saying("a"), saying("b", "Each quarter [1].")]
    *_, completed = await events_of(QUESTION, *models, models=("b",))
    assert (completed.answer.model, completed.answer.text) == ("b", "Each quarter [1].")


@pytest.mark.parametrize("mode", MODES)
async def test_closing_it_stops_all_models(index, bag_of_words, make_engine, everything, mode):
    """However much has come by then."""
    pages = [f"The pump {n} needs oil often." for n in range(60)]
    index.replace_documents([make_version("doc_a", pages, bag_of_words)])
    file = models_file("a", "b", route={"small": "a", "large": "b"})

    def say(prompt: str) -> str:
        return (
            f"1. {QUESTION}\n2. Does pump 4 need oil?" if "Break it" in prompt else ("The pump needs oil [1]. " * 100)
        )

    seen_at_work = False
    for length in range(1, 40, 6):
        models = {name: speaking(say, name=name, window=700) for name in "ab"}
        request = Request([Message("user", QUESTION)], everything, mode)
        engines = partial(lambda models, name: make_engine(models[name or "a"]), models)
        stream = EventStream(partial(answer, request, engines, file, RouteCounts()))
        async with aclosing(stream):
            for _ in range(length):
                await anext(stream, None)
        seen_at_work = seen_at_work or sum(len(model.llm.asked) for model in models.values()) > 0
        assert [model.llm.now for model in models.values()] == [0, 0]
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert seen_at_work
