"""Answers at the end of the program: some seconds for those that can end, an error for the others."""

from __future__ import annotations

import asyncio

import pytest

from rag.errors import ShuttingDown
from rag.operations.shutdown import Shutdown


async def numbers(count, pause=0.0, closed=None):
    try:
        for number in range(count):
            await asyncio.sleep(pause)
            yield number
    finally:
        if closed is not None:
            closed.append(True)


async def test_nothing_is_changed_while_nobody_ends():
    stopping = Shutdown()
    assert [number async for number in stopping.limited(numbers(5))] == [0, 1, 2, 3, 4]
    assert not stopping.has_begun
    assert not stopping.is_over
    stopping.begin(1)
    assert stopping.is_over


async def test_what_waits_for_the_next_item_is_told_in_time():
    stopping, closed = Shutdown(), []

    async def follow():
        return [number async for number in stopping.limited(numbers(2, 60, closed))]

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.01)
    stopping.begin(0.05)
    stopping.begin(60)  # the first one counts
    assert not stopping.is_over
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(following, 5)
    assert (closed, stopping.is_over) == ([True], True)


async def test_what_can_end_in_time_does():
    stopping = Shutdown()
    items = stopping.limited(numbers(4, 0.01))
    assert await anext(items) == 0
    stopping.begin(30)
    assert [number async for number in items] == [1, 2, 3]
    assert stopping.is_over


async def test_what_begins_afterwards_has_the_time_that_is_left():
    stopping = Shutdown()
    stopping.begin(0.05)
    with pytest.raises(ShuttingDown):
        assert [number async for number in stopping.limited(numbers(3, 60))] == []


async def test_a_timeout_of_the_work_itself_stays_one():
    async def late():
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        yield 1

    with pytest.raises(TimeoutError):
        assert [number async for number in Shutdown().limited(late())] == []


async def test_closing_closes_the_work():
    stopping, closed = Shutdown(), []
    items = stopping.limited(numbers(5, 0, closed))
    await anext(items)
    await items.aclose()
    stopping.begin(60)
    assert (closed, stopping.is_over) == ([True], True)
