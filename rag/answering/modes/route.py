"""Route: a small model answers, and judges what it wrote; what it does badly is answered by a large one.

Its answer is shown when it was found good, not before; else it is kept beside the large one's, as a candidate. It is
bad when it says that nothing was found, when it was cut off, when it repeats itself, when a sentence of it is not borne
out by the source it cites, or when the model itself says so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, replace
from typing import Literal

from rag.answering.engine import RetrievalResult
from rag.answering.event_stream import HeldEvents
from rag.answering.generation import PreparedQuestion, longest_reply, reply
from rag.answering.modes.request import Engines, Request
from rag.answering.notices import INCOMPLETE
from rag.answering.prompt_budget import beginning
from rag.answering.prompts import JUDGE
from rag.errors import BackendError, InvalidRequest, words_for_caller
from rag.models.chat_template import TURN_TOKENS
from rag.models.models_file import ModelsFile
from rag.models.models_file import Route as RouteEntry
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    Candidate,
    Emit,
    Message,
    Progress,
    TextDelta,
    ThoughtDelta,
    Usage,
)

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


async def route(request: Request, engines: Engines, file: ModelsFile, counts: RouteCounts, emit: Emit) -> Answer:
    """Answer from the documents, by the small model where it can.

    Raises InvalidRequest where `models.toml` has no route, BackendError when the large model fails.
    """
    if file.route is None:
        raise InvalidRequest(
            "Nobody said which model is the small one, and which the large one.",
            hint="Add a [route] to models.toml: docs/models.md shows one.",
            param="mode",
        )
    small, large = [await asyncio.to_thread(engines, name) for name in (file.route.small, file.route.large)]
    held = HeldEvents()
    result: RetrievalResult | None = None
    draft: Answer | None = None
    try:
        prepared = await small.prepare(request.messages, request.sampling)
        result = await small.find(await small.condense(prepared, emit), request.scope)
        emit(Progress(f"{prepared.model.name} answers first"))
        draft = await small.write(
            prepared, result, lambda event: (held if isinstance(event, TextDelta | ThoughtDelta) else emit)(event)
        )
        objection = await _objection(prepared, result, draft, file.route, counts)
    except BackendError as error:
        logger.warning("The small model failed: %s", error)
        objection = words_for_caller(error)[0]
    if draft is not None:
        counts.add("small", draft.usage, file.route, answered=not objection)
        if not objection:
            held.release(emit)
            return draft
        emit(Candidate(draft.model, AnswerCompleted(draft)))
    emit(Progress(f"{file.route.large} answers, because: {objection}"))
    prepared = await large.prepare(request.messages, request.sampling)
    if result is None:
        result = await large.find(await large.condense(prepared), request.scope)
    answer = await large.write(prepared, result, emit)
    counts.add("large", answer.usage, file.route, answered=True)
    return answer


async def _objection(
    prepared: PreparedQuestion, result: RetrievalResult, answer: Answer, entry: RouteEntry, counts: RouteCounts
) -> str:
    """What is wrong with the small model's answer; empty where it is good, and where no model was needed for it."""
    if not result.enough or prepared.model.llm is None:
        return ""
    if not answer.found:
        return "it found no answer"
    if answer.finish_reason in INCOMPLETE:
        return "its answer was cut off"
    if "repeated" in answer.notices:
        return "it repeated itself"
    if wrong := [claim for claim in answer.claims if claim.verdict == "unsupported"]:
        return f"a source does not bear its answer out ({wrong[0].reason})"
    messages = await asyncio.to_thread(_judging, prepared, result, answer)
    verdict = await reply(prepared.model, messages, _VERDICT_TOKENS)
    counts.add("small", verdict.usage, entry, answered=False)
    return "" if verdict.text.lstrip("*\"'_ ").lower().startswith("yes") else "it finds its own answer bad"


def _judging(prepared: PreparedQuestion, result: RetrievalResult, answer: Answer) -> list[Message]:
    """The conversation gone on with: what was sent already costs a server that remembers it nothing again."""
    count = prepared.model.count_tokens
    own = count(JUDGE) + 2 * TURN_TOKENS + _VERDICT_TOKENS
    room = longest_reply(prepared.model, prepared.sampling) + own  # the answer, and what is asked of it
    prompt = replace(prepared, sampling=replace(prepared.sampling, max_tokens=room)).prompt(result.passages)
    answer_text = beginning(answer.text, count, prompt.max_tokens - own)
    return [*prompt.messages, Message("assistant", answer_text), Message("user", JUDGE)]
