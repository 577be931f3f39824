"""Answers at the end of the program: some seconds for those that can end, an error for the others."""

from __future__ import annotations

import asyncio

import pytest

from rag.errors import ShuttingDown
from rag.operations.shutdown import Shutdown


async def count(stopping, most, pause=0.0, counted=None):
    """Count up to `most`, with a pause before each number; what was counted."""
    counted = [] if counted is None else counted
    try:
        async with stopping.limit():
            for number in range(most):
                await asyncio.sleep(pause)
                counted.append(number)
    finally:
        counted.append("ended")
    return counted


async def test_nothing_is_changed_while_nobody_ends():
    stopping = Shutdown()
    assert await count(stopping, 5) == [0, 1, 2, 3, 4, "ended"]
    assert not stopping.has_begun
    assert not stopping.is_over
    stopping.begin(1)
    assert stopping.is_over


async def test_what_waits_is_told_in_time():
    stopping, counted = Shutdown(), []
    counting = asyncio.create_task(count(stopping, 2, 60, counted))
    await asyncio.sleep(0.01)
    stopping.begin(0.05)
    stopping.begin(60)  # the first one counts
    assert not stopping.is_over
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(counting, 5)
    assert (counted, stopping.is_over) == (["ended"], True)


async def test_what_can_end_in_time_does():
    stopping, counted = Shutdown(), []
    counting = asyncio.create_task(count(stopping, 20, 0.001, counted))
    await asyncio.sleep(0.01)
    stopping.begin(30)
    assert counted
    assert await counting == [*range(20), "ended"]
    assert stopping.is_over


async def test_what_begins_afterwards_has_the_time_that_is_left():
    stopping = Shutdown()
    stopping.begin(0.05)
    with pytest.raises(ShuttingDown):
        await count(stopping, 3, 60)


async def test_a_timeout_of_the_work_itself_stays_one():
    with pytest.raises(TimeoutError):
        async with Shutdown().limit(), asyncio.timeout(0.01):
            await asyncio.sleep(60)


async def test_work_that_is_cancelled_is_over():
    stopping = Shutdown()
    counting = asyncio.create_task(count(stopping, 5, 60))
    await asyncio.sleep(0.01)
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting
    stopping.begin(60)
    assert stopping.is_over
