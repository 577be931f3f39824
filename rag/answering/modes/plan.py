"""Plan: a large request is broken into steps, each is answered from the documents, and the answers are put together.

The steps are worked on at once and shown one after the other, under their headings. Sources are numbered through all of
them: each has one number that is its own in all of the answers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from rag.answering.engine import ChatEngine
from rag.answering.event_stream import HeldEvents
from rag.answering.generation import PreparedQuestion, longest_reply, reply, total, write_prompt
from rag.answering.modes.parallel import at_once, started
from rag.answering.modes.request import Request, require_model
from rag.answering.notices import INCOMPLETE
from rag.answering.prompt_budget import Prompt, fit_prompt
from rag.answering.prompts import CONCLUDE, PLAN
from rag.answering.verification.claims import check_claims
from rag.errors import InvalidRequest
from rag.text.markers import MarkerFilter
from rag.types.documents import (
    Answer,
    ChunksRetrieved,
    Citation,
    Claim,
    Emit,
    Event,
    Hit,
    Message,
    Passage,
    Progress,
    TextDelta,
)

MOST_STEPS = 10
_PLAN_TOKENS = 300
_STEP = re.compile(r"\W{0,4}(?:step\s*)?\d{1,2}\W{0,2}[.):]\W{0,4}(\S.*)", re.IGNORECASE)
_BULLET = re.compile(r"\s*[-*•–]\s+(\S.*)")


async def plan(engine: ChatEngine, request: Request, emit: Emit) -> Answer:
    """Answer step by step; a request that is one step is answered as any question. Raises InvalidRequest without a
    language model, BackendError."""
    prepared = await engine.prepare(request.messages, request.sampling)
    require_model(prepared.model, "A plan")
    question = await engine.condense(prepared, emit)
    emit(Progress("Planning"))
    turns = [Message("user", question)] if engine.retrieves else prepared.conversation
    prompt = await asyncio.to_thread(fit_prompt, prepared.model, PLAN.format(most=MOST_STEPS), turns, (), _PLAN_TOKENS)
    planned = await reply(prepared.model, prompt.messages, prompt.max_tokens)
    steps = read_steps(planned.text)
    if len(steps) > 1:
        answer = await _follow(engine, prepared, question, request, steps, emit)
    else:
        answer = await engine.write(prepared, await engine.find(question, request.scope), emit)
    return replace(answer, usage=total([planned.usage, answer.usage]))


def read_steps(text: str) -> list[str]:
    """The steps that a model wrote, the first ten: its numbered lines, else its bullets; else none."""
    for kind in (_STEP, _BULLET):
        found = [match[1].strip(" *_") for line in text.splitlines() if (match := kind.match(line))]
        if found:
            return list(dict.fromkeys(filter(None, found)))[:MOST_STEPS]
    return []


async def _follow(
    engine: ChatEngine, prepared: PreparedQuestion, question: str, request: Request, steps: Sequence[str], emit: Emit
) -> Answer:
    """Answer the steps, then the question from their answers."""
    for number, step in enumerate(steps, start=1):
        emit(Progress(f"Step {number}: {step}", 0, len(steps)))
    system = [message for message in request.messages if message.role == "system"]
    held = [HeldEvents() for _ in steps]

    async def answer(number: int) -> Answer:
        messages = [*system, Message("user", steps[number])]
        return await engine.answer(messages, request.scope, request.sampling, emit=held[number])

    composed = _Composed(emit)
    async with started(answer, range(len(steps)), at_once(prepared.model, engine.settings.modes)) as tasks:
        for number, task in enumerate(tasks):
            composed.begin(f"### {number + 1}. {steps[number]}")
            held[number].release(composed.take)
            await composed.complete(await task)
    if composed.found_parts > 1 and (prompt := await asyncio.to_thread(_last_prompt, prepared, question, composed)):
        composed.begin("---", prompt.passages)
        await composed.complete(await write_prompt(prepared.model, prompt, request.sampling, composed.take))
    return composed.answer()


def _last_prompt(prepared: PreparedQuestion, question: str, composed: _Composed) -> Prompt | None:
    """What has the answers to the steps put together; None where they leave no room for that."""
    rules = "\n\n".join(filter(None, [prepared.instructions, CONCLUDE.format(answers=composed.text)]))
    longest = longest_reply(prepared.model, prepared.sampling)
    try:
        prompt = fit_prompt(prepared.model, rules, [Message("user", question)], (), longest)
    except InvalidRequest:
        return None
    return replace(prompt, passages=composed.numbering.passages)


class _Composed:
    """An answer in parts that are written one after the other, with their sources numbered through."""

    def __init__(self, emit: Emit) -> None:
        self.numbering = Numbering()
        self.text = ""
        self._emit = emit
        self._answers: list[Answer] = []  # of the parts, as they were written
        self._heading = ""  # of the present part, as long as nothing of it has come
        self._start = 0  # of the present part, in the text
        self._markers: MarkerFilter | None = None  # of the present part, where it has sources
        self._hits: dict[str, Hit] = {}
        self._citations: dict[int, Citation] = {}
        self._claims: list[Claim] = []

    @property
    def found_parts(self) -> int:
        """How many are answers, and not the word that there is none."""
        return sum(answer.found for answer in self._answers)

    def begin(self, heading: str, sources: Sequence[Passage] = ()) -> None:
        """What comes now is a new part; its heading is written with the first sign of it."""
        self._heading, self._markers = heading, None
        self._renumber(sources)

    def take(self, event: Event) -> None:
        """Emit an event of the present part as one of the whole answer."""
        if self._heading:
            space = "\n\n" if self.text else ""
            self._write(f"{space}{self._heading}\n\n")
            self._heading, self._start = "", len(self.text)
        match event:
            case ChunksRetrieved(hits, passages):
                self._hits |= {hit.chunk.id: hit for hit in hits}
                self._renumber(passages)  # also when the part has begun: what was shown of it keeps its numbers
                self._emit(ChunksRetrieved(tuple(self._hits.values()), self.numbering.passages))
            case TextDelta(text):
                self._write(self._markers.feed(text) if self._markers else text)
            case _:
                self._emit(event)

    async def complete(self, answer: Answer) -> None:
        """The present part is whole."""
        if self._markers:
            self._write(self._markers.flush())
        await asyncio.to_thread(self._complete, answer)

    def answer(self) -> Answer:
        """All parts as one answer."""
        ends = {answer.finish_reason for answer in self._answers}
        return Answer(
            self.text,
            tuple(self._citations.values()),
            self.numbering.passages,
            self._answers[0].model,
            found=self.found_parts > 0,
            finish_reason=next((reason for reason in INCOMPLETE if reason in ends), "stop"),
            usage=total(answer.usage for answer in self._answers),
            claims=tuple(self._claims),
            notices=tuple(dict.fromkeys(notice for answer in self._answers for notice in answer.notices)),
            thoughts="\n\n".join(answer.thoughts for answer in self._answers if answer.thoughts),
        )

    def _renumber(self, sources: Sequence[Passage]) -> None:
        """The present part cites these by their own numbers: they are shown as those that they have here."""
        if self._markers:
            self._markers.numbers = self.numbering.numbers(sources)
        elif sources:
            self._markers = MarkerFilter(self.numbering.numbers(sources))

    def _write(self, text: str) -> None:
        if text:
            self.text += text
            self._emit(TextDelta(text))

    def _complete(self, answer: Answer) -> None:
        self._answers.append(answer)
        numbers = self.numbering.numbers(answer.passages)
        for citation in answer.citations:
            number = numbers[citation.number]
            self._citations.setdefault(number, replace(citation, number=number))
        if answer.claims:
            claims = check_claims(self.text[self._start :], self.numbering.passages)
            # What Footnote says behind the model's words claims nothing: the model's claims are the first.
            for claim, written in zip(claims, answer.claims, strict=False):
                start, end = claim.start + self._start, claim.end + self._start
                self._claims.append(replace(claim, start=start, end=end, attributed=written.attributed))


class Numbering:
    """Numbers passages from 1, in the order in which it is told of them; the same piece of a page only once."""

    def __init__(self) -> None:
        self._passages: dict[tuple[str, int | None, int, int], Passage] = {}

    @property
    def passages(self) -> tuple[Passage, ...]:
        """All of them, by number."""
        return tuple(self._passages.values())

    def number(self, passage: Passage) -> int:
        """Its number here, whatever it had before."""
        place = (passage.document_id, passage.page_index, passage.start, passage.end)
        if place not in self._passages:
            self._passages[place] = replace(passage, number=len(self._passages) + 1)
        return self._passages[place].number

    def numbers(self, passages: Sequence[Passage]) -> dict[int, int]:
        """Their numbers here, by those they have."""
        return {passage.number: self.number(passage) for passage in passages}

    def renumbered(self, text: str, passages: Sequence[Passage]) -> str:
        """The text with its markers `[n]`, which cite these passages by their own numbers, as they are here."""
        markers = MarkerFilter(self.numbers(passages))
        return markers.feed(text) + markers.flush()
