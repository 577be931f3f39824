"""Several streams at once: bounded, and closed together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

from rag.settings import ModesSettings
from rag.types.documents import LanguageModel

_Item = TypeVar("_Item")


def at_once(model: LanguageModel, settings: ModesSettings) -> int:
    """How many requests the model is sent at once; one in this process writes one reply after the other anyway."""
    return 1 if model.provider == "llama_cpp" else settings.max_concurrent_requests


async def merged(
    streams: Sequence[AsyncGenerator[_Item, None]], limit: int
) -> AsyncGenerator[tuple[int, _Item | None], None]:
    """What the streams give, as it comes, each item with its stream's place; None when that stream has ended.

    At most `limit` run at once, the first ones first. Closing it closes them all; what one raises, it raises.
    """
    queue: asyncio.Queue[tuple[int, _Item | None] | None] = asyncio.Queue()
    gate = asyncio.Semaphore(limit)

    async def run(place: int, stream: AsyncGenerator[_Item, None]) -> None:
        async with gate, aclosing(stream):
            async for item in stream:
                queue.put_nowait((place, item))
        queue.put_nowait((place, None))

    tasks = [asyncio.create_task(run(place, stream)) for place, stream in enumerate(streams)]
    everything = asyncio.gather(*tasks)
    everything.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (item := await queue.get()) is not None:
            yield item
        await everything
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(everything, *tasks, return_exceptions=True)


async def in_order(
    streams: Sequence[AsyncGenerator[_Item, None]], limit: int
) -> AsyncGenerator[tuple[int, _Item], None]:
    """Like `merged`, but one stream after the other: what comes early waits for its turn."""
    held: defaultdict[int, list[_Item | None]] = defaultdict(list)
    current = 0
    async with aclosing(merged(streams, limit)) as items:
        async for place, item in items:
            held[place].append(item)
            while held[current]:
                first = held[current].pop(0)
                if first is None:
                    current += 1
                else:
                    yield current, first
