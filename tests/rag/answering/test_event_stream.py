"""The stream of an answer's events: in order, ended with its reader, and never ahead of an error."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from rag.answering.event_stream import EventStream, HeldEvents
from rag.errors import BackendUnavailable
from rag.types.documents import Answer, AnswerCompleted, Progress, TextDelta, Usage

ANSWER = Answer("Yes.", (), (), "tiny", True, "stop", Usage(1, 1))
FOREVER = 600


class Work:
    """Emits its events, one at a time, and then answers, fails, or goes on for ever."""

    def __init__(self, *events, then=ANSWER):
        self.events = events
        self.then = then
        self.has_ended = False

    async def __call__(self, emit):
        try:
            for event in self.events:
                await asyncio.sleep(0)
                emit(event)
            if isinstance(self.then, Exception):
                raise self.then
            if self.then is FOREVER:
                await asyncio.sleep(FOREVER)
            return self.then
        finally:
            await asyncio.sleep(0)  # ending takes a moment, too
            self.has_ended = True


async def test_the_answer_comes_last():
    events = [Progress("reading"), TextDelta("Ye"), TextDelta("s.")]
    stream = EventStream(Work(*events))
    assert [event async for event in stream] == [*events, AnswerCompleted(ANSWER)]
    assert await anext(stream, None) is None


async def test_an_error_comes_after_what_was_emitted_before_it():
    stream = EventStream(Work(TextDelta("Ye"), then=BackendUnavailable("Gone.")))
    assert await anext(stream) == TextDelta("Ye")
    with pytest.raises(BackendUnavailable):
        await anext(stream)
    assert await anext(stream, None) is None


async def test_closing_it_ends_the_work():
    work = Work(TextDelta("Ye"), TextDelta("s."), then=FOREVER)
    async with aclosing(EventStream(work)) as stream:
        assert await anext(stream) == TextDelta("Ye")
    assert work.has_ended
    assert await anext(stream, None) is None


async def test_nothing_is_begun_before_somebody_reads():
    work = Work(TextDelta("Yes."))
    await EventStream(work).aclose()
    await asyncio.sleep(0.01)
    assert not work.has_ended


async def test_cancelling_the_reader_ends_the_work():
    work = Work(TextDelta("Ye"), then=FOREVER)

    async def read():
        return [event async for event in EventStream(work)]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert work.has_ended


async def test_what_came_meanwhile_is_had_at_once():
    async with aclosing(EventStream(Work(*map(TextDelta, "abcd"), then=FOREVER))) as stream:
        assert await anext(stream) == TextDelta("a")
        await asyncio.sleep(0.01)
        assert stream.ready() == list(map(TextDelta, "bcd"))
        assert stream.ready() == []


async def test_waiting_for_a_kind_of_event_takes_none():
    events = [Progress("reading"), TextDelta("Yes.")]
    async with aclosing(EventStream(Work(*events))) as stream:
        await stream.until(TextDelta)
        assert stream.ready() == events
        await stream.until(Progress)  # the answer ends without any
        assert await anext(stream) == AnswerCompleted(ANSWER)


async def test_waiting_for_a_kind_of_event_raises_what_comes_before_it():
    stream = EventStream(Work(Progress("reading"), then=BackendUnavailable("Gone.")))
    with pytest.raises(BackendUnavailable):
        await stream.until(TextDelta)


def test_held_events_come_when_they_are_released():
    shown = []
    held = HeldEvents()
    held(TextDelta("Ye"))
    assert shown == []
    held.release(shown.append)
    held(TextDelta("s."))
    assert shown == [TextDelta("Ye"), TextDelta("s.")]
