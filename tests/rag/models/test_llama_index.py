"""The provider `package.module:function` with real LLMs of llama-index."""

from __future__ import annotations

import asyncio
import sys

import pytest

from rag.errors import AnswerInterrupted, BackendUnavailable, ConfigurationError
from rag.models.llm import check_model, close_language_model, open_language_model, refresh_model, stream_text
from rag.settings import Settings
from rag.types.chat import Functions, joined
from rag.types.documents import Message
from tests.rag.api.calling import WEATHER, calling_server
from tests.rag.models.model_server import ask, running, text_of

OWN = "tests.rag.models.own_llms"
WORDS = ["The pump", " needs", " oil", " [1]."]
KEY = "sk-very-secret"


@pytest.fixture
def opened():
    """Opens what a function makes; closes it after the test."""
    models = []

    def open_model(function, options=None, **llm):
        llm = {"provider": f"{OWN}:{function}", "options": options or {}, **llm}
        models.append(open_language_model(Settings(_env_file=None, llm=llm)))
        return models[-1]

    yield open_model
    for model in models:
        close_language_model(model)


def _made(model):
    """The LLM that the function made."""
    return model.llm._llm


async def test_asks_an_llm_of_llama_index(opened):
    model = opened("make_mock", {"max_tokens": 3})
    assert text_of(await ask(model, Message("user", "?"))) == "text text text"
    assert model.name == "MockLLM"
    assert model.context_window == _made(model).metadata.context_window
    assert model.description == f"MockLLM by {OWN}:make_mock"
    assert model.count_tokens("How often?") >= 3
    assert model.count_prompt([Message("user", "?")]) is None
    await check_model(model)
    assert await refresh_model(model) is model


async def test_a_class_is_a_function_that_makes_one():
    llm = {"provider": "llama_index.core.llms:MockLLM", "options": {"max_tokens": 2}}
    assert (
        text_of(await ask(open_language_model(Settings(_env_file=None, llm=llm)), Message("user", "?"))) == "text text"
    )


async def test_the_window_and_the_name_can_be_set(opened):
    assert opened("make_blocking", {"words": WORDS}).context_window == 1234
    model = opened("make_blocking", {"words": WORDS}, context_window=512, name="mine")
    assert (model.context_window, model.name) == (512, "mine")


async def test_only_what_is_set_is_passed_on(opened):
    model = opened("make_blocking", {"words": WORDS}, top_p=0.5)
    deltas = await ask(model, Message("system", "Cite."), Message("user", "How often?"), seed=7)
    assert [delta.text for delta in deltas] == WORDS
    asked = _made(model).asked[0]
    assert asked.keys() - {"prompt", "thread", "formatted"} == {"max_tokens", "temperature", "top_p", "seed"}
    assert "Cite." in asked["prompt"]
    assert "How often?" in asked["prompt"]


async def test_a_parameter_that_it_does_not_take_is_left_out_and_remembered(opened):
    model = opened("make_blocking", {"words": WORDS, "refuses": "temperature"})
    for _ in range(2):
        assert text_of(await ask(model, Message("user", "?"))) == "".join(WORDS)
    asked = _made(model).asked
    assert ["temperature" in question for question in asked] == [True, False, False]
    assert all("max_tokens" in question for question in asked)


async def test_a_template_without_system_role_gets_it_folded_into_the_question(opened):
    model = opened("make_blocking", {"words": WORDS, "strict": True})
    for _ in range(2):
        answer = await ask(model, Message("system", "Cite."), Message("user", "How often?"))
        assert text_of(answer) == "".join(WORDS)
    asked = _made(model).asked
    assert len(asked) == 3  # it remembers
    assert "user: Cite.\n\nHow often?" in asked[-1]["prompt"]


async def test_an_llm_that_blocks_does_not_stop_the_event_loop(opened):
    model = opened("make_blocking", {"words": WORDS, "pause": 0.1})
    task = asyncio.create_task(ask(model, Message("user", "?")))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert text_of(await task) == "".join(WORDS)
    assert ticks > 20  # four or five, if it ran on the event loop


