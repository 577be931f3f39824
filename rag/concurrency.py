"""How many requests are worked on at a time: as many as keep the machine busy, so that whatever is quick stays quick.

Two hundred questions that are all begun at once make each other late, and every look at the list of models waits for a
piece of each of them. Admitted a few at a time they are done as soon, and what is no work is answered in between.

Waiting for a model is no work: whoever begins to calls `release_slot`, and the next request is admitted. The slot is
found by a context variable, so code that asks models need not know of requests.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

_current_slot: ContextVar[ConcurrencySlot | None] = ContextVar("concurrency_slot", default=None)


class ConcurrencySlot:
    """A request's share of `semaphore`: acquired once, and released once."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self._semaphore = semaphore
        self._is_held = False

    async def acquire(self) -> None:
        """Wait for a free slot, first come, first served; from then on it is the present context's."""
        await self._semaphore.acquire()
        self._is_held = True
        _current_slot.set(self)

    def release(self) -> None:
        """Let the next request in; nothing happens where the slot is not held."""
        if self._is_held:
            self._is_held = False
            self._semaphore.release()


def release_slot() -> None:
    """The request of the present context is going to wait for somebody else: the next one is admitted."""
    if (slot := _current_slot.get()) is not None:
        slot.release()
