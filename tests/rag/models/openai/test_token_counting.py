"""Asking servers for the length of a prompt, each in its own words, and doing without."""

from __future__ import annotations

import logging
import time

import pytest
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

from rag.models.chat_template import fold_system
from rag.models.llm import check_model, open_language_model, refresh_model, stream_text
from rag.models.openai.token_counting import COUNT_TIMEOUT
from rag.settings import Settings
from rag.types.chat import Sampling
from rag.types.documents import Message
from tests.rag.models.model_server import (
    ModelServer,
    counts_as_llama_cpp_python,
    counts_as_llama_server,
    counts_as_vllm,
    running,
    template,
    tokens,
)

KEY = "sk-very-secret"
PROMPT = [
    Message("system", "Cite your sources."),
    Message("user", "Is there a pump?"),
    Message("assistant", "Yes [1]."),
    Message("user", "How often does it need oil?"),
]
TURNS = [{"role": message.role, "content": message.content} for message in PROMPT]
FOLDED = len(tokens(template(fold_system(TURNS))))


def plain(turns):
    """A template that knows a system message."""
    return " ".join(f"<|{turn['role']}|> {turn['content']} <|end|>" for turn in turns)


@pytest.fixture
def server():
    with running(ModelServer()) as server:
        yield server


def _open(server, **llm):
    return open_language_model(Settings(_env_file=None, llm={"base_url": server.base_url, "provider": "openai", **llm}))


@pytest.mark.parametrize(("counts", "requests"), [(counts_as_vllm, 1), (counts_as_llama_server, 2)])
def test_the_whole_prompt_is_counted_with_its_template(server, counts, requests):
    counts(server, plain)
    model = _open(server, api_key=KEY)
    assert model.count_prompt(PROMPT) == len(tokens(plain(TURNS)))
    assert len(server.counted) == requests
    assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
    assert server.headers[-1]["content-type"] == "application/json"


@pytest.mark.parametrize("counts", [counts_as_vllm, counts_as_llama_server])
async def test_a_template_without_system_message_is_learnt_by_counting(server, counts):
    counts(server)
    model = _open(server)
    assert model.count_prompt(PROMPT) == FOLDED
    asked = len(server.counted)
    assert model.count_prompt(PROMPT) == FOLDED
    assert len(server.counted) - asked < asked, "what was refused is not tried again"
    assert [delta async for delta in stream_text(model, PROMPT, Sampling(max_tokens=9, temperature=0))]
    (request,) = server.requests
    assert len(tokens(template(request["messages"]))) == FOLDED


def test_vllm_is_told_which_model_is_meant(server):
    counts_as_vllm(server, plain)
    _open(server, model="tiny").count_prompt(PROMPT)
    assert server.counted == [{"model": "tiny", "messages": TURNS, "add_generation_prompt": True}]


@pytest.mark.parametrize("counts", [counts_as_llama_server, counts_as_llama_cpp_python])
def test_without_the_template_enough_is_added_for_it(server, counts):
    counts(server)
    server.posts.pop("apply-template", None)
    texts = sum(len(tokens(message.content)) for message in PROMPT)
    assert texts + 40 < _open(server).count_prompt(PROMPT) < texts + 120


@pytest.mark.parametrize("models", [[{"id": "llama3.1:8b", "owned_by": "library"}], [{"id": "gpt-4o-mini"}]])
def test_a_server_that_offers_nothing_is_not_asked(server, models, caplog):
    counts_as_vllm(server)
    server.models = JSONResponse({"data": models})
    assert _open(server, api_key=KEY).count_prompt(PROMPT) is None
    assert not server.counted
    assert not caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"detail": "Not Found"}, 404),
        JSONResponse({"error": "Unauthorized"}, 401),
        JSONResponse({"error": "crash"}, 500),
        JSONResponse({"count": "many"}),
        JSONResponse({"count": 0}),
        JSONResponse({"count": -7}),
        JSONResponse([1, 2]),
        PlainTextResponse("{no json"),
        PlainTextResponse(" " * (17 << 20)),
        HTMLResponse("<html>"),
        RedirectResponse("http://127.0.0.1:1/tokenize"),
    ],
)
def test_what_is_no_count_is_said_once_and_the_server_left_alone(server, answer, caplog):
    server.posts["tokenize"] = lambda _: answer
    model = _open(server, api_key=KEY)
    with caplog.at_level(logging.WARNING):
        assert model.count_prompt(PROMPT) is None
        asked = len(server.counted)
        assert model.count_prompt(PROMPT) is None
    assert len(server.counted) == asked <= 3
    (record,) = caplog.records
    assert "estimate" in record.getMessage()
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_asked_to_count_the_next_time(server, status, caplog):
    server.posts["tokenize"] = lambda _: JSONResponse({"error": {"message": "Loading model"}}, status)
    model = _open(server)
    assert model.count_prompt(PROMPT) is None
    counts_as_vllm(server)
    assert model.count_prompt(PROMPT) == FOLDED
    assert not caplog.text


def test_a_server_that_is_started_anew_is_asked_to_count_again():
    server = ModelServer()
    counts_as_vllm(server)
    with running(server):
        model = _open(server)
    assert model.count_prompt(PROMPT) is None
    with running(server):
        assert model.count_prompt(PROMPT) == FOLDED


def test_a_server_that_hangs_is_waited_for_seconds_only(server, caplog):
    def late(_):
        time.sleep(COUNT_TIMEOUT + 1)
        return JSONResponse({"count": 7})

    server.posts["tokenize"] = late
    assert _open(server).count_prompt(PROMPT) is None
    assert "estimate" in caplog.text


async def test_counting_begins_anew_when_the_server_is_looked_at_anew(server, caplog):
    model = _open(server)
    assert model.count_prompt(PROMPT) is None
    counts_as_vllm(server)
    await check_model(model)
    assert model.count_prompt(PROMPT) == FOLDED


async def test_a_window_that_changed_is_learnt_when_the_server_is_looked_at_anew(server):
    model = _open(server)
    server.models = JSONResponse({"data": [{"id": "tiny", "max_model_len": 1024}]})
    await check_model(model)
    assert (await refresh_model(model)).context_window == 1024