async def test_an_llm_that_blocks_is_asked_one_question_at_a_time(opened):
    model = opened("make_blocking", {"words": WORDS, "pause": 0.02})
    answers = await asyncio.gather(*(ask(model, Message("user", str(number))) for number in range(3)))
    assert [text_of(answer) for answer in answers] == ["".join(WORDS)] * 3
    assert _made(model).most_at_once == 1
    places = ["2 questions before yours", "1 question before yours"]
    assert [delta.waiting for delta in answers[2] if delta.waiting] == places


async def test_who_leaves_stops_an_llm_that_blocks_at_its_next_token(opened):
    model = opened("make_blocking", {"words": ["on "] * 1000, "pause": 0.05})
    task = asyncio.create_task(ask(model, Message("user", "?")))
    await asyncio.sleep(0.2)
    assert _made(model).at_once == 1
    task.cancel()
    await asyncio.sleep(0.15)
    assert _made(model).at_once == 0


async def test_an_llm_with_a_way_of_its_own_is_asked_on_the_event_loop(opened):
    model = opened("make_asynchronous", {"words": WORDS, "pause": 0.05})
    answers = await asyncio.gather(*(ask(model, Message("user", "?")) for _ in range(5)))
    assert [[delta.text for delta in answer] for answer in answers] == [WORDS] * 5
    assert _made(model).most_at_once == 5
    assert _made(model).asked[0]["thread"] == "MainThread"


async def test_who_leaves_closes_the_stream_of_an_llm_with_a_way_of_its_own(opened):
    model = opened("make_asynchronous", {"words": WORDS, "pause": 0.5})
    task = asyncio.create_task(ask(model, Message("user", "?")))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    assert _made(model).left


async def test_an_llm_that_cannot_stream_answers_in_one_piece(opened):
    deltas = await ask(opened("make_without_stream", {"words": WORDS}), Message("user", "?"))
    assert [delta.text for delta in deltas] == ["".join(WORDS)]


@pytest.mark.parametrize("function", ["make_blocking", "make_asynchronous"])
async def test_no_token_in_time_is_an_error(opened, function):
    model = opened(function, {"words": WORDS, "pause": 0.4}, first_token_timeout=0.1, inter_token_timeout=30)
    with pytest.raises(BackendUnavailable, match=r"blocking sent no token within 0\.1 seconds"):
        await ask(model, Message("user", "?"))
    model = opened(function, {"words": WORDS, "pause": 0.4}, first_token_timeout=30, inter_token_timeout=0.1)
    with pytest.raises(AnswerInterrupted, match=r"no further token for 0\.1 seconds"):
        await ask(model, Message("user", "?"))


