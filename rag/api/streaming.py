"""Following an answer for a client: who leaves ends the work, and what fails early fails with its own status."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from rag.answering.event_stream import EventStream
from rag.api.errors import envelope, unknown_error
from rag.errors import RagError
from rag.types.chat import ToolCallDelta
from rag.types.documents import AnswerCompleted, Candidate, Event, Progress, TextDelta, ThoughtDelta

_Result = TypeVar("_Result")

DONE = "data: [DONE]\n\n"
to_json = json.JSONEncoder(ensure_ascii=False).encode
# The first word, or what tells that it will take a while.
_FIRST_SIGNS = (TextDelta, ThoughtDelta, ToolCallDelta, AnswerCompleted, Progress, Candidate)


def server_sent(data: Mapping[str, Any], event: str = "") -> str:
    """An event of a stream as a server sends it."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {to_json(data)}\n\n"


async def while_connected(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do the work; a client that leaves meanwhile ends it, and with it the model's. The request's body must have been
    read."""
    task, leaving = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def collect(events: EventStream) -> list[Event]:
    """All events."""
    async with aclosing(events):
        return [event async for event in events]


class WireForm(ABC):
    """How an answer is streamed: the text that is sent at its beginning, for each event, and at its end."""

    media_type = "text/event-stream"

    def begin(self) -> str:
        """What comes before the first event."""
        return ""

    @abstractmethod
    def take(self, event: Event) -> str:
        """What tells an event; empty where nothing does."""

    async def end(self) -> str:
        """What comes after the last event."""
        return DONE

    def fail(self, error: Mapping[str, Any]) -> str:
        """What comes instead of the rest, where an error (as rag/api/errors.py tells it) ends the answer."""
        return server_sent(error) + DONE


async def streamed(
    request: Request, events: EventStream, form: WireForm, *first_signs: type[Event]
) -> StreamingResponse:
    """The answer as it is made, in this form. Waits for its first word, what tells that it will take a while, or one of
    the `first_signs`: what fails before is raised, to be answered with its own status."""
    await while_connected(request, events.until(*_FIRST_SIGNS, *first_signs))
    return _EventResponse(events, form)


# What a route that may stream tells of it in the schema: its events.
_EVENT = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": _EVENT}}}}


class _EventResponse(StreamingResponse):
    """Closes the events however it ends, even before anything was sent."""

    def __init__(self, events: EventStream, form: WireForm) -> None:
        super().__init__(_lines(events, form), media_type=form.media_type)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


def _taken(form: WireForm, events: Sequence[Event]) -> str:
    return "".join(map(form.take, events))


async def _lines(events: EventStream, form: WireForm) -> AsyncIterator[str]:
    """An error after the first word becomes an event of its own. What came while the client took the last lines is sent
    at once."""
    try:
        if lines := form.begin():
            yield lines
        async for event in events:
            arrived = [event, *events.ready()]
            is_whole = isinstance(arrived[-1], AnswerCompleted)  # then all of it is looked at, and the catalog asked
            if lines := await asyncio.to_thread(_taken, form, arrived) if is_whole else _taken(form, arrived):
                yield lines
        yield await form.end()
    except RagError as error:
        yield form.fail(envelope(error))
    except Exception as error:  # noqa: BLE001  (the edge: the status is sent, so the error goes into the stream)
        yield form.fail(envelope(unknown_error(error)))
