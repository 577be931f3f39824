"""How often one may ask, and how often guess: counted for every user and every address, in this process's memory."""

from __future__ import annotations

import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from rag.errors import RateLimited

_MAX_NAME = 128  # characters of a name: who sends longer ones is nobody


class RateLimit:
    """At most `per_minute` events in a minute for one name; 0: no limit. Windows are fixed, as the library forgets the
    names of those that are over."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, name: str) -> None:
        """Count an event. Raises RateLimited when it is one too many."""
        if self._item is not None and not self._limiter.hit(self._item, name[:_MAX_NAME]):
            raise self._refusal(self._item, name[:_MAX_NAME])

    def _refusal(self, item: RateLimitItem, name: str) -> RateLimited:
        reset = self._limiter.get_window_stats(item, name).reset_time
        seconds = max(1, round(reset - time.time() + 0.5))
        return RateLimited("Too many requests.", hint=f"Try again in {seconds} s.", retry_after=seconds)
