"""`/view/{document}`: the reader, one page for every format, and the two routes that it calls.

The page (public/reader) holds nothing; the pictures of a PDF's pages and the boxes around quotes come from
rag/api/page_images.py. A place in a document is what a citation has: a page (None where there are none) and the
offsets of its characters in the text of that page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from rag.api.dependencies import Caller
from rag.api.route_policy import PUBLIC, SESSION
from rag.types.documents import Document, Section
from rag.ui.answer.footnotes import PDF, SHEETS

router = APIRouter(prefix="/view", include_in_schema=False, dependencies=[SESSION])

MAX_HITS = 500
_PAGE = Path(__file__).parent / "public" / "reader" / "reader.html"
# Of its own host only; unlike the chat it may stand in a frame of the chat, and compiles nothing.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
}
_AROUND = 40  # characters shown before and after a hit
_PROSE = (".htm", ".html", ".md", ".markdown", ".rtf", ".xml")  # text whose lines mean nothing


@router.get("/{document_id}", dependencies=[PUBLIC])
def reader_page(document_id: str) -> FileResponse:
    """The page, the same for every `document_id`, which it reads off its address."""
    return FileResponse(_PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)


@router.get("/{document_id}/contents")
def contents(document_id: str, caller: Caller) -> dict[str, Any]:
    """What is to be known of a document before it is shown: how (`view`), and its `sections`, with their text where
    there are no pictures of pages. Raises NotFound."""
    document = caller.document(document_id)
    sections = caller.catalog.sections(document_id)
    has_file = document.content.is_file()
    view = _view(document, has_file)
    return {
        "title": document.title,
        "file": PurePath(document.source).name,
        "has_file": has_file,
        "view": view,
        "pages": document.pages if view == "pages" or any(s.page_index is not None for s in sections) else 0,
        "sections": [
            {
                "page": None if section.page_index is None else section.page_index + 1,
                "label": section.page_label or "",
                "heading": section.heading,
                "text": "" if view == "pages" else section.text,
            }
            for section in sections
        ],
    }


@router.get("/{document_id}/search")
async def search(
    document_id: str, caller: Caller, containing: Annotated[str, Query(min_length=1, max_length=200)]
) -> dict[str, Any]:
    """Where a document has these words, whatever their case and white space: the first `MAX_HITS` places. Raises
    NotFound."""
    await asyncio.to_thread(caller.document, document_id)
    sections = await asyncio.to_thread(caller.catalog.sections, document_id)
    hits = await asyncio.to_thread(lambda: list(islice(_hits(sections, containing), MAX_HITS + 1)))
    return {"hits": hits[:MAX_HITS], "has_more": len(hits) > MAX_HITS}


def _view(document: Document, has_file: bool) -> Literal["pages", "table", "lines", "text"]:
    suffix = PurePath(document.source).suffix.lower()
    if document.media_type == PDF and has_file:
        return "pages"
    if suffix in SHEETS:
        return "table"
    if document.media_type.startswith(("text/", "application/json")) and suffix not in _PROSE:
        return "lines"
    return "text"


def _hits(sections: Sequence[Section], containing: str) -> Iterator[dict[str, Any]]:
    words = containing.split()
    if not words:
        return
    pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE)
    ordered = sorted(sections, key=_page_number)  # stable; what stands on no page comes first
    for number, of_page in groupby(ordered, key=_page_number):
        text = "".join(section.text for section in of_page)
        for found in pattern.finditer(text):
            yield {
                "page": number or None,
                "start": found.start(),
                "end": found.end(),
                "before": text[max(0, found.start() - _AROUND) : found.start()],
                "words": found[0],
                "after": text[found.end() : found.end() + _AROUND],
            }


def _page_number(section: Section) -> int:
    return 0 if section.page_index is None else section.page_index + 1
