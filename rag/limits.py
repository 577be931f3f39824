"""How often one may ask, and how often guess: counted for every user and every address, in this process's memory."""

from __future__ import annotations

import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from rag.errors import RateLimited


class Limit:
    """At most `per_minute` events within any minute for one name; 0: no limit."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, name: str) -> None:
        """Count an event. Raises RateLimited, and counts it not, when there were too many."""
        if self._item is not None and not self._limiter.hit(self._item, name):
            raise self._refusal(name)

    def check(self, name: str) -> None:
        """Raises RateLimited when the next event would be one too many."""
        if self._item is not None and not self._limiter.test(self._item, name):
            raise self._refusal(name)

    def _refusal(self, name: str) -> RateLimited:
        assert self._item is not None
        reset = self._limiter.get_window_stats(self._item, name).reset_time
        seconds = max(1, round(reset - time.time() + 0.5))
        return RateLimited("Too many requests.", hint=f"Try again in {seconds} s.", retry_after=seconds)
