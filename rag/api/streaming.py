"""Following an answer for a client: who leaves ends the work, and what fails early fails with its own status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from rag.types.chat import ToolCallDelta
from rag.types.documents import AnswerCompleted, Candidate, Event, Progress, TextDelta

_Result = TypeVar("_Result")


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


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    """All events."""
    async with aclosing(events):
        return [event async for event in events]


async def until_first_sign(events: AsyncGenerator[Event, None], *signs: type) -> list[Event]:
    """Up to the first word, to what tells that it will take a while, or to one of `signs`; the generator stays open."""
    early: list[Event] = []
    async for event in events:
        early.append(event)
        if isinstance(event, (TextDelta, ToolCallDelta, AnswerCompleted, Progress, Candidate, *signs)):
            break
    return early
