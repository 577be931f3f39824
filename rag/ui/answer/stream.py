"""Shows an answer while it comes: grey lines for what is being done, the text, and footnotes at the end.

Of several models each has a message of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import chainlit as cl
from chainlit.utils import utc_now

from rag.errors import RagError, words_for_caller
from rag.types.documents import (
    AnswerCompleted,
    Candidate,
    ChunksRetrieved,
    MessageClassified,
    Progress,
    QueryCondensed,
    TextDelta,
    ThoughtDelta,
)
from rag.ui.answer.claims import check_of, statements
from rag.ui.answer.footnotes import elements, footnotes
from rag.ui.answer.resume import ANSWERING
from rag.ui.answer.search_trace import search_trace
from rag.ui.markdown import escape, linked, plain_line, presentable, without_unknown_links
from rag.ui.translations import current_translations
from rag.ui.turns import turn_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence

    from rag.answering.modes.request import Mode
    from rag.storage.catalog import Catalog
    from rag.types.documents import Answer, Event, Hit, Passage
    from rag.ui.translations import Translations


SEARCHING: tuple[Mode, ...] = ("documents", "route", "compare")  # the modes that search for the question itself


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question: the answer's text, or what there was of it when it was stopped or broke off, and the
    answers of all models where several were asked, and the passages that were read."""

    text: str
    candidates: dict[str, Answer] = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()


async def show(
    events: AsyncGenerator[Event, None], catalog: Catalog, mode: Mode, expected_model: str, question: cl.Message
) -> Outcome:
    """Show the events as they come, for that question. An answer by another model than
    `expected_model` says so; empty: every answer does.

    An answer that breaks off stays, marked as incomplete. Raises RagError when nothing of it came.
    """
    condensed_as = "searched_for" if mode in SEARCHING else "understood_as"
    shown = _ShownAnswer(catalog, current_translations(), condensed_as, expected_model, question)
    cl.user_session.set(ANSWERING, shown.messages)
    try:
        async with aclosing(events):
            async for event in events:
                await shown.take(event)
    except asyncio.CancelledError:  # the stop button
        pass
    except RagError as error:
        if not shown.text:
            raise
        await shown.break_off(error)
    finally:
        await shown.end()
    return Outcome(shown.text, shown.in_order(), shown.passages)


def _shown(answer: Answer, numbers: Collection[int], question: str) -> str:
    """The text of an answer with marks as links, and with other links only where its passages or the question have
    them."""
    text = answer.text
    if answer.passages:
        text = without_unknown_links(text, "\n".join([question, *(passage.text for passage in answer.passages)]))
    return linked(presentable(text), numbers)


