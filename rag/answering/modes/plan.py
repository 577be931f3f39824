"""Plan: a large request is broken into steps, each is answered from the documents, and the answers are put together.

The steps are worked on at once and shown one after the other, under their headings. Sources are numbered through all of
them: each has one number that is its own in all of the answers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from rag.answering.engine import ChatEngine
from rag.answering.generation import PreparedQuestion, longest_reply, reply, total, write_prompt
from rag.answering.modes.parallel import at_once, in_order
from rag.answering.modes.request import Request, require_model
from rag.answering.prompt_budget import Prompt, fit_prompt
from rag.answering.prompts import CONCLUDE, PLAN
from rag.answering.verification.claims import check_claims
from rag.errors import InvalidRequest
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    ChunksRetrieved,
    Citation,
    Claim,
    Event,
    Hit,
    Message,
    Passage,
    Progress,
    QueryCondensed,
    TextDelta,
)

MOST_STEPS = 5
_PLAN_TOKENS = 300
_STEP = re.compile(r"\W{0,4}(?:step\s*)?\d{1,2}\W{0,2}[.):]\W{0,4}(\S.*)", re.IGNORECASE)
_BULLET = re.compile(r"\s*[-*•–]\s+(\S.*)")


async def plan(engine: ChatEngine, request: Request) -> AsyncGenerator[Event, None]:
    """Answer step by step; a request that is one step is answered as any question. Raises InvalidRequest without a
    language model, BackendError."""
    asked = await engine.prepare(request.messages, request.sampling)
    require_model(asked.model, "A plan")
    question = await engine.condense(asked)
    if question != asked.question:
        yield QueryCondensed(question)
    yield Progress("Planning")
    prompt = await asyncio.to_thread(
        fit_prompt, asked.model, PLAN.format(most=MOST_STEPS), [Message("user", question)], (), _PLAN_TOKENS
    )
    planned = await reply(asked.model, prompt.messages, prompt.max_tokens)
    steps = read_steps(planned.text)
    if len(steps) > 1:
        events = _follow(engine, asked, question, request, steps)
    else:
        events = engine.write(asked, await engine.find(question, request.scope))
    async with aclosing(events):
        async for event in events:
            if isinstance(event, AnswerCompleted):
                yield AnswerCompleted(replace(event.answer, usage=total([planned.usage, event.answer.usage])))
            else:
                yield event


def read_steps(text: str) -> list[str]:
    """The steps that a model wrote, at most five: its numbered lines, else its bullets; else none."""
    for kind in (_STEP, _BULLET):
        found = [match[1].strip(" *_") for line in text.splitlines() if (match := kind.match(line))]
        if found:
            return list(dict.fromkeys(filter(None, found)))[:MOST_STEPS]
    return []


async def _follow(
    engine: ChatEngine, asked: PreparedQuestion, question: str, request: Request, steps: Sequence[str]
) -> AsyncGenerator[Event, None]:
    """Answer the steps, then the question from their answers."""
    for number, step in enumerate(steps, start=1):
        yield Progress(f"Step {number}: {step}", 0, len(steps))
    told = [message for message in request.messages if message.role == "system"]
    streams = [engine.stream([*told, Message("user", step)], request.scope, request.sampling) for step in steps]
    composed = _Composed()
    async with aclosing(in_order(streams, at_once(asked.model, engine.settings.modes))) as numbered_events:
        async for number, event in numbered_events:
            if number == composed.parts:
                yield composed.begin(f"### {number + 1}. {steps[number]}")
            if (shown := await composed.take(event)) is not None:
                yield shown
    if composed.found_parts > 1 and (prompt := await asyncio.to_thread(_last_prompt, asked, question, composed)):
        yield composed.begin("---", prompt.passages)
        async with aclosing(write_prompt(asked.model, prompt, request.sampling)) as events:
            async for event in events:
                if (shown := await composed.take(event)) is not None:
                    yield shown
    yield AnswerCompleted(composed.answer())


def _last_prompt(asked: PreparedQuestion, question: str, composed: _Composed) -> Prompt | None:
    """What has the answers to the steps put together; None where they leave no room for that."""
    rules = "\n\n".join(filter(None, [asked.instructions, CONCLUDE.format(answers=composed.text)]))
    longest = longest_reply(asked.model, asked.sampling)
    try:
        prompt = fit_prompt(asked.model, rules, [Message("user", question)], (), longest)
    except InvalidRequest:
        return None
    return replace(prompt, passages=composed.numbering.passages)


class _Composed:
    """An answer in parts that are written one after the other, with their sources numbered through."""

    def __init__(self) -> None:
        self.numbering = Numbering()
        self.text = ""
        self.parts = 0  # that have begun
        self._answers: list[Answer] = []  # of the parts, as they were written
        self._start = 0  # of the present part, in the text
        self._sources: Sequence[Passage] = ()  # of the present part, numbered as its text cites them
        self._hits: dict[str, Hit] = {}
        self._citations: dict[int, Citation] = {}
        self._claims: list[Claim] = []

    @property
    def found_parts(self) -> int:
        """How many are answers, and not the word that there is none."""
        return sum(answer.found for answer in self._answers)

    def begin(self, heading: str, sources: Sequence[Passage] = ()) -> TextDelta:
        """A new part, under its heading."""
        space = "\n\n" if self.text else ""
        delta = self._write(f"{space}{heading}\n\n")
        self.parts, self._start, self._sources = self.parts + 1, len(self.text), sources
        return delta

    async def take(self, event: Event) -> Event | None:
        """An event of the present part, as one of the whole answer; None for the one that ends it."""
        match event:
            case ChunksRetrieved(hits, passages):
                self._sources = passages
                self._hits |= {hit.chunk.id: hit for hit in hits}
                for passage in passages:
                    self.numbering.number(passage)
                return ChunksRetrieved(tuple(self._hits.values()), self.numbering.passages)
            case TextDelta(text):
                return self._write(self.numbering.renumbered(text, self._sources))
            case AnswerCompleted(answer):
                await asyncio.to_thread(self._complete, answer)
                return None
        return event

    def answer(self) -> Answer:
        """All parts as one answer."""
        return Answer(
            self.text,
            tuple(self._citations.values()),
            self.numbering.passages,
            self._answers[0].model,
            found=self.found_parts > 0,
            finish_reason="length" if any(answer.finish_reason == "length" for answer in self._answers) else "stop",
            usage=total(answer.usage for answer in self._answers),
            claims=tuple(self._claims),
        )

    def _write(self, text: str) -> TextDelta:
        self.text += text
        return TextDelta(text)

    def _complete(self, answer: Answer) -> None:
        self._answers.append(answer)
        numbers = {passage.number: self.numbering.number(passage) for passage in answer.passages}
        for citation in answer.citations:
            number = numbers[citation.number]
            self._citations.setdefault(number, replace(citation, number=number))
        if answer.claims:
            for claim in check_claims(self.text[self._start :], self.numbering.passages):
                self._claims.append(replace(claim, start=claim.start + self._start, end=claim.end + self._start))


_MARKER = re.compile(r"\[(\d{1,3})\]")


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

    def renumbered(self, text: str, passages: Sequence[Passage]) -> str:
        """The text with its markers `[n]`, which cite these passages by their own numbers, as they are here."""
        numbers = {passage.number: passage for passage in passages}

        def renumber(marker: re.Match[str]) -> str:
            passage = numbers.get(int(marker[1]))
            return marker[0] if passage is None else f"[{self.number(passage)}]"

        return _MARKER.sub(renumber, text)
