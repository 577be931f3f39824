"""Summarize: all pages of the documents are read once, and one text is written of them that cites the pages.

What fits into the model's window is read in one go. Of more, notes are taken: each call reads as many pages as fit, and
several calls run at once. The text is written from the notes, which are made shorter first where they do not fit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from rag.answering.engine import ChatEngine
from rag.answering.generation import total, write_prompt
from rag.answering.modes.parallel import at_once, merged
from rag.answering.modes.request import Request, require_model
from rag.answering.modes.summarize_notes import Note, NoteTaker
from rag.answering.modes.summarize_pages import Pages, read_pages
from rag.answering.prompt_budget import Prompt
from rag.answering.prompts import NOT_FOUND
from rag.errors import InvalidRequest, PromptTooLong
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    ChunksRetrieved,
    Event,
    Passage,
    Progress,
    QueryCondensed,
    TextDelta,
    Usage,
)

_SMALLEST_WINDOW = 4  # where a server refuses a prompt, the window is halved until it is this part


async def summarize(engine: ChatEngine, request: Request) -> AsyncGenerator[Event, None]:
    """Read everything in the scope, and write what the last message asks of it.

    Raises InvalidRequest where there is no text or no language model, BackendError.
    """
    asked = await engine.prepare(request.messages, request.sampling, from_documents=False)
    require_model(asked.model, "A summary")
    window = asked.model.context_window
    catalog = engine.retriever.index.catalog
    pages = await asyncio.to_thread(read_pages, catalog, request.scope, asked.model.count_tokens, window // 2)
    if not pages.passages:
        raise _nothing_to_read(pages)
    question = await engine.condense(asked)
    if question != asked.question:
        yield QueryCondensed(question)
    while True:
        taker = NoteTaker(replace(asked, model=replace(asked.model, context_window=window)), question)
        try:
            async with aclosing(_write(taker, pages, at_once(asked.model, engine.settings.modes))) as events:
                async for event in events:
                    yield event
        except PromptTooLong:  # the server counts more tokens than we do
            window //= 2
            if window < asked.model.context_window // _SMALLEST_WINDOW:
                raise
        else:
            return


async def _write(taker: NoteTaker, pages: Pages, limit: int) -> AsyncGenerator[Event, None]:
    """The text, from the pages themselves or from notes; ends with AnswerCompleted."""
    doing = f"Reading {_count(pages.pages_with_text, 'page')} in {_count(pages.documents_with_text, 'document')}"
    yield Progress(doing, 0, pages.pages_with_text)
    spent: list[Usage] = []
    notes: list[Note] = []
    taken: dict[int, Note] = {}
    prompt = await asyncio.to_thread(taker.last_prompt_of_pages, pages.passages)
    if prompt is None:
        batches = await asyncio.to_thread(taker.batches, pages.passages)
        unread = Counter(_page(passage) for batch in batches for passage in batch.passages)
        async with aclosing(_take(taker, batches, limit)) as coming:
            async for place, note in coming:
                taken[place] = note
                unread -= Counter(_page(passage) for passage in batches[place].passages)
                yield Progress(doing, pages.pages_with_text - len(unread), pages.pages_with_text)
        spent += [note.usage for note in taken.values()]
        notes = [taken[place] for place in sorted(taken) if taken[place].text]
    while prompt is None and notes:
        prompt = await asyncio.to_thread(taker.last_prompt_of_notes, notes)
        if prompt is None:
            yield Progress(f"Shortening {_count(len(notes), 'note')}")
            groups = await asyncio.to_thread(taker.groups, notes)
            async with aclosing(_take(taker, groups, limit)) as coming:
                taken = {place: note async for place, note in coming}
            spent += [note.usage for note in taken.values()]
            notes = [taken[place] for place in sorted(taken)]
    end = f"\n\n{_what_was_read(pages)}"
    if prompt is None:
        yield TextDelta(NOT_FOUND + end)
        model = taker.asked.model.name
        yield AnswerCompleted(
            Answer(NOT_FOUND + end, (), (), model, found=False, finish_reason="stop", usage=total(spent))
        )
        return
    yield ChunksRetrieved((), prompt.passages)
    async with aclosing(write_prompt(taker.asked.model, prompt, taker.asked.sampling)) as events:
        async for event in events:
            if isinstance(event, AnswerCompleted):
                yield TextDelta(end)
                answer = event.answer
                usage = total([*spent, answer.usage])
                yield AnswerCompleted(replace(answer, text=answer.text + end, usage=usage))
            else:
                yield event


async def _take(
    taker: NoteTaker, prompts: Sequence[Prompt | Note], limit: int
) -> AsyncGenerator[tuple[int, Note], None]:
    """The notes as they come, each with the place of its prompt."""
    async with aclosing(merged([taker.take(prompt) for prompt in prompts], limit)) as coming:
        async for place, note in coming:
            if note is not None:
                yield place, note


def _page(passage: Passage) -> tuple[str, int | None]:
    return passage.document_id, passage.page_index


def _what_was_read(pages: Pages) -> str:
    read, documents = _count(pages.pages_with_text, "page"), _count(pages.documents, "document")
    told = f"Read {read} of {pages.pages} in {documents}."
    return told if pages.pages_with_text == pages.pages else f"{told} The others hold no text."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _nothing_to_read(pages: Pages) -> InvalidRequest:
    what = f"no text in {_count(pages.documents, 'document')}" if pages.documents else "no document"
    return InvalidRequest(
        f"There is nothing to summarise: {what} that was asked for.",
        hint="`ingest ls` lists the documents, and says which hold no text.",
        param="messages",
    )
