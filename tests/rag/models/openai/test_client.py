"""The openai provider against a real server on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import aclosing
from dataclasses import replace

import pytest
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from rag.errors import (
    AnswerInterrupted,
    BackendError,
    BackendFailed,
    BackendRejected,
    BackendUnavailable,
    ConfigurationError,
    UnreadableReply,
)
from rag.models.chat_template import estimate_tokens
from rag.models.llm import check_model, open_language_model, refresh_model, stream_text
from rag.models.openai.discovery import environment_proxy
from rag.settings import Settings
from rag.types.chat import Sampling
from rag.types.documents import Message, Usage
from tests.rag.models.model_server import (
    QUESTION,
    WORDS,
    ModelServer,
    ask,
    chunk,
    endless,
    events,
    open_at,
    running,
    stream,
    text_of,
)

KEY = "sk-very-secret"
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


async def test_streams_text_finish_reason_and_usage(server):
    model = open_at(server)
    deltas = await ask(model, stop=["\n\n"])
    assert text_of(deltas) == "".join(WORDS)
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    assert deltas[-1].usage == Usage(11, 4)
    request = server.requests[0]
    assert request["model"] == "tiny"
    assert request["messages"] == [{"role": "system", "content": "Cite."}, {"role": "user", "content": "How often?"}]
    assert (request["max_tokens"], request["temperature"], request["stop"]) == (100, 0.5, ["\n\n"])


async def test_tokens_that_come_apart_are_passed_on_apart_and_those_that_come_together_as_one(server):
    def reply(*_):
        async def pieces():
            yield chunk("Every")
            await asyncio.sleep(0.2)
            yield chunk(" 90") + chunk(" days") + chunk(" [1].", "length") + chunk(choices=[], usage=USAGE)
            yield b"data: [DONE]\n\n"

        return events(pieces())

    server.reply = reply
    deltas = await ask(open_at(server))
    assert [delta.text for delta in deltas if delta.text] == ["Every", " 90 days", " [1]."]
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["length"]
    assert deltas[-1].usage == Usage(11, 4)


async def test_text_before_an_error_in_the_same_packet_is_passed_on(server):
    async def pieces():
        yield chunk("Every") + chunk(" 90") + b'data: {"error": {"message": "out of memory"}}\n\n'

    server.reply = lambda *_: events(pieces())
    deltas = stream_text(open_at(server), QUESTION, Sampling())
    assert (await anext(deltas)).text == "Every 90"
    with pytest.raises(AnswerInterrupted, match="gave up"):
        await anext(deltas)


async def test_what_is_no_json_by_the_letter_is_read_all_the_same(server):
    async def pieces():
        yield chunk("Every", logprob=float("-inf"))
        yield chunk(" 90 \ud83d") + chunk(" caf").replace(b"caf", b"caf\xff")
        yield chunk(None, "stop") + b"data: [DONE]\n\n"

    server.reply = lambda *_: events(pieces())
    assert text_of(await ask(open_at(server))) == "Every 90 \ud83d caf\ufffd"


async def test_learns_name_and_window_from_the_server(server):
    model = open_at(server)
    assert (model.name, model.context_window) == ("tiny", 2048)
    assert "tiny" in model.description
    assert server.base_url in model.description
    assert open_at(server, context_window=1000).context_window == 1000
    assert open_at(server, context_window=9999).context_window == 2048  # more than the server takes
    assert open_at(server, model="other").name == "other"


async def test_the_window_of_llama_server_is_what_it_was_started_with(server):
    server.models = JSONResponse({"data": [{"id": "m.gguf", "meta": {"n_ctx_train": 131072}}]})
    assert open_at(server).context_window == 4096
    server.extra["props"] = JSONResponse({"default_generation_settings": {"n_ctx": 1536}})
    assert open_at(server).context_window == 1536


async def test_an_address_without_v1_is_completed(server):
    server.extra["models"] = HTMLResponse("<html>a page of the server's own")
    model = open_at(server, base_url=f"http://127.0.0.1:{server.port}/")
    assert text_of(await ask(model)) == "".join(WORDS)


async def test_a_reply_that_is_cut_says_so(server):
    server.reply = lambda _, body: stream(WORDS, body, "length")
    assert [d.finish_reason for d in await ask(open_at(server)) if d.finish_reason] == ["length"]


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("<think>The user wants oil. <b></think>\n\nEvery 90 days [1].", "Every 90 days [1]."),
        ("\n <think>\n</think>Every <think>90</think> days", "Every <think>90</think> days"),
        ("  Every <think>90</think> days", "  Every <think>90</think> days"),
        ("<thin> ice", "<thin> ice"),
        ("<thi", "<thi"),
        ("<think>cut in the middle </thin", ""),
        ("<think>all</think>\n", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
async def test_the_thoughts_of_a_reasoning_model_are_left_out(server, reply, shown, size):
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    server.reply = lambda _, body: stream(pieces, body)
    deltas = await ask(open_at(server))
    assert text_of(deltas) == shown
    assert deltas[-1].usage == Usage(11, len(pieces))
    finish = next(index for index, delta in enumerate(deltas) if delta.finish_reason)
    assert text_of(deltas[finish + 1 :]) == ""


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_thoughts_without_an_opening_tag_are_left_out(server, size):
    model = replace(open_at(server), name=f"thinker of {size}")
    for thoughts, is_known in [("Okay, the user asks of [2].", False), ("Oil stands in [2].", True)]:
        reply = f"{thoughts}\n</think>\n\nEvery 90 days [1]."
        pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
        server.reply = lambda _, body, pieces=pieces: stream(pieces, body)
        assert text_of(await ask(model)) == "Every 90 days [1].", is_known
    for _ in range(2):
        server.reply = lambda _, body: stream(["Okay, ", "every 90 days."], body)
        deltas = await ask(model)
        assert text_of(deltas) == "Okay, every 90 days."
    assert deltas[0].text.startswith("Okay, "), "it does not think any more: nothing is held"


async def test_a_dead_server_fails_soon_and_does_not_stop_the_start(server):
    dead = ModelServer()
    model = open_at(dead)
    assert "nothing answers" in model.description
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match=f"127.0.0.1:{dead.port}") as raised:
        await ask(model)
    assert time.monotonic() - start < 9
    assert "RAG_LLM__BASE_URL" in raised.value.hint
    with pytest.raises(BackendUnavailable):
        await check_model(model)
    with pytest.raises(BackendUnavailable):
        await refresh_model(model)


async def test_a_server_that_dies_after_the_start_fails_soon():
    with running(ModelServer()) as server:
        model = open_at(server)
        await check_model(model)
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match="does not answer"):
        await ask(model)
    assert time.monotonic() - start < 9  # two more tries within a second; with the client's own it takes 11 s
    with pytest.raises(BackendUnavailable, match="nothing answers"):
        await check_model(model)


async def test_a_server_that_comes_back_is_asked_and_its_window_learnt():
    server = ModelServer()
    model = open_at(server)
    assert (model.name, model.context_window) == ("", 4096)
    with running(server):
        assert text_of(await ask(model)) == "".join(WORDS)
        model = await refresh_model(model)
        assert (model.name, model.context_window) == ("tiny", 2048)
        assert "nothing answers" not in model.description
        assert await refresh_model(model) is model


@pytest.mark.parametrize(
    ("status", "body", "error", "words", "hint"),
    [
        (401, {"error": "Unauthorized"}, BackendRejected, "Unauthorized", "RAG_LLM__API_KEY"),
        (
            400,
            {"error": {"message": "maximum context length is 2048 tokens", "type": "BadRequestError", "code": 400}},
            BackendRejected,
            "maximum context length",
            "RAG_LLM__CONTEXT_WINDOW",
        ),
        (404, {"error": {"message": "The model `x` does not exist."}}, BackendRejected, "does not exist", "MODEL"),
        (404, {"detail": "Not Found"}, BackendRejected, "Not Found", "RAG_LLM__MODEL"),
        (503, {"error": {"message": "Overloaded"}}, BackendUnavailable, "Overloaded", "busy"),
        (429, {"error": {"message": "Rate limit"}}, BackendUnavailable, "Rate limit", "busy"),
        (500, {"error": f"crash with {KEY}"}, BackendUnavailable, "crash", "log"),
    ],
)
async def test_refusals_are_explained_and_never_show_the_key(server, caplog, status, body, error, words, hint):
    caplog.set_level(logging.DEBUG)
    server.reply = lambda *_: JSONResponse(body, status)
    model = open_at(server, api_key=KEY, first_token_timeout=0.4)  # too little for another try
    with pytest.raises(error, match=f"HTTP {status}") as raised:
        await ask(model)
    assert len(server.requests) == 1
    assert hint in raised.value.hint
    assert words in caplog.text
    assert words not in raised.value.message + raised.value.hint, "what a server says is for the log"
    assert str(server.port) in raised.value.message
    assert KEY not in raised.value.message + raised.value.hint + caplog.text + repr(model)
    assert server.headers[-1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("content", "status", "media_type"),
    [
        ("<html>Bad gateway</html>", 502, "text/html"),
        ("Internal Server Error", 500, "text/plain"),
        ("<!doctype html>\n<p>welcome</p>\n", 200, "text/html"),
        ("<html>welcome</html>", 200, "text/event-stream"),
        ("data: {not json\n\n", 200, "text/event-stream"),
        ('{"choices": "many"}', 200, "application/json"),
        ('{"choices": [', 200, "application/json"),
    ],
)
async def test_a_reply_that_is_no_json_is_told_as_that(server, caplog, content, status, media_type):
    server.reply = lambda *_: Response(content, status, media_type=media_type)
    with pytest.raises(UnreadableReply, match=rf"no JSON of OpenAI's form \(HTTP {status}\)") as raised:
        await ask(open_at(server, first_token_timeout=0.4))
    assert raised.value.status == 502
    assert content.split()[-1] in caplog.text, "the log has what it said"
    assert content.split()[-1] not in raised.value.message + raised.value.hint


@pytest.mark.parametrize("status", [200, 400, 502])
async def test_a_reply_nested_too_deep_to_be_read_is_a_failed_server(server, status):
    server.reply = lambda *_: Response("[" * 100_000, status, media_type="application/json")
    with pytest.raises(BackendError, match=rf"HTTP {status}"):
        await ask(open_at(server, first_token_timeout=0.4))


async def test_a_server_that_fails_is_told_of_as_such(server):
    server.reply = lambda *_: JSONResponse({"error": {"message": "CUDA out of memory"}}, 500)
    with pytest.raises(BackendFailed, match="HTTP 500") as raised:
        await ask(open_at(server))
    assert raised.value.status == 502


async def test_a_reply_that_is_not_streamed_is_read(server):
    message = {"role": "assistant", "content": "Every 90 days [1].", "reasoning_content": "Oil."}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "length"}], "usage": {"prompt_tokens": 7}}
    server.reply = lambda *_: JSONResponse(whole)
    deltas = await ask(open_at(server))
    assert [(delta.text, delta.thoughts, delta.finish_reason) for delta in deltas] == [
        ("Every 90 days [1].", "Oil.", "length")
    ]
    assert deltas[0].usage == Usage(7, 0)


async def test_a_stream_that_is_done_without_a_reason_is_whole(server):
    async def pieces():
        for word in WORDS:
            yield chunk(word)
        yield b"data: [DONE]\n\n"

    server.reply = lambda *_: events(pieces())
    assert text_of(await ask(open_at(server))) == "".join(WORDS)


async def test_what_a_server_withheld_is_told(server):
    server.reply = lambda _, body: stream(WORDS, body, "content_filter")
    assert [d.finish_reason for d in await ask(open_at(server)) if d.finish_reason] == ["content_filter"]


async def test_an_answer_that_has_begun_is_gone_on_with_in_vllms_way(server):
    """The others do so by themselves, or write a new message."""
    chat = (*QUESTION, Message("assistant", "Every 90 "))
    model = open_at(server)
    assert text_of(await ask(model, *chat)) == "".join(WORDS)
    asked = server.requests[-1]
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    assert asked["messages"][-1] == {"role": "assistant", "content": "Every 90 "}
    await ask(model)
    assert "continue_final_message" not in server.requests[-1]

    def older(_, body):
        if "continue_final_message" in body:
            return JSONResponse({"error": {"message": "Unknown parameter: 'continue_final_message'"}}, 400)
        return stream(WORDS, body)

    server.reply = older
    assert text_of(await ask(open_at(server), *chat)) == "".join(WORDS)
    assert "add_generation_prompt" not in server.requests[-1]
    server.models = JSONResponse({"data": [{"id": "tiny"}]})
    await ask(open_at(server), *chat)
    assert "continue_final_message" not in server.requests[-1]


@pytest.mark.parametrize("content", [b"", b"data: [DONE]\n\n", b": nothing\n\n"])
async def test_an_empty_answer_is_an_error(server, content):
    server.reply = lambda *_: Response(content, media_type="text/event-stream")
    with pytest.raises(BackendRejected, match="nothing at all") as raised:
        await ask(open_at(server))
    assert "RAG_LLM__CONTEXT_WINDOW" in raised.value.hint


async def _broken():
    yield chunk("The ")
    await asyncio.sleep(0.05)
    raise ConnectionAbortedError("the process was killed")


async def _ended():
    yield chunk("The ")


async def _reported():
    yield chunk("The ")
    yield f"data: {json.dumps({'error': {'message': 'out of memory', 'code': 500}})}\n\n".encode()


async def _garbled():
    yield chunk("The ")
    yield b"data: {not json\n\n"


@pytest.mark.parametrize("pieces", [_broken, _ended, _reported, _garbled])
async def test_death_in_the_middle_is_an_error_after_the_text_that_came(server, pieces):
    server.reply = lambda *_: events(pieces())
    deltas = stream_text(open_at(server), QUESTION, Sampling(max_tokens=9, temperature=0))
    assert (await anext(deltas)).text == "The "
    with pytest.raises(AnswerInterrupted, match=str(server.port)):
        await anext(deltas)


async def test_closing_the_stream_closes_the_connection(server):
    server.reply = endless(server)
    async with aclosing(stream_text(open_at(server), QUESTION, Sampling(max_tokens=9, temperature=0))) as deltas:
        async for _ in deltas:
            break
    assert await asyncio.to_thread(server.left.wait, 1)


async def test_cancelling_the_task_closes_the_connection(server):
    server.reply = endless(server)
    task = asyncio.create_task(ask(open_at(server)))
    await asyncio.sleep(0.3)
    assert not server.left.is_set()
    task.cancel()
    assert await asyncio.to_thread(server.left.wait, 1)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_model_serves_several_event_loops(server):
    model = open_at(server)
    for _ in range(3):
        assert text_of(asyncio.run(ask(model))) == "".join(WORDS)


@pytest.mark.parametrize("status", [400, 500])  # vLLM, llama-server
async def test_a_template_without_system_role_gets_it_folded_into_the_question(server, status):
    def strict(_, body):
        roles = [message["role"] for message in body["messages"]]
        if roles != ["user", "assistant", "user"]:
            said = "Conversation roles must alternate user/assistant/user/assistant/..."
            return JSONResponse({"error": {"message": said}}, status)
        return stream(WORDS, body)

    server.reply = strict
    model = open_at(server)
    chat = [Message("system", "S"), Message("user", "A"), Message("assistant", "B"), Message("user", "C")]
    assert text_of(await ask(model, *chat, Message("user", "D"))) == "".join(WORDS)
    assert server.requests[-1]["messages"][0] == {"role": "user", "content": "S\n\nA"}
    asked = len(server.requests)
    assert text_of(await ask(model, *chat)) == "".join(WORDS)
    assert len(server.requests) == asked + 1  # it remembers


async def test_a_server_that_says_nothing_to_a_system_message_is_asked_without_one(server):
    """llama-cpp-python's server does so when its template refuses the system role."""

    def silent(_, body):
        if body["messages"][0]["role"] == "system":
            return Response(b"data: [DONE]\n\n", media_type="text/event-stream")
        return stream(WORDS, body)

    server.reply = silent
    model = open_at(server)
    assert text_of(await ask(model, Message("system", "S"), Message("user", "A"))) == "".join(WORDS)
    assert [request["messages"][0]["content"] for request in server.requests] == ["S", "S\n\nA"]


