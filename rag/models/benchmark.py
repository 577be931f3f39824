"""How fast a language model is: a short reply, really generated, timed from the request to the last token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from rag.errors import RagError
from rag.models.llm import refresh_model, stream_text
from rag.models.registry import LanguageModels
from rag.types.chat import Sampling
from rag.types.documents import Message
from rag.types.models import LanguageModel

_PROMPT = "Count from one to a hundred, in words."
_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Speed:
    """What came of asking a model. `problem` says why it cannot be asked, and is empty when it can; `context_window` is
    in tokens; `first_token` is in seconds. The last two are None where nothing, or one token alone, came."""

    name: str
    description: str
    problem: str = ""
    context_window: int = 0
    first_token: float | None = None
    tokens_per_second: float | None = None


async def measure_all(models: LanguageModels) -> AsyncGenerator[Speed]:
    """Ask one model after the other for some words, those that are not offered, too, and see how fast they come."""
    for name in models.described:
        description = ""
        try:
            model = await asyncio.to_thread(models.get, name)
            description = model.description
            if model.llm is None:
                yield Speed(name, description)
            else:
                model = await refresh_model(model)
                description = model.description
                first, rate = await _timed(model)
                yield Speed(name, description, "", model.context_window, first, rate)
        except RagError as error:
            yield Speed(name, description, f"{error.message} {error.hint}".strip())


async def _timed(model: LanguageModel) -> tuple[float | None, float | None]:
    """Seconds to the first token, and tokens a second from then on."""
    times: list[float] = []
    counted = 0
    began = time.perf_counter()
    sampling = Sampling(max_tokens=_TOKENS, temperature=0.0)
    async with aclosing(stream_text(model, [Message("user", _PROMPT)], sampling)) as deltas:
        async for delta in deltas:
            if delta.text or delta.thoughts:
                times.append(time.perf_counter() - began)
            if delta.usage:
                counted = delta.usage.completion_tokens
    if not times:
        return None, None
    tokens = counted or len(times)  # a delta may hold several tokens
    duration = times[-1] - times[0]
    return times[0], (tokens - 1) / duration if tokens > 1 and duration > 0 else None
