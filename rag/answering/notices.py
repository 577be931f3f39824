"""What Footnote itself says behind a model's words: that it was stopped, that nothing of them is borne out; and where
it wrote none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from rag.answering.extractive import compose
from rag.answering.replies import reply_to
from rag.telemetry.spans import span
from rag.types.documents import Answer, Citation, Emit, FinishReason, Notice, Passage, TextDelta

Quote = Callable[[Sequence[Passage]], Sequence[Citation]]  # the best that passages say on a question; it blocks

INCOMPLETE: tuple[FinishReason, ...] = ("length", "content_filter")  # how half an answer ends
_DATA = ("{", "[{", "<")  # an answer that begins so is read by a program


async def with_notices(answer: Answer, question: str, emit: Emit, *, is_loop: bool, quote: Quote | None) -> Answer:
    """The answer, followed by what is to be said of it, in the language of the question; that is emitted.

    Where each claim is `unsupported`, the best quotes of the answer's passages stand below, numbered as the passages;
    that is not said of half an answer, and without `quote` nothing is said of it. What is added claims nothing.
    """
    if is_loop:
        answer = await with_notice(answer, "repeated", question, (), emit)
    if quote and answer.found and is_whole_prose(answer) and _nothing_is_borne_out(answer):
        with span("quote"):
            quotes = await asyncio.to_thread(quote, answer.passages)
        if quotes:
            answer = await with_notice(answer, "not_borne_out", question, quotes, emit)
    return answer


def is_whole_prose(answer: Answer) -> bool:
    """Whether something may be said behind it: it was not cut off, and is no data that a program reads."""
    return answer.finish_reason not in INCOMPLETE and not answer.text.lstrip().startswith(_DATA)


def _nothing_is_borne_out(answer: Answer) -> bool:
    return bool(answer.claims) and all(claim.verdict == "unsupported" for claim in answer.claims)


async def without_words(answer: Answer, question: str, emit: Emit, max_tokens: int, *, is_json: bool) -> Answer:
    """An answer for which the model wrote nothing but thoughts, with why in place of its words; a program that reads
    JSON gets that as a notice alone."""
    notice: Notice = "withheld" if answer.finish_reason == "content_filter" else "no_answer"
    if answer.thoughts and answer.finish_reason == "length":
        notice = "only_thoughts"
    answer = replace(answer, text="", found=False)
    if is_json:
        return replace(answer, notices=(notice,))
    return await with_notice(answer, notice, question, (), emit, tokens=max_tokens)


async def with_notice(
    answer: Answer, notice: Notice, question: str, quotes: Sequence[Citation], emit: Emit, **values: object
) -> Answer:
    """The answer, followed by the notice in the language of the question and by the quotes; that is emitted. `values`
    are filled in."""
    sentence = await asyncio.to_thread(partial(reply_to, question, notice, **values))
    added = ("\n\n" if answer.text else "") + compose(sentence, quotes)
    for paragraph in added.splitlines(keepends=True):
        emit(TextDelta(paragraph))
    cited = {citation.number: citation for citation in (*answer.citations, *reversed(quotes))}  # the best one stays
    return replace(answer, text=answer.text + added, citations=tuple(cited.values()), notices=(*answer.notices, notice))
