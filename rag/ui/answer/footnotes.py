"""Citations as a Chainlit element: the list of sources under an answer, and what its marks `[1]` open.

A mark is a link (rag/ui/markdown.py). What it opens is decided in public/footnotes.js: the side panel, where
Footnote.jsx shows the quote, and the page of a PDF, drawn by rag/api/page_images.py, or the rows of a sheet. (Elements
that are "side" to Chainlit open by themselves as they arrive, together with those of all earlier answers.)
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from mimetypes import guess_type
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rag.errors import NotFound
from rag.storage.conversations import Element
from rag.ui.answer.table import Table, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.auth.access import Access
    from rag.storage.catalog import Catalog
    from rag.types.documents import Citation
    from rag.ui.answer.claims import Check, Statement
    from rag.ui.translations import Translations

PDF = "application/pdf"
NOWHERE = "about:blank"
CONTEXT = 700  # characters shown before and after a quote
SHEETS = (".csv", ".tsv", ".xls", ".xlsx", ".xlsm", ".xlsb", ".ods")


@dataclass(frozen=True, slots=True)
class Footnote:
    """What list and side panel show of one citation. `source` is the path, `file` its last part; `place` the printed
    page, `position` the page of the file where that differs, `page` that page, from 1 (0 without pages); `start` and
    `end` are the quote's offsets in its text. `address` is where the browser finds the file (empty if it is gone); its
    pages can be drawn when `is_pdf`. `table` has the rows of a sheet. `statements` are the sentences that cite it.
    `warning` is what to know before trusting the quote (empty if nothing)."""

    number: int
    document: str
    title: str
    source: str
    file: str
    heading: str
    place: str
    position: str
    before: str
    quote: str
    after: str
    address: str
    is_pdf: bool
    page: int
    start: int
    end: int
    table: Table | None
    statements: Sequence[Statement]
    warning: str


def footnotes(
    citations: Sequence[Citation],
    catalog: Catalog,
    translations: Translations,
    statements: Mapping[int, Sequence[Statement]],
) -> list[Footnote]:
    """One footnote a citation, by number, with the quote's surroundings where there is no page to open; blocking.
    `statements` are those that cite each number."""
    return [
        _footnote(citation, catalog, translations, statements.get(citation.number, ()))
        for citation in sorted(citations, key=lambda citation: citation.number)
    ]


def elements(
    message_id: str,
    conversation_id: str,
    notes: Sequence[Footnote],
    doubts: Sequence[Statement] = (),
    check: Check | None = None,
) -> list[Any]:
    """The Chainlit element of an answer with these footnotes, and what its check found; `doubts` are sentences to be
    marked in it. It is one, because with each that comes Chainlit draws the whole conversation anew."""
    import chainlit as cl

    props = {
        "message": message_id,
        "conversation": conversation_id,
        "citations": [asdict(note) for note in notes],
        "doubts": [asdict(doubt) for doubt in doubts],
        "check": asdict(check) if check else None,
    }
    # With an address Chainlit writes no file of its own, which would hold the quotes for longer than it should.
    return [cl.CustomElement(name="Footnotes", props=props, display="inline", url=NOWHERE)]


def readable_now(element: Element, access: Access) -> Element:
    """A kept list of sources as it may be shown to who looks at it again: of documents that are gone or may not be
    read any more nothing is left but their names. A file that is gone has no address and is not shown. Blocking."""
    body = dict(element.body)
    if "document" in body:
        if not _has_file(access, body["document"]):
            body["url"] = ""
    elif "citations" in (props := body.get("props") or {}):
        body["props"] = {**props, "citations": [_readable_now(note, access) for note in props["citations"]]}
    return replace(element, body=body)


def file_element(message_id: str, name: str, document_id: str) -> Element:
    """A file that came with a message, as it is kept: a link to the document that was made of it."""
    body = {
        "type": "file",
        "name": name,
        "display": "inline",
        "mime": guess_type(name)[0] or "application/octet-stream",
        "url": f"/documents/{document_id}/source",
        "document": document_id,
    }
    return Element(uuid.uuid4().hex, message_id, body)


def page_names(page_index: int | None, page_label: str | None, translations: Translations) -> tuple[str, str]:
    """What is printed on the page (`page iv`) and, where that differs, which page of the file it is; empty without
    pages."""
    if page_index is None:
        return "", ""
    position = str(page_index + 1)
    if not page_label or page_label == position:
        return translations("page", label=position), ""
    return translations("page", label=page_label), translations("page_of_file", number=position)


def reader_address(document_id: str, page_index: int | None, start: int, end: int) -> str:
    """Where the reader shows these characters of a document marked: see rag/ui/reader.py."""
    page = "" if page_index is None else f"page={page_index + 1}&"
    return f"/view/{document_id}?{page}start={start}&end={end}"


def _has_file(access: Access, document_id: str) -> bool | None:
    """Whether the file is there; None where the document is not, or may not be read."""
    try:
        return access.document(document_id).content.is_file()
    except NotFound:
        return None


def _readable_now(note: Mapping[str, Any], access: Access) -> dict[str, Any]:
    has_file = _has_file(access, note["document"])
    if has_file is None:
        words = dict.fromkeys(("before", "quote", "after", "address"), "")
        return {**note, **words, "table": None, "statements": [], "is_pdf": False, "is_readable": False}
    return {**note} if has_file else {**note, "address": "", "is_pdf": False}


def _footnote(
    citation: Citation, catalog: Catalog, translations: Translations, statements: Sequence[Statement]
) -> Footnote:
    before = after = address = ""
    is_pdf = False
    table = None
    place, position = page_names(citation.page_index, citation.page_label, translations)
    try:
        document = catalog.document(citation.document_id)
        if document.content.is_file():
            address = f"/documents/{document.id}/source"
        is_on_page = citation.page_index is not None  # what is attached to a PDF stands on no page of it
        is_pdf = bool(address) and document.media_type == PDF and is_on_page
        text = "" if is_pdf else catalog.page_text(document.id, citation.page_index)
        if text and text[citation.start : citation.end] == citation.quote:  # else of another version of the document
            before, after = _surroundings(citation, text)
            if citation.source.lower().endswith(SHEETS):
                table = table_of(text, citation.start, citation.end)
    except NotFound:  # removed since the answer began
        pass
    return Footnote(
        number=citation.number,
        document=citation.document_id,
        title=citation.title,
        source=citation.source,
        file=PurePath(citation.source).name,
        heading=citation.heading.removeprefix(citation.title).removeprefix(" › "),
        place=place,
        position=position,
        before=before,
        quote=citation.quote,
        after=after,
        address=address,
        is_pdf=is_pdf,
        page=0 if citation.page_index is None else citation.page_index + 1,
        start=citation.start,
        end=citation.end,
        table=table,
        statements=statements,
        warning=translations("addresses_assistant") if citation.addresses_assistant else "",
    )


def _surroundings(citation: Citation, text: str) -> tuple[str, str]:
    """The text before and after the quote, cut at white space."""
    before = text[max(0, citation.start - CONTEXT) : citation.start]
    after = text[citation.end : citation.end + CONTEXT]
    if citation.start > CONTEXT:
        before = "… " + before.partition(" ")[2]
    if citation.end + CONTEXT < len(text):
        after = after.rpartition(" ")[0] + " …"
    return before.lstrip("\n"), after.rstrip("\n")
