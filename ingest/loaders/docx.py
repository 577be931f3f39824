"""Word files (docx): paragraphs, lists and tables in document order, a section per heading, footnotes at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ingest.loaders.base import HIDDEN_TEXT, Extracted, Limits, SectionWriter, sensible_title, squeeze
from ingest.loaders.hidden_text.docx import remove_hidden, value_of
from ingest.loaders.zip_container import DOCX, Archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docx.document import Document as WordDocument
    from lxml.etree import _Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # a text box for old programs
_FORMULA_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_NOT_SHOWN = frozenset({f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", _FALLBACK})
_AS_TEXT = {f"{_W}tab": " ", f"{_W}ptab": " ", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


def load_docx(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading. Raises UnreadableDocument: encrypted, an old .doc, no docx at all, too large."""
    with Archive(path, name, limits, DOCX) as archive:
        archive.verify()
    import docx

    document = docx.Document(str(path))
    styles = {style.style_id: (style.name or "").lower() for style in document.styles}
    titles = {"title": "", "heading 1": ""}
    writer = SectionWriter()
    some_hidden = remove_hidden(document)
    for style, line in _lines(document, styles):
        if level := re.fullmatch(r"heading (\d)", style):
            writer.enter(int(level[1]), squeeze(line))
        if style in titles and not titles[style]:
            titles[style] = sensible_title(line)
        writer.write(line)
    writer.enter(1, "")
    writer.write(*_footnotes(document))
    writer.finish()
    title = titles["title"] or sensible_title(document.core_properties.title) or titles["heading 1"]
    return Extracted(title=title, sections=writer.sections, notice=HIDDEN_TEXT if some_hidden else "")


def _lines(document: WordDocument, styles: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(name of the style in lower case, text) of each paragraph and table row, in order."""
    for block in _blocks(document.element.body):
        if block.tag == f"{_W}tbl":
            for row in block.iterchildren(f"{_W}tr"):
                own = (cell for cell in row.iter(f"{_W}tc") if next(cell.iterancestors(f"{_W}tr")) is row)
                cells = [squeeze(_text(cell)) for cell in own]
                if any(cells):
                    yield "", " | ".join(cells)
            continue
        style = styles.get(value_of(block.find(f"{_W}pPr"), "pStyle"), "")
        text = _text(block).strip()
        is_list = style.startswith("list ") or block.find(f"{_W}pPr/{_W}numPr") is not None
        if text:
            yield style, f"- {text}" if is_list and not style.startswith("heading") else text


def _blocks(parent: _Element) -> Iterator[_Element]:
    """Paragraphs and tables, also those inside content controls and insertions."""
    for child in parent.iterchildren():
        if child.tag in (f"{_W}p", f"{_W}tbl"):
            yield child
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins", f"{_W}moveTo"):
            yield from _blocks(child)


def _text(element: _Element) -> str:
    """The text inside, as shown when all changes are accepted; paragraphs inside it (cells, text boxes) on lines."""
    parts: list[str] = []
    stack = [element]
    while stack:
        node = stack.pop()
        if node.tag in _NOT_SHOWN:
            continue
        if node.tag in (f"{_W}t", _FORMULA_TEXT):
            parts.append(node.text or "")
        elif node.tag in _AS_TEXT:
            parts.append(_AS_TEXT[node.tag])
        elif node.tag == f"{_W}p" and parts:
            parts.append("\n")
        stack += reversed(node)
    return "".join(parts)


def _footnotes(document: WordDocument) -> Iterator[str]:
    from docx.oxml import parse_xml

    for part in document.part.package.iter_parts():
        if str(part.partname) in ("/word/footnotes.xml", "/word/endnotes.xml"):
            for note in parse_xml(part.blob):
                if text := squeeze(_text(note)):
                    yield text
