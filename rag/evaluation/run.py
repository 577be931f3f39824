"""Asking every question, and noting of each what was expected, what came, and how long it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from rag.evaluation.metrics import Rank
from rag.evaluation.questions import Question
from rag.evaluation.relevance import EvidenceResolver, Expected, holds_any, is_cited, is_in_context, rank
from rag.operations.backend import Backend
from rag.operations.control_protocol import AskRequest, SearchRequest
from rag.retrieval.relevance_gate import best_relevance
from rag.storage.catalog import Catalog
from rag.storage.filters import joined
from rag.storage.selection import EVERYTHING, Selection
from rag.types.documents import Answer, AnswerCompleted, ChunksRetrieved, Claim, Hit, Message

_LIMIT = 20  # hits that are ranked; what the gate and the prompt see is told by the answer
_SHOWN = 5  # hits noted
_BEGINNING = 300  # characters of their text


@dataclass(frozen=True, slots=True)
class Found:
    """A hit as the report shows it: `text` is its beginning, `is_expected` whether it brings expected evidence."""

    title: str
    source: str
    page_label: str | None
    heading: str
    text: str
    is_expected: bool


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """A whole answer: `refused` when it says that the documents do not tell; the last two None where nothing is
    expected. `claims` are its sentences as they were checked against their sources."""

    text: str
    model: str
    refused: bool
    claims: tuple[Claim, ...]
    holds_answer: bool | None
    cites_page: bool | None

    @property
    def doubtful(self) -> list[Claim]:
        """The claims that their sources do not bear out, or only in part."""
        return [claim for claim in self.claims if claim.verdict != "supported"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question.

    `ranks` are those of the expected pieces of relevance, `page_ranks` those of the expected pages. The shares and
    truths are None where nothing is expected. `relevance` is what the gate compared with its threshold.
    """

    question: Question
    unknown: tuple[str, ...]
    ranks: tuple[Rank, ...]
    page_ranks: tuple[Rank, ...]
    document_first: bool | None
    evidence_in_context: float | None
    answer_in_context: bool | None
    relevance: float
    refused: bool
    milliseconds: float
    found: tuple[Found, ...]
    answer: JudgedAnswer | None


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """Asks questions of a collection or a part of it. `catalog` is the backend's, `threshold` the relevance below which
    a question is refused; with answers a model is asked, too, if there is one."""

    backend: Backend
    catalog: Catalog
    collection: str
    threshold: float
    selection: Selection = EVERYTHING
    with_answers: bool = False

    def outcomes(self, questions: Sequence[Question]) -> Generator[Outcome]:
        """Ask one after the other; blocking. Raises what the backend raises."""
        evidence = EvidenceResolver(self.catalog, self.collection)
        with asyncio.Runner() as runner:
            runner.run(self._search(questions[0], self.selection))  # the first search opens files; it is not measured
            for question in questions:
                selection = without(self.selection, evidence.sources(question.without))
                yield runner.run(self._ask(question, evidence.expected(question), selection))

    async def _search(self, question: Question, selection: Selection) -> Sequence[Hit]:
        return await self.backend.search(
            SearchRequest(question=question.question, collection=self.collection, limit=_LIMIT, selection=selection)
        )

    async def _ask(self, question: Question, expected: Expected, selection: Selection) -> Outcome:
        began = time.perf_counter()
        hits = await self._search(question, selection)
        milliseconds = (time.perf_counter() - began) * 1000
        chunks, answer = await self._context_and_answer(question.question, selection)
        relevance = best_relevance(chunks.hits)
        ranks = tuple(rank(target, hits) for target in expected.targets)
        in_context = [is_in_context(target, chunks.passages, chunks.hits) for target in expected.targets]
        wanted = question.answers if question.is_answerable else ()
        return Outcome(
            question=question,
            unknown=expected.unknown,
            ranks=ranks,
            page_ranks=tuple(rank(page, hits) for page in expected.pages),
            document_first=None if expected.documents is None else rank(expected.documents, hits) == 1,
            evidence_in_context=sum(in_context) / len(in_context) if in_context else None,
            answer_in_context=any(holds_any(passage.text, wanted) for passage in chunks.passages) if wanted else None,
            relevance=relevance,
            refused=not chunks.hits or relevance < self.threshold,
            milliseconds=milliseconds,
            found=tuple(_found(hit, place, expected, ranks) for place, hit in enumerate(hits[:_SHOWN], start=1)),
            answer=None if answer is None else _judged(answer, expected, wanted),
        )

    async def _context_and_answer(self, question: str, selection: Selection) -> tuple[ChunksRetrieved, Answer | None]:
        """What went into the prompt, and the answer; without answers the stream is closed before a model is asked."""
        chunks = ChunksRetrieved((), ())
        answer: Answer | None = None
        messages = [Message("user", question)]
        request = AskRequest(messages=messages, collection=self.collection, selection=selection)
        async with aclosing(self.backend.ask(request)) as events:
            async for event in events:
                if isinstance(event, ChunksRetrieved):
                    chunks = event
                    if not self.with_answers:
                        break
                elif isinstance(event, AnswerCompleted):
                    answer = event.answer
        return chunks, answer


def without(selection: Selection, sources: Sequence[str]) -> Selection:
    """The selection less the documents with these sources."""
    left_out = [{"type": "nin", "key": "source", "value": list(sources)}] if sources else []
    given = [] if selection.filters is None else [selection.filters]
    return replace(selection, filters=joined([*given, *left_out]))


def _judged(answer: Answer, expected: Expected, wanted: Sequence[str]) -> JudgedAnswer:
    return JudgedAnswer(
        text=answer.text,
        model=answer.model,
        refused=not answer.found,
        claims=answer.claims,
        holds_answer=holds_any(answer.text, wanted) if wanted else None,
        cites_page=is_cited(expected.pages, answer.citations) if expected.pages else None,
    )


def _found(hit: Hit, place: int, expected: Expected, ranks: Sequence[Rank]) -> Found:
    chunk = hit.chunk
    text = " ".join(chunk.text.split())
    beginning = text if len(text) <= _BEGINNING else f"{text[:_BEGINNING]} …"
    is_expected = place in ranks or any(rank(target, [hit]) for target in expected.targets)
    return Found(hit.title, hit.source, chunk.page_label, chunk.heading, beginning, is_expected)