class _Later(Response):
    """`response`, once `event` is set."""

    def __init__(self, response: Response, event: asyncio.Event) -> None:
        super().__init__()
        self.response, self.event = response, event

    async def __call__(self, scope, receive, send) -> None:
        await self.event.wait()
        await self.response(scope, receive, send)


@pytest.mark.parametrize(
    "refusal",
    [
        JSONResponse({"error": {"message": "Conversation roles must alternate user/assistant"}}, 400),
        Response(b"data: [DONE]\n\n", media_type="text/event-stream"),
    ],
    ids=["said", "silent"],
)
async def test_two_questions_at_once_both_learn_what_the_server_does_not_take(server, refusal):
    both_asked, one_learnt = asyncio.Event(), asyncio.Event()
    refused = []

    def strict(_, body):
        if body["messages"][0]["role"] != "system":
            one_learnt.set()
            return stream(WORDS, body)
        refused.append(body)
        if len(refused) == 1:
            return _Later(refusal, both_asked)
        both_asked.set()
        return _Later(refusal, one_learnt)

    server.reply = strict
    model = open_at(server)
    answers = await asyncio.gather(ask(model), ask(model))
    assert [text_of(answer) for answer in answers] == ["".join(WORDS)] * 2
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("refusals", "left"),
    [
        (
            {
                "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                "temperature": "Unsupported value: 'temperature' does not support 0.5 with this model.",
                "stream_options": "Unknown parameter: stream_options",
            },
            {"max_completion_tokens", "top_k", "repetition_penalty", "repeat_penalty", "seed"},
        ),
        (
            {
                "top_k": "Unrecognized request argument supplied: top_k",
                "repetition_penalty": "Unknown parameter: 'repetition_penalty'.",
                "repeat_penalty": "Unknown parameter: 'repeat_penalty'.",
            },
            {"max_tokens", "temperature", "stream_options", "seed"},
        ),
        (
            {"top_k": "Unrecognized request arguments supplied: repeat_penalty, repetition_penalty, top_k"},
            {"max_tokens", "temperature", "stream_options", "seed"},
        ),
        (
            {"seed": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
            {"max_tokens", "temperature", "stream_options", "top_k", "repetition_penalty", "repeat_penalty"},
        ),
    ],
)
async def test_parameters_that_a_server_does_not_take_are_left_out(server, refusals, left):
    def picky(_, body):
        for name, said in refusals.items():
            if name in body:
                return JSONResponse({"error": {"message": said}} if isinstance(said, str) else {"detail": said}, 400)
        return stream(WORDS, body)

    server.reply = picky
    model = open_at(server)
    options = {"top_k": 20, "repetition_penalty": 1.1, "seed": 7}
    assert text_of(await ask(model, **options)) == "".join(WORDS)
    assert server.requests[-1].keys() - {"model", "messages", "stream"} == left
    asked = len(server.requests)
    await ask(model, **options)
    assert len(server.requests) == asked + 1  # it remembers


