"""How many requests are worked on at a time: as many as keep the machine busy, so that whatever is quick stays quick.

Two hundred questions that are all begun at once make each other late, and every look at the list of models waits for a
piece of each of them. Admitted a few at a time they are done as soon, and what is no work is answered in between.

Waiting for a model is no work: whoever begins to calls `release_slot`, and the next one is admitted. The slot is found
by a context variable, so code that asks models need not know of requests.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

_current: ContextVar[ConcurrencySlot | None] = ContextVar("place", default=None)


class ConcurrencySlot:
    """One place among those that are worked on: taken once, and given up once."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_taken = False

    async def take(self) -> None:
        """Wait until it is one's turn, first come, first served; the place is the present context's then."""
        await self._places.acquire()
        self._is_taken = True
        _current.set(self)

    def give_up(self) -> None:
        """Let the next one in; nothing happens where that is done, or no place was taken."""
        if self._is_taken:
            self._is_taken = False
            self._places.release()


def release_slot() -> None:
    """What is done in the present context is going to wait for somebody else: the next one is admitted."""
    if (place := _current.get()) is not None:
        place.give_up()
