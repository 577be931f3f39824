"""OpenDocument texts and presentations (odt, odp): headings, lists, tables as rows `a | b`, notes; slides as pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.loaders.base import HIDDEN_TEXT, Extracted, Limits, SectionWriter, sensible_title, shortened, squeeze
from ingest.loaders.hidden_text.opendocument import remove_hidden
from ingest.loaders.table_grid import Cell, read_span, table_lines
from ingest.loaders.zip_container import ODP, ODT, Archive
from rag.types.documents import Section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lxml.etree import _Element

_OASIS = "{urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _DRAW = f"{_OASIS}text:1.0}}", f"{_OASIS}table:1.0}}", f"{_OASIS}drawing:1.0}}"
_OFFICE, _STYLE, _PRESENTATION = f"{_OASIS}office:1.0}}", f"{_OASIS}style:1.0}}", f"{_OASIS}presentation:1.0}}"
_NOT_SHOWN = frozenset(
    {
        f"{_TEXT}tracked-changes",  # what was deleted
        f"{_TEXT}table-of-content",  # the headings again
        f"{_TEXT}sequence-decls",
        f"{_TEXT}ruby-text",
        f"{_TEXT}note-citation",
        f"{_OFFICE}annotation",
        f"{_OFFICE}forms",
        f"{_PRESENTATION}notes",
        f"{_TABLE}covered-table-cell",
    }
)
_AS_TEXT = {f"{_TEXT}tab": " ", f"{_TEXT}s": " ", f"{_TEXT}line-break": "\v"}  # \v: a line ends; \n is only white space
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")


def load_odt(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading, with its notes at its end. Raises UnreadableDocument: encrypted, too large, no odt."""
    with Archive(path, name, limits, ODT) as archive:
        content = archive.xml("content.xml")
        some_hidden = remove_hidden(content, archive.xml("styles.xml") if "styles.xml" in archive else None)
        property_title = archive.title()
    title_styles = {"Title"} | {
        style.get(f"{_STYLE}name")
        for style in content.iter(f"{_STYLE}style")
        if style.get(f"{_STYLE}parent-style-name") == "Title"
    }
    title = first_heading = ""
    writer = SectionWriter()
    notes: list[str] = []
    body = content.find(f"{_OFFICE}body/{_OFFICE}text")
    for block, mark in _blocks(body) if body is not None else ():
        if block.tag == f"{_TEXT}h":
            writer.write(*notes)
            notes.clear()
            text = _paragraph(block, notes)
            writer.enter(int(block.get(f"{_TEXT}outline-level", "1")), squeeze(text))
            first_heading = first_heading or sensible_title(text)
        elif block.tag == f"{_TABLE}table":
            text = _table(block, notes)
        else:
            text = _paragraph(block, notes)
            if block.get(f"{_TEXT}style-name") in title_styles:
                title = title or sensible_title(text)
        if text:
            writer.write(mark + text)
    writer.write(*notes)
    writer.finish()
    title = title or property_title or first_heading
    return Extracted(title=title, sections=writer.sections, notice=HIDDEN_TEXT if some_hidden else "")


def load_odp(path: Path, name: str, limits: Limits) -> Extracted:
    """One section a slide, empty where it holds no text. Raises UnreadableDocument: see `load_odt`; too many slides."""
    with Archive(path, name, limits, ODP) as archive:
        content = archive.xml("content.xml")
        some_hidden = remove_hidden(content, archive.xml("styles.xml") if "styles.xml" in archive else None)
        title = archive.title()
    slides = content.findall(f"{_OFFICE}body/{_OFFICE}presentation/{_DRAW}page")
    limits.check_pages(len(slides), name, "slides")
    sections = []
    for index, slide in enumerate(slides):
        frames = sorted(slide, key=lambda frame: frame.get(f"{_PRESENTATION}class") != "title")
        heading = ""
        if frames and frames[0].get(f"{_PRESENTATION}class") == "title":
            heading = shortened(" ".join(_lines(frames[0])))
        lines = [line for frame in frames if frame.tag not in _NOT_SHOWN for line in _lines(frame)]
        notes = slide.find(f"{_PRESENTATION}notes")
        if notes is not None and (noted := list(_lines(notes))):
            lines += [f"Notes: {noted[0]}", *noted[1:]]
        text = "\n".join(lines) + "\n" if lines else ""
        sections.append(Section(text, page_index=index, page_label=str(index + 1), heading=heading))
        title = title or (sensible_title(heading) if index == 0 else "")
    return Extracted(title=title, sections=sections, notice=HIDDEN_TEXT if some_hidden else "")


def _lines(parent: _Element) -> Iterator[str]:
    notes: list[str] = []
    for block, mark in _blocks(parent):
        text = _table(block, notes) if block.tag == f"{_TABLE}table" else _paragraph(block, notes)
        if text:
            yield mark + text
    yield from notes


def _blocks(parent: _Element, mark: str = "") -> Iterator[tuple[_Element, str]]:
    """Paragraphs, headings and tables, in order, with what marks those that are list items."""
    for child in parent:
        tag = child.tag
        if tag in _PARAGRAPHS:
            yield child, "" if tag == f"{_TEXT}h" else mark
            mark = " " * len(mark)
        elif tag in (f"{_TEXT}list-item", f"{_TEXT}list-header"):
            yield from _blocks(child, " " * len(mark) + "- ")
        elif tag == f"{_TABLE}table":
            yield child, ""
        elif isinstance(tag, str) and tag not in _NOT_SHOWN:
            yield from _blocks(child, mark)


def _table(table: _Element, notes: list[str]) -> str:
    """A line for each row; merged cells are repeated. Tables inside cells are text of the cell."""
    rows = (
        [
            Cell(
                squeeze(_paragraph(cell, notes)),
                *(read_span(cell.get(f"{_TABLE}number-{name}-spanned")) for name in ("columns", "rows")),
            )
            for cell in row.iterchildren(f"{_TABLE}table-cell")
        ]
        for row in table.iter(f"{_TABLE}table-row")
        if next(row.iterancestors(f"{_TABLE}table"), None) is table
    )
    return "\n".join(table_lines(rows))


def _paragraph(element: _Element, notes: list[str]) -> str:
    """The text inside; paragraphs inside it (cells, text boxes) on lines. Its notes are added to `notes`."""
    lines = "".join(_pieces(element, notes)).split("\v")
    return "\n".join(filter(None, map(squeeze, lines)))


def _pieces(element: _Element, notes: list[str]) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag == f"{_TEXT}note":
            if note := squeeze(_paragraph(child, notes)):
                notes.append(note)
        elif child.tag in _AS_TEXT:
            yield _AS_TEXT[child.tag]
        elif isinstance(child.tag, str) and child.tag not in _NOT_SHOWN:  # the tags of unexpanded entities are none
            if child.tag in _PARAGRAPHS:
                yield "\v"
            yield from _pieces(child, notes)
        yield child.tail or ""
