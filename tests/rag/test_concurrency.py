"""A busy event loop, and one that is idle."""

from __future__ import annotations

import asyncio
import time

from rag.concurrency import pause_if_busy


async def _seconds_of_pause() -> float:
    began = time.perf_counter()
    await pause_if_busy()
    return time.perf_counter() - began


async def _block(seconds: float) -> None:
    while True:
        time.sleep(seconds)  # noqa: ASYNC251  (that is what makes the loop busy)
        await asyncio.sleep(0)


async def test_where_nothing_else_is_to_do_nothing_waits():
    assert min([await _seconds_of_pause() for _ in range(20)]) < 0.001  # others may hold the processor once


async def test_where_the_loop_is_busy_several_of_its_turns_are_waited_for():
    busy = asyncio.create_task(_block(0.005))
    await asyncio.sleep(0)
    try:
        assert 0.02 < min([await _seconds_of_pause() for _ in range(3)])
    finally:
        busy.cancel()
