"""What is asked again of a server that could not answer, and what never is."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import time
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.responses import JSONResponse, Response

from rag.errors import AnswerInterrupted, BackendRejected, BackendUnavailable
from rag.models.llm import refresh_model, wait_for_model
from tests.rag.models.model_server import (
    QUESTION,
    WORDS,
    ModelServer,
    ask,
    chunk,
    events,
    open_at,
    running,
    stream,
    text_of,
)

LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


def _fails_with(server: ModelServer, *failures: Response) -> None:
    """The server answers so to the first requests, and then as it should."""
    left = deque(failures)
    server.reply = lambda _, body: left.popleft() if left else stream(WORDS, body)


def _waits(deltas) -> list[str]:
    return [delta.waiting for delta in deltas if delta.waiting]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_server_is_asked_again_and_it_is_said(server, status):
    _fails_with(server, JSONResponse({"error": {"message": "busy"}}, status), JSONResponse({}, status))
    model = open_at(server)
    start = time.monotonic()
    deltas = await ask(model)
    assert text_of(deltas) == "".join(WORDS)
    assert time.monotonic() - start > 1.4
    assert deltas[0].waiting == "the model server is busy: asking again in 1 s"  # half a second is not worth a word
    assert deltas[0].text == ""
    assert len(_waits(deltas)) == 1


@pytest.mark.parametrize("kind", ["seconds", "date"])
async def test_a_server_that_tells_when_to_come_again_is_obeyed(server, kind):
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    retry_after = {"seconds": "2", "date": later}[kind]
    _fails_with(server, JSONResponse({}, 429, {"Retry-After": retry_after}))
    model = open_at(server)
    start = time.monotonic()
    assert text_of(await ask(model)) == "".join(WORDS)
    assert time.monotonic() - start > 1.5


async def test_more_time_than_there_is_is_not_waited(server, caplog):
    _fails_with(server, JSONResponse({"error": {"message": "Come tomorrow"}}, 429, {"Retry-After": "86400"}))
    model = open_at(server)
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match="HTTP 429"):
        await ask(model)
    assert "Come tomorrow" in caplog.text
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    "refusal",
    [
        JSONResponse({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, 429),
        JSONResponse({"error": {"message": "crash"}}, 500),
    ],
)
async def test_what_no_waiting_helps_is_told_at_once(server, refusal):
    server.reply = lambda *_: refusal
    with pytest.raises(BackendUnavailable):
        await ask(open_at(server))
    assert len(server.requests) == 1


@pytest.mark.slow
async def test_a_model_that_is_being_loaded_is_waited_for(server):
    _fails_with(server, *[JSONResponse(LOADING, 503)] * 3)
    deltas = await ask(open_at(server))
    assert text_of(deltas) == "".join(WORDS)
    assert _waits(deltas) == ["the model server is loading its model"] * 3


@pytest.mark.slow
async def test_a_model_that_is_loaded_for_too_long_is_told_of(server, caplog):
    server.reply = lambda *_: JSONResponse(LOADING, 503)
    model = open_at(server, first_token_timeout=3.9)
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match="HTTP 503"):
        await ask(model)
    assert "Loading model" in caplog.text
    assert time.monotonic() - start > 1.5
    assert len(server.requests) > 1


async def test_a_model_that_is_being_loaded_at_the_start_is_waited_for_and_its_window_learnt(server):
    listed, server.models = server.models, JSONResponse(LOADING, 503)
    model = open_at(server)
    assert "still loading" in model.description
    reasons = []

    def report(reason):
        reasons.append(reason)
        server.models = listed

    await wait_for_model(model, report)
    assert reasons == ["the model server is loading its model"]
    assert (await refresh_model(model)).context_window == 2048


async def test_a_question_to_a_model_that_is_being_loaded_waits_by_itself(server):
    listed, server.models = server.models, JSONResponse(LOADING, 503)
    model = open_at(server)
    task = asyncio.create_task(ask(model))
    await asyncio.sleep(0.5)
    server.models = listed
    deltas = await task
    assert text_of(deltas) == "".join(WORDS)
    assert _waits(deltas) == ["the model server is loading its model"]


async def test_a_ready_model_is_not_waited_for(server):
    reasons = []
    await wait_for_model(open_at(server), reasons.append)
    assert reasons == []


async def test_a_server_that_is_being_started_anew_is_asked_once_more():
    server = ModelServer()
    with running(server):
        model = open_at(server)
    task = asyncio.create_task(ask(model))
    await asyncio.sleep(0.05)
    with running(server):
        deltas = await task
    assert text_of(deltas) == "".join(WORDS)
    assert _waits(deltas) == []


async def test_a_connection_that_is_reset_before_the_first_byte_is_made_once_more(server):
    connections = []

    async def serve(reader, writer):
        connections.append(await reader.readuntil(b"\r\n\r\n"))
        if len(connections) == 1:
            at_once = b"\1\0\0\0\0\0\0\0"  # what is sent is a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            writer.write(chunk("Yes.", "stop"))
        writer.close()

    model = open_at(server)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as front:
        model.llm.base_url = f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}/v1"
        deltas = await ask(model)
    assert text_of(deltas) == "Yes."
    assert len(connections) == 2


async def _dies():
    yield chunk("The ")
    raise ConnectionAbortedError("the process was killed")


async def test_what_has_begun_is_never_asked_again(server):
    server.reply = lambda *_: events(_dies())
    with pytest.raises(AnswerInterrupted, match="broke off"):
        await ask(open_at(server))
    assert len(server.requests) == 1


async def test_an_empty_answer_is_an_error_and_not_asked_again(server):
    server.reply = lambda *_: Response(b"data: [DONE]\n\n", media_type="text/event-stream")
    with pytest.raises(BackendRejected, match="nothing at all"):
        await ask(open_at(server), QUESTION[1])
    assert len(server.requests) == 1
