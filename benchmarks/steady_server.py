"""A model server of known speed: it streams OpenAI's chunks at a steady pace, and that is all it can.

    python -m benchmarks.steady_server PORT

`POST /pace {"tokens": …, "interval": …}` says how many tokens each reply has and how many seconds lie between two; the
first one comes at once. Prompts are counted as vLLM counts them, in words. It speaks just the HTTP that its askers do,
and what it sends was made before, so that it is not what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

MODEL = "steady"
WINDOW = 8192  # tokens
SENTENCE = (" The", " handbook", " says", " so", " in", " its", " chapter {}", " on", " leave", " [1].")
MOST_TOKENS = 10_000
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\nconnection: close\r\n{}\r\n"


class SteadyServer:
    """Answers one request a connection."""

    def __init__(self) -> None:
        self._tokens, self._interval = 100, 0.02
        words = [SENTENCE[number % len(SENTENCE)].format(number) for number in range(MOST_TOKENS)]
        self._chunks = [_event({"content": word}, None) for word in words]  # the same sentence would be a loop

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the request of a connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            path, question = await _request(reader)
            if path == "/v1/chat/completions":
                await self._stream(reader, writer)
            else:
                body = json.dumps(self._told(path, question))
                writer.write((HEAD.format("application/json", f"content-length: {len(body)}\r\n") + body).encode())
                await writer.drain()
        writer.close()

    def _told(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        if path == "/tokenize":
            words = sum(len(turn["content"].split()) for turn in question["messages"])
            return {"count": words * 4 // 3, "max_model_len": WINDOW, "tokens": []}
        if path == "/pace":
            self._tokens, self._interval = question["tokens"], question["interval"]
        return {"data": [{"id": MODEL, "object": "model", "max_model_len": WINDOW}]}

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, tokens, interval = asyncio.get_running_loop(), self._tokens, self._interval
        writer.write(HEAD.format("text/event-stream", "").encode())
        began = loop.time()
        for number in range(tokens):
            if (pause := began + number * interval - loop.time()) > 0:
                await asyncio.sleep(pause)
            if reader.at_eof() or writer.is_closing():
                return
            writer.write(self._chunks[number])
        usage = {"prompt_tokens": 1000, "completion_tokens": tokens, "total_tokens": 1000 + tokens}
        last = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": []}
        writer.write(_event({}, "stop") + _line({**last, "usage": usage}) + b"data: [DONE]\n\n")
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return first.split()[1], json.loads(body) if body else {}


def _event(delta: dict[str, str], finish_reason: str | None) -> bytes:
    """A chunk with the fields that vLLM sends."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, "token_ids": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return _line({**head, "choices": [choice]})


def _line(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(SteadyServer().answer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
