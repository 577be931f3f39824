"""Summarize: all pages of the documents are read once, and one text is written of them that cites the pages.

What fits into the model's window is read in one go. Of more, notes are taken: each call reads as many pages as fit, and
several calls run at once. The text is written from the notes, which are made shorter first where they do not fit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from rag.answering.engine import ChatEngine
from rag.answering.generation import smaller_window, total, write_prompt
from rag.answering.modes.parallel import at_once, in_parallel
from rag.answering.modes.request import Request, require_model
from rag.answering.modes.summarize_notes import Note, NoteTaker
from rag.answering.modes.summarize_pages import Pages, read_pages
from rag.answering.prompt_budget import Prompt
from rag.answering.replies import reply_to
from rag.errors import InvalidRequest, PromptTooLong
from rag.types.chat import Sampling
from rag.types.documents import Answer, ChunksRetrieved, Emit, Passage, Progress, TextDelta, Usage

_SMALLEST_WINDOW = 16  # where a server refuses a prompt, the window is made smaller until it is this part


async def summarize(engine: ChatEngine, request: Request, emit: Emit) -> Answer:
    """Read everything in the scope, and write what the last message asks of it.

    Raises InvalidRequest where there is no text or no language model, BackendError.
    """
    modes = engine.settings.modes
    own = Sampling(max_tokens=modes.summary_max_tokens, temperature=modes.summary_temperature)
    prepared = await engine.prepare(request.messages, request.sampling.over(own), system="", from_documents=False)
    require_model(prepared.model, "A summary")
    window = prepared.model.context_window
    catalog = engine.retriever.index.catalog
    pages = await asyncio.to_thread(read_pages, catalog, request.scope, prepared.model.count_tokens, window // 2)
    if not pages.passages:
        raise _nothing_to_read(pages)
    question = await engine.condense(prepared, emit)
    while True:
        taker = NoteTaker(replace(prepared, model=replace(prepared.model, context_window=window)), question)
        try:
            return await _write(taker, pages, at_once(prepared.model, engine.settings.modes), emit)
        except PromptTooLong as error:  # the server counts more tokens than we do, or reads fewer
            window = smaller_window(window, error) if error.limit else window // 2
            if window < prepared.model.context_window // _SMALLEST_WINDOW:
                raise


async def _write(taker: NoteTaker, pages: Pages, limit: int, emit: Emit) -> Answer:
    """The text, from the pages themselves or from notes."""
    prompt = await asyncio.to_thread(taker.last_prompt_of_pages, pages.passages)
    usages: list[Usage] = []
    notes: list[Note] = []
    doing = f"Reading {_count(pages.pages_with_text, 'page')} in {_count(pages.documents_with_text, 'document')}"
    emit(Progress(doing, 0, pages.pages_with_text))
    if prompt is None:
        batches = await asyncio.to_thread(taker.batches, pages.passages)
        unread = Counter(_page(passage) for batch in batches for passage in batch.passages)

        async def take(batch: Prompt) -> Note:
            nonlocal unread
            note = await taker.take(batch)
            unread -= Counter(_page(passage) for passage in batch.passages)
            emit(Progress(doing, pages.pages_with_text - len(unread), pages.pages_with_text))
            return note

        notes = await in_parallel(take, batches, limit)
        usages += [note.usage for note in notes]
        notes = [note for note in notes if note.text]
    while prompt is None and notes:
        prompt = await asyncio.to_thread(taker.last_prompt_of_notes, notes)
        if prompt is None:
            emit(Progress(f"Shortening {_count(len(notes), 'note')}"))
            notes = await in_parallel(taker.take, await asyncio.to_thread(taker.groups, notes), limit)
            usages += [note.usage for note in notes]
    if prompt is None:
        not_found = await asyncio.to_thread(reply_to, taker.prepared.question, "not_found")
        emit(TextDelta(not_found))
        answer = Answer(not_found, (), (), taker.model.name, found=False, finish_reason="stop", usage=Usage(0, 0))
    else:
        emit(ChunksRetrieved((), prompt.passages))
        answer = await write_prompt(taker.model, prompt, taker.prepared.sampling, emit)
    end = f"\n\n{_what_was_read(taker.prepared.question, pages)}"
    emit(TextDelta(end))
    return replace(answer, text=answer.text + end, usage=total([*usages, answer.usage]))


def _page(passage: Passage) -> tuple[str, int | None]:
    return passage.document_id, passage.page_index


def _what_was_read(question: str, pages: Pages) -> str:
    name = "read_many" if pages.documents > 1 else "read_one" if pages.pages_with_text > 1 else "read_page"
    values = {"read": pages.pages_with_text, "pages": pages.pages, "documents": pages.documents}
    summary = reply_to(question, name, **values)
    return summary if pages.pages_with_text == pages.pages else f"{summary} {reply_to(question, 'others')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _nothing_to_read(pages: Pages) -> InvalidRequest:
    what = f"no text in {_count(pages.documents, 'document')}" if pages.documents else "no document"
    return InvalidRequest(
        f"There is nothing to summarise: {what} that was asked for.",
        hint="`ingest ls` lists the documents, and says which hold no text.",
        param="messages",
    )
