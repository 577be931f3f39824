"""The line before a model that does one thing after the other."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
import threading
import time
from contextlib import aclosing

import pytest

from rag.models.llama_cpp.queue import QueueClosed, QueuePosition, QueueStuck, StopFlag, WorkerQueue


@pytest.fixture
def line():
    line = WorkerQueue("test")
    yield line
    line.close()


def _until_stopped(emit, stop):
    emit("on")
    while not stop.is_set():
        time.sleep(0.001)


async def _all(line, work):
    return [item async for item in line.run(work)]


async def test_work_is_done_in_the_order_it_came_and_everybody_sees_the_line_move(line):
    go_on = [threading.Event() for _ in range(3)]
    done = []

    def work(number):
        def run(emit, _):
            go_on[number].wait(5)
            done.append(number)
            emit(number)

        return run

    tasks = [asyncio.create_task(_all(line, work(number))) for number in range(3)]
    await asyncio.sleep(0.02)
    for event in go_on:
        event.set()
        await asyncio.sleep(0.02)
    assert [await task for task in tasks] == [
        [QueuePosition(0), 0],
        [QueuePosition(1), QueuePosition(0), 1],
        [QueuePosition(2), QueuePosition(1), QueuePosition(0), 2],
    ]
    assert done == [0, 1, 2]


async def test_who_leaves_the_line_makes_those_behind_move_up(line):
    async with aclosing(line.run(_until_stopped)) as first:
        assert [await anext(first), await anext(first)] == [QueuePosition(0), "on"]
        leaves = asyncio.create_task(_all(line, _until_stopped))
        await asyncio.sleep(0.01)
        async with aclosing(line.run(_until_stopped)) as third:
            assert await anext(third) == QueuePosition(2)
            leaves.cancel()
            assert await anext(third) == QueuePosition(1)
            await first.aclose()
            assert await anext(third) == QueuePosition(0)


async def test_an_error_of_the_work_comes_after_what_it_gave(line):
    def fails(emit, _):
        emit(1)
        raise ValueError("no more")

    items = line.run(fails)
    assert [await anext(items), await anext(items)] == [QueuePosition(0), 1]
    with pytest.raises(ValueError, match="no more"):
        await anext(items)
    assert await _all(line, lambda emit, _: emit(2)) == [QueuePosition(0), 2]


async def test_closing_stops_what_runs_and_turns_away_who_waits_or_comes():
    line = WorkerQueue("test")
    runs, waits = (asyncio.create_task(_all(line, _until_stopped)) for _ in range(2))
    await asyncio.sleep(0.02)
    await asyncio.to_thread(line.close)
    assert await runs == [QueuePosition(0), "on"]
    with pytest.raises(QueueClosed):
        await waits
    with pytest.raises(QueueClosed):
        await _all(line, _until_stopped)


async def test_work_that_does_not_stop_keeps_nobody_waiting_for_ever():
    line = WorkerQueue("test", patience=0.2)
    go_on = threading.Event()
    stuck = asyncio.create_task(_all(line, lambda *_: go_on.wait(10)))
    await asyncio.sleep(0.02)
    waits = asyncio.create_task(_all(line, _until_stopped))
    await asyncio.sleep(0.5)
    assert not waits.done()  # as long as the first one is wanted
    stuck.cancel()
    start = time.monotonic()
    with pytest.raises(QueueStuck):
        await waits
    assert 0.2 < time.monotonic() - start < 9
    start = time.monotonic()
    line.close(0.1)
    assert time.monotonic() - start < 9
    go_on.set()


@pytest.mark.slow
def test_work_that_does_not_stop_does_not_keep_the_program_from_ending():
    program = """
import asyncio, threading
from rag.models.llama_cpp.queue import WorkerQueue
async def ask():
    items = WorkerQueue("test").run(lambda *_: threading.Event().wait())
    print(await anext(items))
    await items.aclose()
asyncio.run(ask())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "0 questions before yours\n"


def test_several_event_loops_share_a_line(line):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(asyncio.run(_all(line, lambda emit, _: emit("done")))[-1]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert results == ["done"] * 8


def test_one_question_is_one_question():
    assert [str(QueuePosition(1)), str(QueuePosition(2))] == ["1 question before yours", "2 questions before yours"]


def test_c_code_sees_that_it_is_to_stop():
    stop = StopFlag()
    length = ctypes.CDLL(None).strlen
    assert (stop.is_set(), length(stop.address)) == (False, 0)
    stop.set()
    assert (stop.is_set(), length(stop.address)) == (True, 1)
