"""Following an answer for a client: who leaves ends the work, and what fails early fails with its own status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from rag.functions import ToolCallDelta
from rag.types import AnswerCompleted, Candidate, Event, Progress, TextDelta

_Result = TypeVar("_Result")
_LOOK_AT_CLIENT = 0.2  # seconds between two looks whether the client is still there


async def while_connected(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do the work; a client that leaves meanwhile ends it, and with it the model's."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_AT_CLIENT)
            if not task.done() and await request.is_disconnected():
                raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()


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
