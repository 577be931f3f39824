"""A model server whose model calls functions, as vLLM streams it; and the API in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import Request, Response

from tests.rag.models.model_server import ModelServer, chunk, events, stream

WEATHER = {
    "name": "weather",
    "description": "The weather of a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
CHAT_TOOL = {"type": "function", "function": WEATHER}
TOOL = {"type": "function", **WEATHER}
CALLS = [("call_1", ['{"place"', ': "Oslo"}']), ("call_2", ['{"place": "Rome"}'])]
ANSWER = ["Oslo has 4 degrees.\n\n", "The pump needs oil every 90 days [1]", ". [9]"]


def pieces_of_calls() -> Iterator[dict[str, Any]]:
    """Id and name with the first piece of a call, then its arguments."""
    for index, (call_id, arguments) in enumerate(CALLS):
        yield {
            "index": index,
            "id": call_id,
            "type": "function",
            "function": {"name": WEATHER["name"], "arguments": ""},
        }
        for piece in arguments:
            yield {"index": index, "function": {"arguments": piece}}


def calls(_: Request, body: dict[str, Any]) -> Response:
    """Calls the function for two places, and answers once it has what came of it."""
    if body["messages"][-1]["role"] == "tool" or not body.get("tools") or body["tool_choice"] == "none":
        return stream(ANSWER, body)

    async def reply():
        yield chunk("")
        yield chunk("Let me [")  # an open bracket may become a footnote
        for piece in pieces_of_calls():
            yield chunk(None, None, choices=[{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}])
        yield chunk(None, "tool_calls")
        yield b"data: [DONE]\n\n"

    return events(reply())


def calling_server() -> ModelServer:
    server = ModelServer()
    server.reply = calls
    return server
