"""A model server of known speed: it streams OpenAI's chunks at a steady pace, and that is all it can.

    python -m benchmarks.steady_server PORT

`POST /pace {"tokens": …, "interval": …}` says how many tokens each reply has and how many seconds lie between two; the
first one comes at once. Prompts are counted as vLLM counts them, in words.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvicorn

MODEL = "steady"
WINDOW = 8192  # tokens
SENTENCE = [" The", " handbook", " says", " so", " in", " its", " chapter", " on", " leave", " [1]."]


class SteadyServer:
    """The ASGI application."""

    def __init__(self) -> None:
        self.tokens, self.interval = 100, 0.02
        self._chunks = [_event({"content": word}, None) for word in SENTENCE]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = b""
        more = scope["type"] == "http"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        question = json.loads(body) if body else {}
        match scope.get("path"):
            case "/v1/models":
                await _json(send, {"data": [{"id": MODEL, "object": "model", "max_model_len": WINDOW}]})
            case "/tokenize":
                words = sum(len(turn["content"].split()) for turn in question["messages"])
                await _json(send, {"count": words * 4 // 3, "max_model_len": WINDOW, "tokens": []})
            case "/pace":
                self.tokens, self.interval = question["tokens"], question["interval"]
                await _json(send, {})
            case "/v1/chat/completions":
                await self._stream(receive, send)

    async def _stream(self, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        tokens, interval, began = self.tokens, self.interval, time.monotonic()
        gone = asyncio.create_task(receive())  # the next message is that the client left
        for number in range(tokens):
            await asyncio.sleep(began + number * interval - time.monotonic())
            if gone.done():
                return
            chunk = self._chunks[number % len(self._chunks)]
            await _send(send, chunk.replace(b" chapter", b" chapter %d" % number))  # the same sentences would be a loop
        usage = {"prompt_tokens": 1000, "completion_tokens": tokens, "total_tokens": 1000 + tokens}
        last = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": []}
        end = _event({}, "stop") + _line({**last, "usage": usage}) + b"data: [DONE]\n\n"
        await _send(send, end)
        await _send(send, b"", more=False)
        await gone


def _event(delta: dict[str, str], finish_reason: str | None) -> bytes:
    """A chunk with the fields that vLLM sends."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, "token_ids": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return _line({**head, "choices": [choice]})


def _line(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


async def _send(send: Any, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _json(send: Any, value: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await _send(send, json.dumps(value).encode(), more=False)


if __name__ == "__main__":
    uvicorn.run(
        SteadyServer(),
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
