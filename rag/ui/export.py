"""What is taken away: an answer for the clipboard, a conversation as Markdown and as a page to print.

The browser makes a PDF of that page ("Save as PDF"), in the reader's own fonts.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from string import Template
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from markdown_it import MarkdownIt

from rag.api.dependencies import Caller
from rag.api.route_policy import SESSION
from rag.auth.principals import may
from rag.errors import NotFound
from rag.storage.conversations import Conversation, Conversations, Element, Step, unknown_conversation
from rag.types.documents import Owned
from rag.ui.answer.footnotes import readable_now
from rag.ui.markdown import escape, marked, unlinked
from rag.ui.translations import translations_in

if TYPE_CHECKING:
    from rag.auth.access import Access

COPY = "copy"  # the name of the action that public/footnotes.js calls
ANSWER, QUESTION = "assistant_message", "user_message"
_PRIVATE = {"Cache-Control": "private, no-store"}
_NOTHING_FOREIGN = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE = Template("""<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<link rel="stylesheet" href="/public/transcript.css">
<script src="/public/transcript.js"></script>
</head>
<body>
<main>
<h1 dir="auto">$title</h1>
<p><time>$date</time></p>
$entries
</main>
</body>
</html>
""")

router = APIRouter(prefix="/conversations/{conversation_id}", include_in_schema=False, dependencies=[SESSION])


@dataclass(frozen=True, slots=True)
class Source:
    """A footnote: where it points (document, heading, page), and the words there, on one line."""

    number: int
    place: str
    quote: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A question, as it was typed, or an answer in Markdown, with its sources and the lines that say what its check
    found."""

    is_question: bool
    text: str
    sources: tuple[Source, ...] = ()
    check: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation in the order in which it was held; `date` is ISO 8601, UTC."""

    title: str
    date: str
    entries: tuple[Entry, ...]


def transcript_of(conversation: Conversation, steps: Sequence[Step], elements: Sequence[Element]) -> Transcript:
    """What was said, without what was done for it."""
    entries = (entry_of(step, elements) for step in steps if step.type in (QUESTION, ANSWER) and step.text.strip())
    return Transcript(conversation.title, conversation.created_at[:10], tuple(entries))


def entry_of(step: Step, elements: Sequence[Element]) -> Entry:
    """One message with its footnotes."""
    if step.type == QUESTION:
        return Entry(True, step.text.strip())
    props = [element.body.get("props") or {} for element in elements if element.step_id == step.id]
    notes = tuple(_source(note) for of in props for note in of.get("citations", []))
    checks = [found for of in props if (found := of.get("check"))]
    check = tuple(line for found in checks for line in (found["summary"], *found["sentences"]))
    return Entry(False, unlinked(step.text).strip(), notes, check)


def _source(note: Mapping[str, Any]) -> Source:
    parts = [note.get(key) for key in ("title", "heading", "place", "position")]
    file = f" ({PurePath(note['source']).name})" if note.get("source") else ""  # where it lies is nobody's business
    place = " · ".join(str(part) for part in parts if part) + file
    return Source(int(note["number"]), place, " ".join(str(note.get("quote") or "").split()))


# ---------------------------------------------------------------------------------------------------------- Markdown


def answer_markdown(entry: Entry, prefix: str = "") -> str:
    """An answer with Markdown's footnotes, `[^1]`; with a prefix these stay apart from those of other answers."""
    text = marked(entry.text, {source.number for source in entry.sources}, lambda number: f"[^{prefix}{number}]")
    notes = [
        f"[^{prefix}{source.number}]: {source.place}" + (f": “{source.quote}”" if source.quote else "")
        for source in entry.sources
    ]
    summary, *doubts = map(escape, entry.check or ("",))
    check = [f"*{summary}*", "\n".join(f"- {doubt}" for doubt in doubts)] if summary else []
    return "\n\n".join(filter(None, [text, *check, *notes]))


