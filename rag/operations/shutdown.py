"""The end of the program as answers see it: those that are being written get some seconds, then are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rag.errors import ShuttingDown


class Shutdown:
    """Whether the program is about to end. To be used in the event loop's thread."""

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._limits: set[asyncio.Timeout] = set()
        self._running = 0

    @property
    def has_begun(self) -> bool:
        """Whether the program is about to end."""
        return self._deadline is not None

    @property
    def is_over(self) -> bool:
        """Whether it may end: no answer is being written any more."""
        return self.has_begun and not self._running

    def begin(self, seconds: float) -> None:
        """The program is about to end, in so many seconds at most; later calls change nothing."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + seconds
            for limit in self._limits:
                limit.reschedule(self._deadline)

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """The block is an answer. Raises ShuttingDown when the program ends before it does."""
        self._running += 1
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                self._limits.add(limit)
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise ShuttingDown("The server is being shut down.", hint="Ask again in a moment.") from None
        finally:
            self._limits.discard(limit)
            self._running -= 1
