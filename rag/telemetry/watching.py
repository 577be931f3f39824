"""Watching an answer while it is made: when its first word came, what it cost, how it ended."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable

from rag.errors import RagError
from rag.telemetry.recording import Answered, Finished, Outcome, Recording, current_recording, recorded_in
from rag.types import Answer, AnswerCompleted, Candidate, Event, TextDelta, Usage

CHAT = "CHAT"  # the method of a question that came by no request of its own


async def watched(
    events: AsyncGenerator[Event, None], mode: str, question: str, finish: Callable[[Finished], None]
) -> AsyncGenerator[Event, None]:
    """The events as they come. What was measured goes to the request that is being answered; a question that belongs to
    none (the chat's come over a WebSocket) or outlives it is one of its own, and `finish` gets it."""
    request = current_recording()
    recording = Recording()
    clock = time.perf_counter()
    first_word: float | None = None
    outcome: Outcome = "stopped"
    failure: RagError | None = None
    answer: Answer | None = None
    usages: list[tuple[str, Usage]] = []
    try:
        while True:
            with recorded_in(recording):
                event = await anext(events, None)
            if event is None:
                break
            told = event.event if isinstance(event, Candidate) else event
            if first_word is None and isinstance(told, TextDelta | AnswerCompleted):
                first_word = time.perf_counter() - clock
            if isinstance(told, AnswerCompleted):
                if isinstance(event, Candidate) or not usages:  # a comparison ends with one of its candidates again
                    usages.append((told.answer.model, told.answer.usage))
                answer, outcome = told.answer, _outcome(told.answer)
            yield event
    except RagError as error:
        outcome, failure = "failed", error
        raise
    except Exception as error:
        outcome, failure = "failed", RagError(str(error))
        raise
    finally:
        await events.aclose()
        recording.answers.append(
            Answered(
                mode,
                outcome,
                time.perf_counter() - clock,
                answer.model if answer else "",
                first_word,
                tuple(usages),
                question,
                answer.text if answer else "",
            )
        )
        if request is not None and not request.is_over:
            request.stages += recording.stages
            request.answers += recording.answers
        else:
            if failure is not None:
                recording.errors.append(failure.code)
            finish(recording.end(CHAT, "chat", failure.status if failure else 200))


def _outcome(answer: Answer) -> Outcome:
    if answer.found:
        return "answered"
    return "not_found" if answer.usage.completion_tokens else "refused"  # by the gate, which asks no model
