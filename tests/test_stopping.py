"""What a server tells when it is told to end: streams get their end or an error, and the process ends well."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time

import httpx
import pytest

from rag.storage.lock import read_owner
from tests.commands import Commands
from tests.rag.models.model_server import ModelServer, chunk, endless, events, free_port, running

pytestmark = pytest.mark.slow

NOTE = "The pump needs oil every 90 days."
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "How often does the pump need oil?"}], "stream": True}


@pytest.fixture
def commands(tmp_path):
    (tmp_path / "note.txt").write_text(NOTE)
    return Commands(tmp_path)


def serving(commands, model, port):
    return commands.server(
        port, "note.txt", RAG_LLM__PROVIDER="openai", RAG_LLM__BASE_URL=model.base_url, RAG_LOG__FORMAT="json"
    )


def streamed(url, path, body, said, begun):
    """Collect the data lines of a stream; `begun` is set at the first word of the answer."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http, http.stream("POST", path, json=body) as got:
        for line in got.iter_lines():
            said.append(line)
            if ': "on' in line:
                begun.set()


def stop(commands):
    owner = read_owner(commands.storage)
    assert owner is not None
    os.kill(owner.pid, signal.SIGTERM)


def test_streams_that_cannot_end_are_told(commands):
    model = ModelServer()
    model.reply = endless(model)
    port = free_port()
    chat, responses = [], []
    with running(model), serving(commands, model, port) as url:
        bodies = [
            ("/v1/chat/completions", BODY, chat),
            ("/v1/responses", {"model": "tiny", "input": BODY["messages"][0]["content"], "stream": True}, responses),
        ]
        begun = [threading.Event() for _ in bodies]
        threads = [
            threading.Thread(target=streamed, args=(url, *asked, event))
            for asked, event in zip(bodies, begun, strict=True)
        ]
        for thread in threads:
            thread.start()
        assert all(event.wait(30) for event in begun)
        began = time.monotonic()
        stop(commands)
        for thread in threads:
            thread.join(30)
        assert time.monotonic() - began < 30
        assert commands.process.wait(10) == 0
    assert model.left.wait(5)
    *_, error, done = [line.removeprefix("data: ") for line in chat if line]
    assert json.loads(error)["error"]["code"] == "shutting_down"
    assert done == "[DONE]"
    assert "response.failed" in responses[-3]
    assert "being shut down" in responses[-2]


def test_an_answer_that_is_nearly_done_is_ended(commands):
    """Words that come for a second after the signal all arrive."""
    model = ModelServer()
    told = threading.Event()

    def reply(_, __):
        async def pieces():
            yield chunk("on ")
            for _ in range(4):
                await asyncio.to_thread(told.wait)
                await asyncio.sleep(0.2)
                yield chunk("and on ")
            yield chunk("end [1].", "stop")
            yield b"data: [DONE]\n\n"

        return events(pieces())

    model.reply = reply
    said, begun = [], threading.Event()
    with running(model), serving(commands, model, free_port()) as url:
        thread = threading.Thread(target=streamed, args=(url, "/v1/chat/completions", BODY, said, begun))
        thread.start()
        assert begun.wait(5), said
        stop(commands)
        time.sleep(0.2)
        ready = httpx.get(f"{url}/readyz", trust_env=False)
        told.set()
        thread.join(15)
    assert (ready.status_code, ready.json()["status"]) == (503, "It is being shut down.")
    assert not any('"error"' in line for line in said)
    assert any('"finish_reason": "stop"' in line for line in said)
