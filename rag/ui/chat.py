"""Chainlit's hooks: a message comes in, the engine's events go out. Chainlit loads this file by its path.

The conversation is kept here, per browser tab, and handed whole to the engine, which holds no state.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import chainlit as cl
from chainlit.server import app as chainlit_app

from rag.catalog import DEFAULT_COLLECTION
from rag.errors import RagError
from rag.types import AnswerCompleted, ChunksRetrieved, QueryCondensed, TextDelta
from rag.ui.claims import check_notice
from rag.ui.conversation import Turn, before, messages
from rag.ui.footnotes import elements, footnotes
from rag.ui.markdown import escape, plain_line, presentable
from rag.ui.starters import suggestions
from rag.ui.uploads import report_text, take_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.services import Services
    from rag.types import Answer, FileReport, Message, Passage, Scope

log = logging.getLogger(__name__)
services: Services = chainlit_app.state.services

TURNS = "turns"
HEADINGS = 60  # enough to find good ones among; the best few become suggested questions


async def suggest() -> list[cl.Starter]:
    """Suggested questions for the empty chat."""
    collection = await asyncio.to_thread(services.catalog.collection)
    headings = await asyncio.to_thread(services.catalog.headings, collection.id, HEADINGS)
    return [cl.Starter(label=found.label, message=found.question) for found in suggestions(headings)]


async def welcome() -> None:
    """Say how to begin where there is nothing to ask yet."""
    cl.user_session.set(TURNS, [])
    if not await asyncio.to_thread(services.catalog.documents):
        kinds = ", ".join(sorted(suffix.removeprefix(".") for suffix in services.ingest.suffixes))
        await cl.Message(
            "There are no documents yet. Drop some anywhere on this page, or use the paper clip below, and ask.\n\n"
            f"I can read {kinds}. For whole folders, run `ingest PATH` in a terminal."
        ).send()


async def on_message(message: cl.Message) -> None:
    """Take in the message's files, then answer its question."""
    # Chainlit's stop button cancels the session's current task, which it does not set for an edited question.
    cl.context.session.current_task = asyncio.current_task()
    question = message.content.strip()
    turns = before(cl.user_session.get(TURNS) or [], message.id)
    try:
        reports = await take_in([file for file in message.elements or [] if file.path], services.ingest)
        if reports and (not question or any(report.outcome == "failed" for report in reports)):
            await cl.Message(report_text(reports)).send()
        if question and (not reports or any(report.outcome != "failed" for report in reports)):
            answer = await stream_answer(messages(turns, question), await _scope(reports))
            cl.user_session.set(TURNS, [*turns, Turn(message.id, question, answer)])
    except RagError as error:
        hint = f"\n\n{escape(error.hint)}" if error.hint else ""
        await cl.ErrorMessage(f"{escape(error.message)}{hint}").send()
    except Exception:
        reference = uuid.uuid4().hex[:8]
        log.exception("the chat failed (reference %s)", reference)
        await cl.ErrorMessage(
            f"Something went wrong. The server's log tells more under the reference `{reference}`."
        ).send()


async def stream_answer(conversation: list[Message], scope: Scope) -> str:
    """Show the answer as it is written, and its footnotes at the end. Returns its text, or what there was of it when
    the user stopped it."""
    reply = cl.Message("")
    try:
        async with aclosing(services.engine.stream(conversation, scope)) as events:
            async for event in events:
                match event:
                    case QueryCondensed(question):
                        await _note(f"Searched for “{plain_line(question)}”", "search")
                    case ChunksRetrieved(_, passages):
                        await _note(_found(passages), "book-open")
                    case TextDelta(text):
                        await reply.stream_token(text)
                    case AnswerCompleted(answer):
                        await _complete(reply, answer)
                        return answer.text
    except asyncio.CancelledError:  # the stop button
        pass
    finally:
        if reply.streaming:  # stopped or failed half way: what was written stays, without the cursor
            await reply.send()
    return str(reply.content)


async def stopped() -> None:
    """Chainlit says "Task manually stopped." in the assistant's name; a word is enough."""
    last = cl.chat_context.get()[-1]
    if last.type == "assistant_message" and last.content == "Task manually stopped.":
        last.content = "Stopped."
        await last.update()


async def _complete(reply: cl.Message, answer: Answer) -> None:
    reply.content = "\n\n".join(filter(None, [presentable(answer.text), check_notice(answer)]))
    notes = await asyncio.to_thread(footnotes, answer.citations, services.catalog)
    reply.elements = elements(reply.id, notes)
    await reply.send()


async def _scope(reports: list[FileReport]) -> Scope:
    """Everything; or, for a question that came with files, those files."""
    scope = await asyncio.to_thread(services.scope, DEFAULT_COLLECTION)
    read = frozenset(report.document_id for report in reports if report.outcome != "failed")
    return replace(scope, document_ids=read) if read else scope


def _found(passages: Sequence[Passage]) -> str:
    if not passages:
        return "Found nothing that fits"
    documents = len({passage.document_id for passage in passages})
    return f"Read {_count(len(passages), 'passage')} from {_count(documents, 'document')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


async def _note(text: str, icon: str) -> None:
    """A grey line above the answer."""
    async with cl.Step(name=text, type="retrieval", icon=icon):
        pass


cl.set_starters(suggest)
cl.on_chat_start(welcome)
cl.on_message(on_message)
cl.on_stop(stopped)
