"""The one stream of an answer's events: the work is a call that emits them, and its reader takes them as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any

from rag.types.documents import Answer, AnswerCompleted, Emit, Event

Work = Callable[[Emit], Coroutine[Any, Any, Answer]]


class EventStream(AsyncGenerator[Event, None]):
    """What `work` emits, then AnswerCompleted with what it returns; what it raises is raised after what it emitted.

    The work runs as a task of its own, from the first event that is asked for. Close the stream when done: that cancels
    the work and waits for its end, as does cancelling the task that waits for an event.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._events: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        self._arrival: asyncio.Future[None] | None = None  # the reader waits for it
        self._is_closed = False

    async def asend(self, value: None) -> Event:
        """The next event. Raises StopAsyncIteration after the last one."""
        while not self._events:
            if self._is_closed:
                raise StopAsyncIteration
            if self._task is not None and self._task.done():
                self._is_closed = True
                self._task.result()
            else:
                await self._wait()
        return self._events.popleft()

    async def athrow(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> Event:
        """End the work, then raise; `aclose` calls it."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._events.clear()
        raise typ if val is None else val

    async def until(self, *kinds: type[Event]) -> None:
        """Wait for an event of these kinds, or for the end; none is taken. Raises what the work raises before it."""
        while not any(isinstance(event, kinds) for event in self._events):
            if self._task is not None and self._task.done():
                self._task.result()
                break
            await self._wait()

    def ready(self) -> list[Event]:
        """The events that have come and were not taken yet; they are taken by that."""
        events = list(self._events)
        self._events.clear()
        return events

    async def _wait(self) -> None:
        """Until something comes, or the work ends."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._wake)
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _run(self) -> None:
        self._emit(AnswerCompleted(await self._work(self._emit)))

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self, _: object = None) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


class HeldEvents:
    """Emits nothing until it is released: what came before then is emitted first."""

    def __init__(self) -> None:
        self._held: list[Event] = []
        self._emit: Emit = self._held.append

    def __call__(self, event: Event) -> None:
        self._emit(event)

    def release(self, emit: Emit) -> None:
        """From now on all is emitted by `emit`."""
        for event in self._held:
            emit(event)
        self._emit = emit


def ignore(event: Event) -> None:
    """For work whose events nobody reads."""
