"""Answers and conversations to take away: the buttons under an answer, and the Markdown that they save."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.responses import Response

from rag.errors import NotFound, RagError
from rag.storage.conversations import Conversation, Conversations, Element, Step
from rag.text.markers import UNLINKED_MARKER
from rag.ui.answer.footnotes import readable_now
from rag.ui.markdown import CODE, unmarked
from rag.ui.session import calling_principal
from rag.ui.transcript_pdf import pdf

if TYPE_CHECKING:
    from fastapi import FastAPI

    from rag.auth.access import Access
    from rag.operations.services import Services

ANSWER, QUESTION = "assistant_message", "user_message"


@dataclass(frozen=True, slots=True)
class Source:
    """A footnote: where it points (document, heading, page), and the words there."""

    number: int
    place: str
    quote: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A question, as it was typed, or an answer with its sources, in Markdown."""

    is_question: bool
    name: str
    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation in the order in which it was held; `created_at` is ISO 8601, UTC."""

    title: str
    created_at: str
    entries: tuple[Entry, ...]


def transcript_of(conversation: Conversation, steps: Sequence[Step], elements: Sequence[Element]) -> Transcript:
    """What was said, without what was done for it."""
    entries = (entry_of(step, elements) for step in steps if step.type in (QUESTION, ANSWER) and step.text.strip())
    return Transcript(conversation.title, conversation.created_at, tuple(entries))


def entry_of(step: Step, elements: Sequence[Element]) -> Entry:
    """One message with its footnotes."""
    notes = (
        note
        for element in elements
        if element.step_id == step.id
        for note in element.body.get("props", {}).get("citations", [])
    )
    name = str(step.body.get("name", ""))
    text = step.text if step.type == QUESTION else unmarked(step.text)
    return Entry(step.type == QUESTION, name, text, tuple(_source(note) for note in notes))


def answer_markdown(entry: Entry, prefix: str = "") -> str:
    """An answer with Markdown's footnotes, `[^1]`; with a prefix these stay apart from those of other answers."""
    numbers = {source.number for source in entry.sources}

    def mark(found: re.Match[str]) -> str:
        return f"[^{prefix}{found[1]}]" if int(found[1]) in numbers else found[0]

    parts = CODE.split(entry.text)
    parts[::2] = [UNLINKED_MARKER.sub(mark, part) for part in parts[::2]]
    notes = [f"[^{prefix}{source.number}]: {_note(source)}" for source in entry.sources]
    return "\n\n".join(["".join(parts).strip(), *notes])


def markdown(transcript: Transcript) -> str:
    """The whole conversation."""
    blocks = [f"# {transcript.title}", f"*{transcript.created_at[:10]}*"]
    for number, entry in enumerate(transcript.entries, start=1):
        if entry.is_question:
            blocks.append("\n".join(f"> {line}".rstrip() for line in entry.text.strip().splitlines()))
        else:
            blocks.append(answer_markdown(entry, f"{number}-"))
    return "\n\n".join(blocks) + "\n"


def file_name(title: str, suffix: str) -> str:
    """What the file is called: the title, without what file systems do not take."""
    name = " ".join(re.sub(r"[^\w.,()'’-]+", " ", title).split())[:80].strip(" .")
    return f"{name or 'conversation'}.{suffix}"


def _source(note: Mapping[str, Any]) -> Source:
    told = (note.get(key) for key in ("title", "heading", "place", "position"))
    place = " · ".join(str(part) for part in told if part)
    source = str(note.get("source") or "")
    return Source(int(note["number"]), f"{place} ({source})" if source else place, str(note.get("quote") or ""))


def _note(source: Source) -> str:
    quote = " ".join(source.quote.split())
    return f"{source.place}: “{quote}”" if quote else source.place

    # MOVED


COPY = "copy"  # the name of the action that public/footnotes.js calls


async def copy(action: Any, access: Access, conversation_id: str) -> str:
    """The answer in Markdown, with its footnotes. Raises NotFound."""
    _, steps, elements = await asyncio.to_thread(_read, access, conversation_id)
    step = next((step for step in steps if step.id == action.payload.get("message")), None)
    if step is None:
        raise NotFound("This answer is not kept.", hint="Its conversation was deleted, perhaps in another window.")
    return answer_markdown(entry_of(step, elements))


def add_transcript_routes(app: FastAPI, services: Services) -> None:
    """`GET /conversations/{id}/transcript.md` and `.pdf`, for the user who is logged in to the chat."""

    def read(conversation_id: str) -> Transcript:
        access = services.access(calling_principal(services))
        return transcript_of(*_read(access, conversation_id))

    async def transcript(conversation_id: str, suffix: str) -> Response:
        try:
            found = await asyncio.to_thread(read, conversation_id)
        except RagError as error:
            return Response(f"{error.message}\n", 404, media_type="text/plain")
        if suffix == "pdf":
            content, media_type = await asyncio.to_thread(pdf, found), "application/pdf"
        elif suffix == "md":
            content, media_type = markdown(found).encode(), "text/markdown; charset=utf-8"
        else:
            return Response("There are .md and .pdf.\n", 404, media_type="text/plain")
        name = quote(file_name(found.title, suffix))
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Cache-Control": "private, no-store"}
        return Response(content, media_type=media_type, headers=headers)

    path = "/conversations/{conversation_id}/transcript.{suffix}"
    app.add_api_route(path, transcript, methods=["GET"], include_in_schema=False)


def _read(access: Access, conversation_id: str) -> tuple[Conversation, list[Step], list[Element]]:
    own = Conversations(access.catalog.database, access.principal.id)
    elements = [readable_now(element, access) for element in own.elements(conversation_id)]
    return own.get(conversation_id), own.steps(conversation_id), elements
