"""What is measured of one request: the time of each span, the first word, what it cost, how it ended, what went wrong.

Deep code says `with span("rerank")` and knows nothing of who listens; where nobody does, that costs nothing. Whoever
listens is found by a context variable, so threads must be started with the caller's context (`asyncio.to_thread` does).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Self

from rag.errors import RagError
from rag.types.documents import Answer, AnswerCompleted, Candidate, Emit, Event, TextDelta, Usage

Outcome = Literal["answered", "not_found", "refused", "failed", "stopped"]

_current: ContextVar[Recording | None] = ContextVar("recording", default=None)


@dataclass(frozen=True, slots=True)
class Span:
    """A step of the work; `began` in seconds since 1970."""

    name: str
    began: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that is over.

    `outcome`: `refused` without asking a model, because the passages found were too weak; `not_found` by the model
    itself; `stopped` by the reader. `model` is who wrote it, empty where nobody did. `first_word` and `seconds` count
    from the question; `usages` are the tokens by model. `question` and `text` are for the log, if it may have them.
    """

    mode: str
    outcome: Outcome
    seconds: float
    model: str = ""
    first_word: float | None = None
    usages: tuple[tuple[str, Usage], ...] = ()
    question: str = ""
    text: str = ""


@dataclass(slots=True)
class Recording:
    """What is measured of a request; may be added to from several threads until it is over.

    `route` is a template such as `/v1/files/{file_id}`, never what stood in its place; `began` is in seconds since
    1970; `errors` are codes of rag/errors.py; `trace_parent` is the header by which a caller's trace goes on here.
    """

    method: str = ""
    route: str = ""
    status: int = 0
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    request_id: str = ""
    principal: str = ""
    trace_parent: str = ""
    stages: list[Span] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    is_over: bool = False
    _clock: float = field(default_factory=time.perf_counter)

    def end(self, method: str, route: str, status: int) -> Self:
        """The request is over."""
        self.method, self.route, self.status = method, route, status
        self.seconds = time.perf_counter() - self._clock
        self.is_over = True
        return self


@contextmanager
def recorded_in(recording: Recording) -> Iterator[None]:
    """Measure the work of the block in `recording`. No generator may yield inside: its caller's context is another."""
    token = _current.set(recording)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def span(name: str) -> Iterator[None]:
    """The block is one span of the work. Names are few and fixed: each becomes a row of the figures."""
    recording = _current.get()
    if recording is None:
        yield
        return
    began, clock = time.time(), time.perf_counter()
    try:
        yield
    finally:
        recording.stages.append(Span(name, began, time.perf_counter() - clock))


def note_error(code: str) -> None:
    """An error is being told to whoever asked."""
    if (recording := _current.get()) is not None:
        recording.errors.append(code)


CHAT = "CHAT"  # the method of a question that came by no request of its own


async def measured(
    work: Callable[[Emit], Awaitable[Answer]],
    mode: str,
    question: str,
    finish: Callable[[Recording], None],
    emit: Emit,
) -> Answer:
    """What the work answers. What was measured goes to the request that is being answered; a question that belongs to
    none (the chat's come over a WebSocket) or outlives it is one of its own, and `finish` gets it."""
    request = _current.get()
    recording = Recording()
    clock = time.perf_counter()
    first_word: float | None = None
    outcome: Outcome = "stopped"
    failure: RagError | None = None
    answer: Answer | None = None
    usages: list[tuple[str, Usage]] = []

    def emit_measured(event: Event) -> None:
        nonlocal first_word
        words = event.event if isinstance(event, Candidate) else event
        if first_word is None and isinstance(words, TextDelta) and words.text:
            first_word = time.perf_counter() - clock
        if isinstance(event, Candidate) and isinstance(event.event, AnswerCompleted):
            usages.append((event.event.answer.model, event.event.answer.usage))
        emit(event)

    try:
        with recorded_in(recording):
            answer = await work(emit_measured)
        outcome = _outcome(answer)
        if answer.model not in dict(usages):  # else it is one of several candidates
            usages.append((answer.model, answer.usage))
        first_word = time.perf_counter() - clock if first_word is None else first_word
    except RagError as error:
        outcome, failure = "failed", error
        raise
    except Exception as error:
        outcome, failure = "failed", RagError(str(error))
        raise
    finally:
        recording.answers.append(
            Answered(
                mode=mode,
                outcome=outcome,
                seconds=time.perf_counter() - clock,
                model=answer.model if answer else "",
                first_word=first_word,
                usages=tuple(usages),
                question=question,
                text=answer.text if answer else "",
            )
        )
        if request is not None and not request.is_over:
            request.stages += recording.stages
            request.answers += recording.answers
        else:
            if failure is not None:
                recording.errors.append(failure.code)
            finish(recording.end(CHAT, "chat", failure.status if failure else 200))
    return answer


def _outcome(answer: Answer) -> Outcome:
    if answer.found:
        return "answered"
    return "not_found" if answer.usage.completion_tokens else "refused"  # by the gate, which asks no model
