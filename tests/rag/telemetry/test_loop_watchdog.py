"""What keeps the event loop busy is told, with where that was."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from rag.telemetry.loop_watchdog import watched


def keep_busy(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "rag.telemetry.loop_watchdog")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "rag.telemetry.loop_watchdog"]


async def test_a_long_turn_is_told_with_its_place(warnings):
    with watched(0.05):
        await asyncio.sleep(0.1)
        keep_busy(0.4)
        await asyncio.sleep(0.1)
    [warning] = warnings()
    assert "in keep_busy" in warning
    assert 300 < int(warning.split(" ms")[0].rpartition(" ")[2]) < 2_000


async def test_of_many_long_turns_few_are_told(warnings):
    with watched(0.05, quiet=0.8):
        for _ in range(8):
            keep_busy(0.2)
            await asyncio.sleep(0.05)
    assert 2 <= len(warnings()) <= 4
    assert "more since the last warning" in warnings()[1]


async def test_waiting_for_work_is_no_long_turn(warnings):
    with watched(0.05):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(time.sleep, 0.3)
    assert warnings() == []
