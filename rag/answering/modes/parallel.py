"""Several calls at once: bounded, and ended together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from rag.settings import ModesSettings
from rag.types.models import LanguageModel

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def at_once(model: LanguageModel, settings: ModesSettings) -> int:
    """How many requests the model is sent at once; one in this process writes one reply after the other anyway."""
    return 1 if model.provider == "llama_cpp" else settings.max_concurrent_requests


@asynccontextmanager
async def started(
    call: Callable[[_Item], Awaitable[_Result]], items: Sequence[_Item], limit: int
) -> AsyncIterator[list[asyncio.Task[_Result]]]:
    """A task for each item, in their order; at most `limit` run at once, the first ones first. Those that have not
    ended with the block are cancelled."""
    gate = asyncio.Semaphore(limit)

    async def run(item: _Item) -> _Result:
        async with gate:
            return await call(item)

    tasks = [asyncio.create_task(run(item)) for item in items]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_parallel(call: Callable[[_Item], Awaitable[_Result]], items: Sequence[_Item], limit: int) -> list[_Result]:
    """What the call gives for each item, in their order. What one raises, it raises, and ends the others."""
    async with started(call, items, limit) as tasks:
        return await asyncio.gather(*tasks)
