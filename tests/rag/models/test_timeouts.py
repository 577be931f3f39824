"""Time limits of a reply, against a real server."""

from __future__ import annotations

import asyncio
import time

import pytest

from rag.errors import AnswerInterrupted, BackendUnavailable
from rag.models.timeouts import TimeLimits, TokenTimeout
from tests.rag.models.model_server import ask, chunk, events, open_at, text_of


async def _slow_start():
    yield chunk("")  # the role, as vLLM sends it while it still reads the prompt
    await asyncio.sleep(0.2)
    yield chunk("")
    await asyncio.sleep(5)
    yield chunk("late", "stop")


async def _slow_middle():
    yield chunk("The ")
    await asyncio.sleep(5)


async def _steady():
    for _ in range(8):
        await asyncio.sleep(0.1)
        yield chunk("on ")
    yield chunk(None, "stop")


async def _thoughtful():
    for _ in range(6):
        await asyncio.sleep(0.1)
        yield chunk(choices=[{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}])
    yield chunk("Yes", "stop")


async def test_no_first_token_in_time_is_an_error_that_names_its_limit(server):
    server.reply = lambda *_: events(_slow_start())
    model = open_at(server, first_token_timeout=0.4, inter_token_timeout=30)
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"no token within 0\.4 seconds") as raised:
        await ask(model)
    assert 0.35 < time.monotonic() - start < 20
    assert "RAG_LLM__FIRST_TOKEN_TIMEOUT" in raised.value.hint
    assert not isinstance(raised.value, AnswerInterrupted)
    assert len(server.requests) == 1


async def test_no_next_token_in_time_is_an_error_that_names_the_other_limit(server):
    server.reply = lambda *_: events(_slow_middle())
    model = open_at(server, first_token_timeout=30, inter_token_timeout=0.3)
    start = time.monotonic()
    with pytest.raises(AnswerInterrupted, match=r"no further token for 0\.3 seconds") as raised:
        await ask(model)
    assert time.monotonic() - start < 20
    assert "RAG_LLM__INTER_TOKEN_TIMEOUT" in raised.value.hint
    assert len(server.requests) == 1


async def test_the_limits_are_not_for_the_whole_answer(server):
    server.reply = lambda *_: events(_steady())
    assert text_of(await ask(open_at(server, first_token_timeout=0.5, inter_token_timeout=0.5))) == "on " * 8


async def test_a_model_that_thinks_aloud_is_not_silent(server):
    server.reply = lambda *_: events(_thoughtful())
    assert text_of(await ask(open_at(server, first_token_timeout=0.4, inter_token_timeout=0.4))) == "Yes"


def clock_of(first=0.1, between=0.1):
    return TokenTimeout(TimeLimits(first, between), "The model")


async def test_a_shorter_limit_holds_from_the_first_token_on():
    clock = clock_of(first=60)
    await clock.within(asyncio.sleep(0.01))
    clock.tick(is_token=True)
    with pytest.raises(BackendUnavailable, match="no further token"):
        await asyncio.wait_for(clock.within(asyncio.sleep(60)), 30)


async def test_what_is_there_already_is_never_too_late():
    async def at_once():
        return 1

    clock = clock_of(first=0)
    assert await clock.within(at_once()) == 1
    await asyncio.sleep(0.05)  # is not cancelled


async def test_a_task_that_somebody_cancels_is_not_too_slow():
    waiting = asyncio.create_task(clock_of().within(asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_work_that_is_too_slow_leaves_the_task_as_it_was():
    with pytest.raises(BackendUnavailable, match="no token"):
        await clock_of().within(asyncio.sleep(60))
    async with asyncio.timeout(30):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
