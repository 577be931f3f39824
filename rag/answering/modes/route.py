"""Route: a small model answers, and judges what it wrote; what it does badly is answered by a large one.

Its answer is shown when it was found good, not before. It is bad when it says that nothing was found, when it was cut
off, when a sentence of it is not borne out by the source it cites, or when the model itself says so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from rag.answering.engine import ChatEngine, RetrievalResult
from rag.answering.generation import PreparedQuestion, longest_reply, reply
from rag.answering.modes.request import Engines, Request
from rag.answering.prompt_budget import beginning
from rag.answering.prompts import JUDGE
from rag.errors import BackendError, InvalidRequest
from rag.models.chat_template import TURN_TOKENS
from rag.models.models_file import ModelsFile
from rag.models.models_file import Route as RouteEntry
from rag.types.documents import Answer, AnswerCompleted, Event, Message, Progress, QueryCondensed, TextDelta, Usage

logger = logging.getLogger(__name__)

_VERDICT_TOKENS = 3
Who = Literal["small", "large"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one of the two models did: `answers` that were shown, `tokens` read and written in all, and their `cost`."""

    answers: int = 0
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """What the small and the large model did since the program was started."""

    small: Share
    large: Share

    def told(self) -> str:
        """In words; empty where nothing was routed."""
        answers = self.small.answers + self.large.answers
        if not answers:
            return ""
        tokens = f"{self.small.tokens:,} and {self.large.tokens:,} tokens"
        cost = self.small.cost + self.large.cost
        share = f"{self.small.answers} of {answers} routed answers ({self.small.answers / answers:.0%})"
        return f"The small model wrote {share}, with {tokens}, at {cost:.4g} in all."


class RouteCounts:
    """Counts who answered and what it cost, since the program was started; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shares = {"small": Share(), "large": Share()}

    @property
    def shares(self) -> Shares:
        """What was counted so far."""
        with self._lock:
            return Shares(self._shares["small"], self._shares["large"])

    def add(self, who: Who, usage: Usage, entry: RouteEntry, *, answered: bool) -> None:
        """Note a call, and whether its text was shown."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        price = entry.small_cost if who == "small" else entry.large_cost  # of a million tokens
        with self._lock:
            share = self._shares[who]
            self._shares[who] = Share(
                share.answers + answered, share.tokens + tokens, share.cost + tokens * price / 1_000_000
            )


async def route(
    request: Request, engines: Engines, file: ModelsFile, counts: RouteCounts
) -> AsyncGenerator[Event, None]:
    """Answer from the documents, by the small model where it can. Ends with AnswerCompleted, which names who wrote it.

    Raises InvalidRequest where `models.toml` has no route, BackendError when the large model fails.
    """
    if file.route is None:
        raise InvalidRequest(
            "Nobody said which model is the small one, and which the large one.",
            hint="Add a [route] to models.toml: docs/models.md shows one.",
            param="mode",
        )
    small, large = [await asyncio.to_thread(engines, name) for name in (file.route.small, file.route.large)]
    draft = _Draft()
    try:
        async with aclosing(_by_small(small, request, draft)) as events:
            async for event in events:
                yield event
        objection = await _objection(draft, file.route, counts)
    except BackendError as error:
        logger.warning("The small model failed: %s", error)
        objection = error.message
    if draft.answer is not None:
        counts.add("small", draft.answer.usage, file.route, answered=not objection)
    if not objection:
        for event in draft.events:
            yield event
        return
    yield Progress(f"{file.route.large} answers, because: {objection}")
    async with aclosing(_by_large(large, request, draft.finding)) as events:
        async for event in events:
            if isinstance(event, AnswerCompleted):
                counts.add("large", event.answer.usage, file.route, answered=True)
            yield event


@dataclass(slots=True)
class _Draft:
    """What the small model answered, held back: from `finding` to `answer` it fills while the model is at work."""

    asked: PreparedQuestion | None = None
    finding: RetrievalResult | None = None
    events: list[Event] = field(default_factory=list)
    answer: Answer | None = None


async def _by_small(small: ChatEngine, request: Request, draft: _Draft) -> AsyncGenerator[Event, None]:
    """Fill the draft; what is no part of the answer's text is told at once."""
    draft.asked = asked = await small.prepare(request.messages, request.sampling)
    question = await small.condense(asked)
    if question != asked.question:
        yield QueryCondensed(question)
    draft.finding = await small.find(question, request.scope)
    yield Progress(f"{asked.model.name} answers first")
    async with aclosing(small.write(asked, draft.finding)) as events:
        async for event in events:
            if isinstance(event, TextDelta | AnswerCompleted):
                draft.events.append(event)
            else:
                yield event
            if isinstance(event, AnswerCompleted):
                draft.answer = event.answer


async def _by_large(
    large: ChatEngine, request: Request, finding: RetrievalResult | None
) -> AsyncGenerator[Event, None]:
    """The large model's answer, from what was found already."""
    asked = await large.prepare(request.messages, request.sampling)
    if finding is None:
        finding = await large.find(await large.condense(asked), request.scope)
    async with aclosing(large.write(asked, finding)) as events:
        async for event in events:
            yield event


async def _objection(draft: _Draft, entry: RouteEntry, counts: RouteCounts) -> str:
    """What is wrong with the small model's answer; empty where it is good, and where no model was needed for it."""
    asked, finding, answer = draft.asked, draft.finding, draft.answer
    assert asked is not None
    assert finding is not None
    assert answer is not None
    if not finding.enough or asked.model.llm is None:
        return ""
    if not answer.found:
        return "it found no answer"
    if answer.finish_reason == "length":
        return "its answer was cut off"
    if wrong := [claim for claim in answer.claims if claim.verdict == "unsupported"]:
        return f"a source does not bear its answer out ({wrong[0].reason})"
    messages = await asyncio.to_thread(_judging, asked, finding, answer)
    verdict = await reply(asked.model, messages, _VERDICT_TOKENS)
    counts.add("small", verdict.usage, entry, answered=False)
    return "" if verdict.text.lstrip("*\"'_ ").lower().startswith("yes") else "it finds its own answer bad"


def _judging(asked: PreparedQuestion, finding: RetrievalResult, answer: Answer) -> list[Message]:
    """The conversation gone on with: what was sent already costs a server that remembers it nothing again."""
    count = asked.model.count_tokens
    own = count(JUDGE) + 2 * TURN_TOKENS + _VERDICT_TOKENS
    room = longest_reply(asked.model, asked.sampling) + own  # the answer, and what is asked of it
    prompt = replace(asked, sampling=replace(asked.sampling, max_tokens=room)).prompt(finding.passages)
    told = beginning(answer.text, count, prompt.max_tokens - own)
    return [*prompt.messages, Message("assistant", told), Message("user", JUDGE)]