def transcript_markdown(transcript: Transcript) -> str:
    """The whole conversation; questions are quotes."""
    blocks = [f"# {transcript.title}", f"*{transcript.date}*"]
    for number, entry in enumerate(transcript.entries, start=1):
        if entry.is_question:
            blocks.append("\n".join(f"> {line}".rstrip() for line in entry.text.splitlines()))
        else:
            blocks.append(answer_markdown(entry, f"{number}-"))
    return "\n\n".join(blocks) + "\n"


def file_name(title: str) -> str:
    """What the file is called: the title, without what file systems do not take."""
    name = " ".join(re.sub(r"[^\w.,()'’-]+", " ", title).split())[:80].strip(" .")
    return f"{name or 'conversation'}.md"


# -------------------------------------------------------------------------------------------------------------- page


def transcript_page(transcript: Transcript, language: str) -> str:
    """The whole conversation as HTML; of what was said, nothing but Markdown turns into markup."""
    return _PAGE.substitute(
        language=language,
        title=html.escape(transcript.title),
        date=transcript.date,
        entries="\n".join(_entry_html(entry, number) for number, entry in enumerate(transcript.entries, start=1)),
    )


def _entry_html(entry: Entry, position: int) -> str:
    if entry.is_question:
        return f'<h2 dir="auto">{html.escape(entry.text)}</h2>'
    numbers = {source.number for source in entry.sources}
    text = marked(entry.text, numbers, lambda number: rf"[\[{number}\]](#note-{position}-{number})")
    notes = "".join(_source_html(source, f"note-{position}-{source.number}") for source in entry.sources)
    check = "".join(f'<p class="check" dir="auto">{html.escape(line)}</p>\n' for line in entry.check)
    return f'<article dir="auto">\n{_renderer().render(text)}{check}{notes}</article>'


def _source_html(source: Source, anchor: str) -> str:
    words = f"<br>“{html.escape(source.quote)}”" if source.quote else ""
    return f'<p class="note" dir="auto" id="{anchor}"><b>[{source.number}]</b> {html.escape(source.place)}{words}</p>\n'


@cache
def _renderer() -> MarkdownIt:
    return MarkdownIt("js-default").disable("image")  # no HTML of the model's; tables, and safe links only


# ------------------------------------------------------------------------------------------------- what the chat asks


async def answer_to_copy(action: Any, access: Access, conversation_id: str) -> str:
    """The answer in Markdown, with its footnotes. Raises NotFound."""
    _, steps, elements = await asyncio.to_thread(_read, access, conversation_id)
    step = next((step for step in steps if step.id == action.payload.get("message")), None)
    if step is None:
        raise NotFound("This answer is not kept.", hint="Its conversation was deleted, perhaps in another window.")
    return answer_markdown(entry_of(step, elements))


def _own_transcript(conversation_id: str, caller: Caller) -> Transcript:
    """A conversation of whoever asks. Raises NotFound, Unauthorized."""
    return transcript_of(*_read(caller, conversation_id))


OwnTranscript = Annotated[Transcript, Depends(_own_transcript)]


@router.get("/transcript.md")
async def save(transcript: OwnTranscript) -> Response:
    """The conversation as a file."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name(transcript.title))}", **_PRIVATE}
    return Response(transcript_markdown(transcript), media_type="text/markdown", headers=headers)


@router.get("/transcript.html")
async def print_page(transcript: OwnTranscript, request: Request) -> Response:
    """The conversation as a page that opens the browser's print dialog."""
    language = translations_in(request.headers.get("accept-language", "")).language
    headers = {"Content-Security-Policy": _NOTHING_FOREIGN, **_PRIVATE}
    return HTMLResponse(transcript_page(transcript, language), headers=headers)


def _read(access: Access, conversation_id: str) -> tuple[Conversation, list[Step], list[Element]]:
    if not may(access.principal, "read", Owned(access.principal.id)):  # a key for some collections
        raise unknown_conversation(conversation_id)
    own = Conversations(access.catalog.database, access.principal.id)
    elements = [readable_now(element, access) for element in own.elements(conversation_id)]
    return own.get(conversation_id), own.steps(conversation_id), elements
