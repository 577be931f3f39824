"""Waiting for a model: it is said what for, and there is a limit to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rag.errors import BackendUnavailable

if TYPE_CHECKING:
    from rag.settings import LanguageModelSettings

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a model may take, in seconds: until its first token, and from one token to the next."""

    first: float
    between: float

    @classmethod
    def from_settings(cls, settings: LanguageModelSettings) -> TimeLimits:
        """Those that the settings allow."""
        return cls(settings.first_token_timeout, settings.inter_token_timeout)


class TokenTimeout:
    """Times one reply, from now on; `who` is named where it is too slow."""

    def __init__(self, limits: TimeLimits, who: str) -> None:
        self._limits = limits
        self._who = who
        self.has_begun = False
        self._deadline = time.monotonic() + limits.first
        self._waiting: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    @property
    def left(self) -> float:
        """Seconds until the limit that holds now."""
        return max(self._deadline - time.monotonic(), 0)

    def tick(self, *, is_token: bool) -> None:
        """Something came. Until the first token the limit is for all of it, then for each thing that comes."""
        if is_token and not self.has_begun:
            self.has_begun = True
            if self._timer is not None:  # it may have longer to go than the limit that holds from now on
                self._timer.cancel()
                self._timer = None
        if self.has_begun:
            self._deadline = time.monotonic() + self._limits.between

    async def within(self, work: Awaitable[_Result]) -> _Result:
        """What the work gives, within the limit. Raises BackendUnavailable, which says which limit it was."""
        # One timer serves the whole reply and looks at the deadline when it ends: a token costs no timer of its own.
        self._waiting = asyncio.current_task()
        if self._timer is None:
            self._start_timer()
        try:
            return await work
        except asyncio.CancelledError:
            if self._is_over and self._waiting is not None and not self._waiting.uncancel():
                raise self._too_slow() from None
            raise
        finally:
            self._waiting = None

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.left, self._look)

    def _look(self) -> None:
        """The timer has ended; the limit may have moved on since."""
        self._timer = None
        if self._waiting is not None and self.left:
            self._start_timer()
        elif self._waiting is not None:
            self._is_over = True
            self._waiting.cancel()

    def _too_slow(self) -> BackendUnavailable:
        if self.has_begun:
            return BackendUnavailable(
                f"{self._who} sent no further token for {self._limits.between:g} seconds.",
                hint="Ask again; RAG_LLM__INTER_TOKEN_TIMEOUT (the limit between two tokens) allows it more time.",
            )
        return BackendUnavailable(
            f"{self._who} sent no token within {self._limits.first:g} seconds.",
            hint="It may still be loading the model, or be busy or too large for its machine; "
            "RAG_LLM__FIRST_TOKEN_TIMEOUT (the limit for the first token) allows it more time.",
        )