class _ShownAnswer:
    """The messages and the step of one answer, in the browser."""

    def __init__(
        self, catalog: Catalog, translations: Translations, condensed_as: str, expected_model: str, question: cl.Message
    ) -> None:
        self.messages: dict[str, cl.Message] = {}  # that were begun; of several models by name, else one by ""
        self.passages: tuple[Passage, ...] = ()
        self.text = ""  # what was written; of several models, by the first one
        self._candidates: dict[str, Answer] = {}
        self._catalog = catalog
        self._translations = translations
        self._query = ""  # what was searched for, where it is not the question
        self._condensed_as = condensed_as
        self._expected_model = expected_model
        self._question = question
        self._step: cl.Step | None = None
        self._search: cl.Step | None = None
        self._thoughts: dict[str, cl.Step] = {}  # folded, by model, as long as it thinks

    def in_order(self) -> dict[str, Answer]:
        """The answers of several models, in the order in which they are shown."""
        return {model: self._candidates[model] for model in self.messages if model in self._candidates}

    async def take(self, event: Event) -> None:
        match event:
            case MessageClassified(kind):
                await _note(self._translations(f"kind_{kind}"), "signpost")
            case QueryCondensed(question):
                self._query = plain_line(question)
                await _note(self._translations(self._condensed_as, question=self._query), "search")
            case ChunksRetrieved(hits, passages):
                self.passages = passages
                await self._note_search(hits)
            case Progress(doing, done, total):
                doing = self._translations.of_engine(plain_line(doing))
                values = {"doing": doing, "done": done, "total": total}
                await self._progress(self._translations("progress", **values) if total else doing)
            case ThoughtDelta(text):
                await self._think("", text)
            case TextDelta(text):
                await self._write("", text)
            case Candidate(model, event):
                await self._take_candidate(model, event)
            case AnswerCompleted(answer):
                self.text = answer.text
                if not any(self.messages):  # else it is that of one of several models, which is shown already
                    await self._complete("", answer)

    async def _take_candidate(self, model: str, event: TextDelta | ThoughtDelta | AnswerCompleted) -> None:
        if isinstance(event, ThoughtDelta):
            await self._think(model, event.text)
        elif isinstance(event, TextDelta):
            await self._write(model, event.text)
        elif model not in self.messages and event.answer.text:  # a draft, of which nothing was shown
            await _note(self._translations("draft", model=plain_line(model)), "pencil", presentable(event.answer.text))
        else:
            self._candidates[model] = event.answer
            await self._complete(model, event.answer)

    async def break_off(self, error: RagError) -> None:
        """Mark what is unfinished."""
        for message in self.messages.values():
            if message.streaming:
                message.content = f"{presentable(str(message.content))}\n\n⚠ {self._translations('incomplete')} "
                message.content += escape(" ".join(words_for_caller(error)).strip())

    async def end(self) -> None:
        """Nothing more will come: what is unfinished loses its cursor."""
        for model in list(self._thoughts):
            await self._end_thoughts(model)
        for message in self.messages.values():
            if message.streaming:
                self._set_metadata(message)
                await message.send()
        if self._step is not None:
            self._step.end = utc_now()
            self._step.icon = "check"
            await self._step.update()

    async def _note_search(self, hits: Sequence[Hit]) -> None:
        """One grey line on what is read, which opens on where was looked; written anew when passages are left out, or
        have other numbers."""
        text = _found(self.passages, self._translations)
        trace = search_trace(self._query, hits, self.passages, self._translations)
        metadata = turn_metadata(self._question.id, None, self.passages)
        if self._search is None:
            self._search = await _note(text, "book-open", trace, metadata)
        else:
            self._search.name, self._search.output, self._search.metadata = text, trace, metadata
            await self._search.update()

    async def _think(self, model: str, text: str) -> None:
        """Thoughts come into a step of their own, which opens where it is clicked."""
        if model not in self._thoughts:
            if not text.strip():
                return
            name = self._translations("thoughts_of", model=model) if model else self._translations("thoughts")
            metadata = turn_metadata(self._question.id, None, self.passages)  # they may quote what was read
            self._thoughts[model] = _step(name, "tool", "brain", metadata)
            await self._thoughts[model].send()
        await self._thoughts[model].stream_token(text)

    async def _end_thoughts(self, model: str) -> None:
        if (step := self._thoughts.pop(model, None)) is not None:
            step.output = presentable(without_unknown_links(str(step.output).strip(), self._question.content))
            step.end = utc_now()
            await step.update()

    async def _write(self, model: str, text: str) -> None:
        if text:
            await self._end_thoughts(model)
        message = await self._message(model)
        if message is self._first:
            self.text += text
        await message.stream_token(text)

    async def _message(self, model: str) -> cl.Message:
        """The message with that model's answer, begun with its name where there are several."""
        if model not in self.messages:
            self.messages[model] = cl.Message("", author=model or None)
            if model:
                await self.messages[model].stream_token(_heading(model))
        return self.messages[model]

    @property
    def _first(self) -> cl.Message:
        return next(iter(self.messages.values()))

    async def _complete(self, model: str, answer: Answer) -> None:
        await self._end_thoughts(model)
        message = await self._message(model)
        numbers = {citation.number for citation in answer.citations}
        text = await asyncio.to_thread(_shown, answer, numbers, self._question.content)
        is_signed = not model and answer.model and answer.model != self._expected_model
        signature = f"*{self._translations('answered_by', model=escape(answer.model))}*" if is_signed else ""
        message.content = _heading(model) + "\n\n".join(filter(None, [text, signature]))
        by_number = await asyncio.to_thread(statements, answer, self._translations)
        notes = await asyncio.to_thread(footnotes, answer.citations, self._catalog, self._translations, by_number)
        doubts = [statement for cited in by_number.values() for statement in cited if statement.verdict != "supported"]
        check = check_of(answer, self._translations)
        message.elements = elements(message.id, cl.context.session.thread_id, notes, doubts, check)
        self._set_metadata(message)
        await message.send()

    def _set_metadata(self, message: cl.Message) -> None:
        """What is kept with it; of several models' answers the first one is the one the conversation goes on with."""
        text = self.text if message is self._first else None
        message.metadata = turn_metadata(self._question.id, text, self.passages)

    async def _progress(self, text: str) -> None:
        """One grey line that changes."""
        if self._step is None:
            self._step = _step(text, "tool", "loader")
            await self._step.send()
        elif self._step.name != text:
            self._step.name = text
            await self._step.update()


def _heading(model: str) -> str:
    return f"**{escape(model)}**\n\n" if model else ""


def _found(passages: Sequence[Passage], translations: Translations) -> str:
    if not passages:
        return translations("found_nothing")
    count = translations.counted
    documents = len({passage.document_id for passage in passages})
    return translations("read", passages=count("passages", len(passages)), documents=count("documents", documents))


async def _note(text: str, icon: str, details: str = "", metadata: dict[str, Any] | None = None) -> cl.Step:
    """A grey line above the answer; what opens below it where there are details."""
    step = _step(text, "retrieval", icon, metadata)
    step.output = details
    step.end = utc_now()
    await step.send()
    return step


def _step(text: str, kind: Literal["tool", "retrieval"], icon: str, metadata: dict[str, Any] | None = None) -> cl.Step:
    """A step that has begun. As a context it would be sent twice, and the answer comes after it."""
    step = cl.Step(name=text, type=kind, icon=icon, metadata=metadata)
    step.parent_id = cl.context.current_step.id if cl.context.current_step else None
    step.start = utc_now()
    return step