async def test_a_failure_is_told_without_the_key(opened, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    options = {"words": WORDS, "fails_after": 0, "callback_manager": None, "system_prompt": {"env": "MY_KEY"}}
    with pytest.raises(BackendUnavailable, match="blocking failed: RuntimeError: out of memory with …") as raised:
        await ask(opened("make_blocking", options), Message("user", "?"))
    assert "options" in raised.value.hint
    with pytest.raises(AnswerInterrupted, match="out of memory"):
        await ask(opened("make_blocking", {**options, "fails_after": 2}), Message("user", "?"))


async def test_an_llm_that_says_nothing_is_an_error(opened):
    for function in ("make_blocking", "make_asynchronous"):
        with pytest.raises(BackendUnavailable, match="nothing at all"):
            await ask(opened(function, {"words": []}), Message("user", "?"))


async def test_what_is_closed_answers_no_more(opened):
    model = opened("make_blocking", {"words": WORDS})
    close_language_model(model)
    with pytest.raises(BackendUnavailable, match="is closed"):
        await ask(model, Message("user", "?"))


async def test_arguments_come_from_the_environment_and_the_settings(opened, monkeypatch):
    monkeypatch.setenv("MY_PROMPT", KEY)
    model = opened("make_mock", {"max_tokens": 2, "system_prompt": {"env": "MY_PROMPT"}})
    assert _made(model).system_prompt == KEY
    assert KEY not in repr(model)
    with pytest.raises(ConfigurationError, match="unexpected keyword argument 'model'"):  # MockLLM takes none
        opened("make_mock", model="gpt-9")


def test_an_environment_variable_that_is_missing_is_named(opened):
    with pytest.raises(ConfigurationError, match="MY_PROMPT is not set"):
        opened("make_mock", {"system_prompt": {"env": "MY_PROMPT"}})


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nowhere", f"{OWN} has no nowhere"),
        ("NOT_A_FUNCTION", "is no function"),
        ("make_text", "made a str, not an LLM"),
        ("make_blocking", "made no model: ValidationError"),
    ],
)
def test_a_function_that_makes_no_llm_is_a_wrong_setting(opened, function, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        opened(function)
    assert raised.value.hint


def test_a_key_is_not_told_by_a_function_that_fails(opened, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(ConfigurationError, match="Incorrect API key provided: …"):
        opened("refuse_key", {"api_key": {"env": "MY_KEY"}})


@pytest.mark.parametrize("source", [None, "import not_installed_anywhere", "1 / 0"])
def test_a_module_that_cannot_be_imported_is_a_wrong_setting(tmp_path, monkeypatch, source):
    if source:
        (tmp_path / "broken_models.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ConfigurationError, match="broken_models:make cannot be imported") as raised:
        open_language_model(Settings(_env_file=None, llm={"provider": "broken_models:make"}))
    assert "must be installed" in raised.value.hint


async def test_a_module_in_the_folder_of_the_start_is_found(tmp_path, monkeypatch):
    text = "from llama_index.core.llms import MockLLM\n\ndef make():\n    return MockLLM(max_tokens=1)\n"
    (tmp_path / "my_models_of_the_test.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    model = open_language_model(Settings(_env_file=None, llm={"provider": "my_models_of_the_test:make"}))
    assert text_of(await ask(model, Message("user", "?"))) == "text"
    close_language_model(model)
    del sys.modules["my_models_of_the_test"]


@pytest.mark.parametrize("provider", ["opnai", "a.b", ":make", "a:", "a b:c", "1a:b", "a:b:c", "../x:y"])
def test_a_provider_that_is_none_is_a_wrong_setting(provider):
    with pytest.raises(ValueError, match=r"should be one of auto, openai.*package\.module:function"):
        Settings(_env_file=None, llm={"provider": provider})


async def test_functions_reach_openais_classes_and_their_calls_come_back(opened):
    with running(calling_server()) as server:
        model = opened("make_calling", {"base_url": server.base_url})
        assert model.calls_functions
        functions = Functions((WEATHER,), "required")
        asked = [Message("user", "The weather in Oslo and Rome?")]
        deltas = [delta async for delta in stream_text(model, asked, functions=functions)]
        calls = joined(call for delta in deltas for call in delta.calls)
        assert [(call.id, call.arguments) for call in calls] == [
            ("call_1", '{"place": "Oslo"}'),
            ("call_2", '{"place": "Rome"}'),
        ]
        asked.append(Message("assistant", "", calls))
        asked += [Message("tool", "4 degrees", tool_call_id=call.id) for call in calls]
        deltas = [delta async for delta in stream_text(model, asked, functions=functions)]
        assert text_of(deltas).startswith("Oslo has 4 degrees.")
        first, second = server.requests
        assert (first["tools"], first["tool_choice"]) == (functions.options()["tools"], "required")
        assert [turn["role"] for turn in second["messages"]] == ["user", "assistant", "tool", "tool"]
        assert [call["id"] for call in second["messages"][1]["tool_calls"]] == ["call_1", "call_2"]
        assert not opened("make_calling", {"base_url": "", "is_function_calling_model": False}).calls_functions
    assert not opened("make_mock", {"max_tokens": 3}).calls_functions
