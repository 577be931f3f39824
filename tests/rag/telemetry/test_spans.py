"""How answers are measured: by whom they were written, what they cost, how they ended; in the chat, too."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial

import pytest

from rag.answering.event_stream import EventStream
from rag.errors import BackendUnavailable
from rag.telemetry.spans import Recording, measured, recorded_in, span
from rag.types.documents import Answer, AnswerCompleted, Candidate, Progress, TextDelta, Usage


def answer(model="tiny", *, found=True, tokens=5):
    return Answer("Yes.", (), (), model, found, "stop", Usage(10 * bool(tokens), tokens))


def answering(*items, error=None):
    """Work that emits these and then fails, or else returns the last one."""

    async def work(emit):
        events = items if error else items[:-1]
        with span("generate"):
            for event in events:
                emit(event)
                await asyncio.sleep(0)
        if error:
            raise error
        return items[-1]

    return work


def measured_stream(work, mode, question, finish):
    return EventStream(partial(measured, work, mode, question, finish))


async def follow(*items, error=None, until=None):
    """The only request that was told of, and what the reader saw."""
    told, seen = [], []
    async with aclosing(measured_stream(answering(*items, error=error), "documents", "Why?", told.append)) as events:
        try:
            async for event in events:
                seen.append(event)
                if event == until:
                    break
        except BackendUnavailable:
            seen.append("error")
    [finished] = told
    return finished, seen


@pytest.mark.parametrize(
    ("completed", "outcome"),
    [
        (answer(), "answered"),
        (answer(found=False), "not_found"),
        (answer(found=False, tokens=0), "refused"),
    ],
)
async def test_a_question_of_the_chat_is_a_request_of_its_own(completed, outcome):
    events = [Progress("reading"), TextDelta("Yes.")]
    finished, seen = await follow(*events, completed)
    assert seen == [*events, AnswerCompleted(completed)]
    assert (finished.method, finished.route, finished.status) == ("CHAT", "chat", 200)
    [answered] = finished.answers
    assert (answered.mode, answered.outcome, answered.model) == ("documents", outcome, "tiny")
    assert answered.usages == (("tiny", completed.usage),)
    assert 0 < answered.first_word <= answered.seconds <= finished.seconds
    assert [span.name for span in finished.stages] == ["generate"]


async def test_tokens_of_a_comparison_are_counted_once_for_each_model():
    first, second = AnswerCompleted(answer("one", tokens=3)), AnswerCompleted(answer("two", tokens=4))
    finished, _ = await follow(
        Candidate("one", TextDelta("Yes.")), Candidate("one", first), Candidate("two", second), first.answer
    )
    assert [(name, usage.completion_tokens) for name, usage in finished.answers[0].usages] == [("one", 3), ("two", 4)]
    assert finished.answers[0].model == "one"


async def test_failures_and_readers_who_leave():
    finished, seen = await follow(TextDelta("Ye"), error=BackendUnavailable("gone"))
    assert seen[-1] == "error"
    assert (finished.status, finished.errors, finished.answers[0].outcome) == (503, ["backend_unavailable"], "failed")
    finished, _ = await follow(TextDelta("Ye"), TextDelta("s."), answer(), until=TextDelta("Ye"))
    assert (finished.errors, finished.answers[0].outcome) == ([], "stopped")


async def test_within_a_request_it_belongs_to_that():
    recording, told = Recording(), []
    with recorded_in(recording):
        seen = [event async for event in measured_stream(answering(answer()), "chat", "", told.append)]
    assert len(seen) == 1
    assert told == []
    assert [answered.mode for answered in recording.answers] == ["chat"]


async def test_what_outlives_its_request_is_one_of_its_own():
    recording, told = Recording(), []
    with recorded_in(recording):
        events = measured_stream(answering(TextDelta("Ye"), answer()), "chat", "", told.append)
        assert await anext(events) == TextDelta("Ye")
        recording.end("POST", "/ws/socket.io", 200)
        assert len([event async for event in events]) == 1
    assert [finished.method for finished in told] == ["CHAT"]
    assert recording.answers == []


async def test_stages_of_several_requests_at_once_are_not_mixed_up():
    gate = threading.Barrier(8)

    def work(number):
        with span(f"span {number}"):
            gate.wait(10)

    async def request(number):
        recording = Recording()
        with recorded_in(recording):
            await asyncio.to_thread(work, number)
        return [span.name for span in recording.stages]

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(8))
    assert await asyncio.gather(*map(request, range(8))) == [[f"span {number}"] for number in range(8)]
