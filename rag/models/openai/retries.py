"""What is asked again of a model server that could not answer, and when: only ever what it has not begun to answer."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass

import aiohttp

from rag.models.openai.errors import NotReached, ServerError

BUSY = {429, 502, 503, 504}  # HTTP
LOADING_PAUSE = 1.0  # seconds
_UNREACHABLE_PAUSES = (0.25, 0.5)  # seconds; a wrong address is told of soon
_BUSY_PAUSES = (0.5, 1.0, 2.0, 4.0)
_FOR_GOOD = "insufficient_quota"  # 429, and no waiting helps


@dataclass(frozen=True, slots=True)
class Pause:
    """How many seconds to wait before asking again, and what for: empty if that is not worth a word. What is said may
    end the time in which a failure has a status of its own at the API."""

    seconds: float
    what_for: str = ""


class RetryPolicy:
    """That for one question, which is asked again a few times; while a model is loaded, as often as its time allows."""

    def __init__(self) -> None:
        self._unreachable = list(_UNREACHABLE_PAUSES)
        self._busy = list(_BUSY_PAUSES)

    def pause_after(self, error: Exception) -> Pause | None:
        """The pause before the next attempt; None where `error` is final."""
        if isinstance(error, ServerError) and error.status:
            return self._after_status(error)
        is_lost = isinstance(error, aiohttp.ClientError) or (isinstance(error, NotReached) and not error.is_late)
        return Pause(self._unreachable.pop(0)) if is_lost and self._unreachable else None

    def _after_status(self, error: ServerError) -> Pause | None:
        text = str(error).lower()
        if error.status == 503 and "loading" in text:
            return Pause(LOADING_PAUSE, "the model server is loading its model")
        if error.status not in BUSY or _FOR_GOOD in text or not self._busy:
            return None
        seconds = max(self._busy.pop(0), seconds_asked_for(error.retry_after))
        return Pause(seconds, f"the model server is busy: asking again in {seconds:g} s" if seconds >= 1 else "")


def seconds_asked_for(retry_after: str) -> float:
    """Seconds that the header `Retry-After` asks to wait: it has them, or a date; 0 where it has neither."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0
