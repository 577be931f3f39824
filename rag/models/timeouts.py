"""Waiting for a model: it is said what for, and there is a limit to it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llama_index.core.llms import ChatResponse

    from rag.settings import LanguageModelSettings

WAITING = "waiting"  # where a response says what is waited for, in its `additional_kwargs`


def waiting(what_for: str) -> ChatResponse:
    """A response without text that says what is waited for."""
    from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole

    message = ChatMessage(role=MessageRole.ASSISTANT, content="")
    return ChatResponse(message=message, delta="", additional_kwargs={WAITING: what_for})


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
    """Times one reply, from now on; `who` (`provider`'s) is named where it is too slow."""

    def __init__(self, limits: TimeLimits, who: str, provider: str) -> None:
        self._limits = limits
        self._who = who
        self._provider = provider
        self.has_begun = False
        self._deadline = time.monotonic() + limits.first

    @property
    def left(self) -> float:
        """Seconds until the limit that holds now."""
        return max(self._deadline - time.monotonic(), 0)

    def tick(self, *, is_token: bool) -> None:
        """Something came. Until the first token the limit is for all of it, then for each thing that comes."""
        self.has_begun = self.has_begun or is_token
        if self.has_begun:
            self._deadline = time.monotonic() + self._limits.between

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Within it one waits no longer than the limit. Raises BackendUnavailable, which says which limit it was."""
        try:
            async with asyncio.timeout(self.left):
                yield
        except TimeoutError as error:
            raise self._too_slow() from error

    def _too_slow(self) -> BackendUnavailable:
        if self.has_begun:
            return BackendUnavailable(
                f"{self._who} sent no further token for {self._limits.between:g} seconds.",
                hint="Ask again; RAG_LLM__INTER_TOKEN_TIMEOUT (the limit between two tokens) allows it more time.",
                provider=self._provider,
            )
        return BackendUnavailable(
            f"{self._who} sent no token within {self._limits.first:g} seconds.",
            hint="It may still be loading the model, or be busy or too large for its machine; "
            "RAG_LLM__FIRST_TOKEN_TIMEOUT (the limit for the first token) allows it more time.",
            provider=self._provider,
        )