async def test_a_refusal_that_names_no_field_is_told(server, caplog):
    server.reply = lambda *_: JSONResponse({"error": {"message": "top_k must be at least 5"}}, 400)
    with pytest.raises(BackendRejected, match="HTTP 400"):
        await ask(open_at(server), top_k=3)
    assert "top_k must be at least 5" in caplog.text
    assert len(server.requests) == 1


async def test_a_redirect_is_not_followed(server):
    server.reply = lambda *_: RedirectResponse("http://127.0.0.1:1/elsewhere")
    with pytest.raises(BackendRejected, match="307"):
        await ask(open_at(server))


async def test_no_proxy_and_no_foreign_key_on_this_machine(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert text_of(await ask(open_at(server))) == "".join(WORDS)
    assert all(KEY not in str(headers) for headers in server.headers)


async def test_no_login_is_taken_from_netrc(server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password secret")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert text_of(await ask(open_at(server))) == "".join(WORDS)
    assert all("Basic" not in str(headers) for headers in server.headers)
    assert text_of(await ask(open_at(server, api_key=KEY))) == "".join(WORDS)


@pytest.mark.parametrize(
    ("variable", "url", "proxy"),
    [
        ("https_proxy", "https://models.example/v1", "http://proxy:3128"),
        ("all_proxy", "http://models.example/v1", "http://proxy:3128"),
        ("all_proxy", "http://127.0.0.1:8001/v1", None),
        ("http_proxy", "http://inside.example/v1", None),
        ("https_proxy", "http://models.example/v1", None),
    ],
)
def test_the_proxy_that_the_environment_names(variable, url, proxy, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "inside.example")
    monkeypatch.setenv(variable, "http://proxy:3128")
    assert environment_proxy(url) == proxy


async def test_a_wrong_key_at_the_start_is_said_and_asked_again(server):
    server.models = JSONResponse({"error": "Unauthorized"}, 401)
    model = open_at(server, api_key=KEY)
    assert "refuses the API key" in model.description
    with pytest.raises(BackendUnavailable, match="refuses the API key") as raised:
        await ask(model)
    assert raised.value.hint == "Correct RAG_LLM__API_KEY."


async def test_a_server_that_lists_no_models_can_still_be_asked_by_name(server):
    server.models = None
    model = open_at(server, model="deployment")
    assert text_of(await ask(model)) == "".join(WORDS)
    await check_model(model)


async def test_a_model_that_the_server_does_not_list_is_warned_of_and_asked_all_the_same(server):
    server.models = JSONResponse({"data": [{"id": "tiny"}, {"id": "llama3.1:latest"}]})
    model = open_at(server, model="other")
    assert "does not list this model" in model.description
    await check_model(model)
    assert text_of(await ask(model)) == "".join(WORDS)
    assert server.requests[-1]["model"] == "other"
    for name in ("", "tiny", "llama3.1", "llama3.1:latest"):
        assert "does not list" not in open_at(server, model=name).description


@pytest.mark.parametrize("address", ["127.0.0.1:8080/v1", "localhost", "http://", "ftp://host/v1", "http://host:x/v1"])
def test_an_address_that_is_none_is_a_wrong_setting(address):
    with pytest.raises(ConfigurationError, match="is not an address"):
        open_language_model(Settings(_env_file=None, llm={"provider": "openai", "base_url": address}))


def test_no_address_is_a_wrong_setting():
    with pytest.raises(ConfigurationError, match="needs the address"):
        open_language_model(Settings(_env_file=None, llm={"provider": "openai"}))


@pytest.mark.parametrize(
    ("text", "true_count"),  # counted with a tokenizer that splits digits one by one, rounded up
    [
        ("The pump needs oil every ninety days, says the handbook.", 13),
        ("2019 12,345,678.90 (4.5%)", 23),
        ("日本語の手引書", 7),
    ],
)
def test_the_estimate_is_never_too_low(text, true_count):
    assert true_count <= estimate_tokens(text) <= 2 * true_count
