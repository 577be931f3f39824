"""`GET /documents/{id}/pages/{number}`: a page as it is shown: its picture, text, and boxes around a quote."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rag.api.dependencies import Caller
from rag.api.rendering.highlight import Box, boxes_of, lines_of
from rag.api.rendering.renderer import DrawnPage, PageDrawer
from rag.api.rendering.worker import UNITS
from rag.api.route_policy import SESSION
from rag.errors import NotFound
from rag.types.documents import Document, Section

router = APIRouter(include_in_schema=False, dependencies=[SESSION])  # for the chat's page; its form may change with it

_PDF = "application/pdf"
# A version of a page never changes; the browser keeps it for its own user only.
_PICTURE_HEADERS = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}


@router.get("/documents/{document_id}/pages/{number}.png")
async def get_picture(document_id: str, number: int, request: Request, caller: Caller) -> Response:
    """The page, counted from 1, drawn. Raises NotFound, UnreadableDocument."""
    document = await asyncio.to_thread(caller.document, document_id)
    page = await _drawn(request, document, number)
    return Response(page.picture, media_type="image/png", headers=_PICTURE_HEADERS)


@router.get("/documents/{document_id}/pages/{number}")
async def get_page(
    document_id: str, number: int, request: Request, caller: Caller, start: int = 0, end: int = 0
) -> dict[str, Any]:
    """What is to be known of a page, counted from 1: its `text` (slides and sheets have no more than that), and for a
    PDF its picture, its drawn `lines` (each a box and the text in it, to be selected), and `boxes` around the
    characters from `start` to `end` of the text. A box is left, top, width and height in shares of the page. `quote` is
    what stands there, so that the asker sees whether it is still what was cited.

    Raises NotFound, UnreadableDocument.
    """
    document = await asyncio.to_thread(caller.document, document_id)
    sections = [s for s in await asyncio.to_thread(caller.catalog.sections, document_id) if s.page_index is not None]
    facts = _page_facts(document, sections, number, start, end)
    if document.media_type != _PDF:
        return facts
    page = await _drawn(request, document, number)
    boxes = await asyncio.to_thread(boxes_of, page.characters, facts["text"], start, end) if facts["quote"] else []
    return {
        **facts,
        "pages": page.pages,
        "picture": f"/documents/{document.id}/pages/{number}.png?version={document.version}",
        "width": page.width,
        "height": page.height,
        "boxes": [_shares(box) for box in boxes],
        "lines": [[*_shares(box), text] for box, text in await asyncio.to_thread(lines_of, page.characters)],
    }


def _shares(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [left / UNITS, top / UNITS, (right - left) / UNITS, (bottom - top) / UNITS]


async def _drawn(request: Request, document: Document, number: int) -> DrawnPage:
    if document.media_type != _PDF or number < 1:
        raise NotFound(f"There is no picture of page {number}.")
    drawer: PageDrawer = request.app.state.page_drawer
    return await drawer.page(document, number - 1)


def _page_facts(document: Document, sections: list[Section], number: int, start: int, end: int) -> dict[str, Any]:
    of_page = [section for section in sections if section.page_index == number - 1]
    if not of_page and document.media_type != _PDF:
        raise NotFound(f"{document.title} has no page {number}.")
    text = "".join(section.text for section in of_page)
    return {
        "number": number,
        "pages": document.pages,
        "label": next((section.page_label for section in of_page if section.page_label), ""),
        "heading": next((section.heading for section in of_page if section.heading), ""),
        "text": text,
        "quote": text[max(0, start) : max(0, end)],
    }
