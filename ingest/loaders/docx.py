"""Word files (docx): paragraphs, lists and tables in document order, with the numbers that Word counts.

A section per heading; notes, headers and footers (distinct ones once) and comments at the end.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from ingest.loaders.base import HIDDEN_TEXT, Extracted, Limits, SectionWriter, sensible_title, squeeze
from ingest.loaders.drawing_ml import chart_rows
from ingest.loaders.encoding import decode
from ingest.loaders.hidden_text.docx import remove_hidden, value_of
from ingest.loaders.hidden_text.look import style_chain
from ingest.loaders.html import html_text
from ingest.loaders.table_grid import Cell, read_span, table_lines
from ingest.loaders.word_numbering import Numbering
from ingest.loaders.zip_container import DOCX, Archive, parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docx.document import Document as WordDocument
    from docx.opc.part import Part
    from lxml.etree import _Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # a text box for old programs
_FORMULA_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_NOT_SHOWN = frozenset({f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", f"{_W}sdtPr", f"{_W}rt", _FALLBACK})
_AS_TEXT = {f"{_W}tab": " ", f"{_W}ptab": " ", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_WRAPPERS = frozenset({f"{_W}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo")})
_TICKED, _UNTICKED = "\u2612", "\u2610"
_SYMBOLS = {  # boxes and ticks in fonts of symbols, by the last two figures of their place
    "Wingdings": {"A8": _UNTICKED, "6F": _UNTICKED, "FC": "\u2713", "FB": "\u2717", "FE": "\u2611", "FD": _TICKED},
    "Wingdings 2": {"A3": _UNTICKED, "50": "\u2713", "4F": "\u2717", "52": "\u2611", "51": _TICKED, "53": _TICKED},
}
_OFF = frozenset({"0", "false", "off"})
_DOCUMENTS = (  # content types; the library knows the plain one only
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
    "application/vnd.ms-word.document.macroEnabled.main+xml",
    "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
)
_EMBEDDED = re.compile(r"text/(html|plain)|application/xhtml\+xml")


def load_docx(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading. Raises UnreadableDocument: encrypted, an old .doc, no docx at all, too large."""
    with Archive(path, name, limits, DOCX) as archive:
        archive.verify()
    document = _open(path)
    styles = {style.style_id: style.element for style in document.styles}
    chains = {style: style_chain(styles, style, lambda element: value_of(element, "basedOn")) for style in styles}
    titles = {"title": "", "heading 1": ""}
    writer = SectionWriter()
    margins = list(_margins(document))
    some_hidden = remove_hidden(document, margins)
    unread = 0
    for kind, line, number in _lines(document, chains):
        if kind == "unread":
            unread += 1
            continue
        text = f"{number} {line}" if number else line
        if level := re.fullmatch(r"heading (\d)", kind):
            writer.enter(int(level[1]), squeeze(text))
        if kind in titles and not titles[kind]:
            titles[kind] = sensible_title(line)
        writer.write(text)
    writer.enter(1, "")
    writer.write(*_footnotes(document), *dict.fromkeys(line for root in margins for line in _margin_lines(root)))
    writer.write(*_comments(document), *_charts(document))
    writer.finish()
    title = titles["title"] or sensible_title(document.core_properties.title) or titles["heading 1"]
    notices = [HIDDEN_TEXT] * some_hidden + ["An embedded document was not read."] * bool(unread)
    return Extracted(title=title, sections=writer.sections, notice=" ".join(notices))


def _open(path: Path) -> WordDocument:
    """Also a template, and one with macros."""
    from docx.opc.constants import CONTENT_TYPE
    from docx.opc.part import PartFactory
    from docx.package import Package
    from docx.parts.document import DocumentPart

    PartFactory.part_type_for.update(dict.fromkeys((CONTENT_TYPE.WML_DOCUMENT_MAIN, *_DOCUMENTS), DocumentPart))
    document: WordDocument = Package.open(str(path)).main_document_part.document
    return document


def _lines(document: WordDocument, chains: dict[str, list[_Element]]) -> Iterator[tuple[str, str, str]]:
    """What it is ("heading 2", "title", "unread" for a part of another kind, else ""), its text and its number or dash,
    of each paragraph and table row, in order."""
    numbering = Numbering(_part_root(document, "/word/numbering.xml"), chains)
    for block in _children(document.element.body, f"{_W}p", f"{_W}tbl", f"{_W}altChunk"):
        if block.tag == f"{_W}tbl":
            yield from (("", line, "") for line in _table(block, numbering))
        elif block.tag == f"{_W}altChunk":
            text = _embedded(document.part.related_parts.get(block.get(_RELATION, "")))
            yield ("", text, "") if text else ("unread", "", "")
        else:
            kind, number = _kind(block, chains), numbering.label(block)
            if text := _text(block).strip():
                is_list = kind.startswith("list ") and not number
                yield kind, text, "-" if is_list else number


def _kind(paragraph: _Element, chains: dict[str, list[_Element]]) -> str:
    """The name of its style in lower case; "heading 1" to "heading 9" for what is one by its level or by its origin."""
    properties = paragraph.find(f"{_W}pPr")
    chain = chains.get(value_of(properties, "pStyle"), [])
    names = [value_of(style, "name").lower() for style in chain]
    if heading := next((name for name in names if re.fullmatch(r"heading \d", name)), ""):
        return heading
    owners = (properties, *(style.find(f"{_W}pPr") for style in chain))
    level = next(filter(None, (value_of(owner, "outlineLvl") for owner in owners)), "")
    if level.isdecimal() and int(level) < 9 and "title" not in names:
        return f"heading {int(level) + 1}"
    return "title" if "title" in names else next(iter(names), "")


def _table(table: _Element, numbering: Numbering) -> list[str]:
    """A line for each row that is not deleted; merged cells are repeated."""
    rows: list[list[Cell]] = []
    open_cells: dict[int, tuple[int, int]] = {}  # by column: the row and the place in it of a cell that goes on below
    for row in _children(table, f"{_W}tr"):
        properties = row.find(f"{_W}trPr")
        if properties is not None and properties.find(f"{_W}del") is not None:
            continue
        column = read_span(value_of(properties, "gridBefore"), 0)
        cells = [Cell("", column)] * bool(column)
        for cell in _children(row, f"{_W}tc"):
            own = cell.find(f"{_W}tcPr")
            width = read_span(value_of(own, "gridSpan"))
            merge = None if own is None else own.find(f"{_W}vMerge")
            text = _cell_text(cell, numbering)
            if merge is not None and merge.get(f"{_W}val") != "restart" and column in open_cells:
                at, place = open_cells[column]
                rows[at][place] = rows[at][place]._replace(rows=len(rows) - at + 1)
            else:
                open_cells.pop(column, None)
                if merge is not None:
                    open_cells[column] = len(rows), len(cells)
                cells.append(Cell(text, width))
            column += width
        rows.append(cells)
    return table_lines(rows)


def _cell_text(cell: _Element, numbering: Numbering) -> str:
    own = list(_children(cell, f"{_W}p"))
    labels = {paragraph: label for paragraph in own if (label := numbering.label(paragraph))}
    if not labels:
        return squeeze(_text(cell))
    blocks = _children(cell, f"{_W}p", f"{_W}tbl")
    return squeeze(" ".join(f"{labels.get(block, '')} {_text(block)}" for block in blocks))


def _children(parent: _Element, *tags: str) -> Iterator[_Element]:
    """Those of these tags, also inside content controls and insertions."""
    for child in parent.iterchildren():
        if child.tag in tags:
            yield child
        elif child.tag in _WRAPPERS:
            yield from _children(child, *tags)


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
        elif node.tag == f"{_W}sym":
            parts.append(_SYMBOLS.get(node.get(f"{_W}font", ""), {}).get(node.get(f"{_W}char", "")[-2:].upper(), ""))
        elif node.tag == f"{_W}checkBox":
            parts.append(_TICKED if _is_ticked(node) else _UNTICKED)
        elif node.tag == f"{_W}p" and parts:
            parts.append("\n")
        stack += reversed(node)
    return "".join(parts)


def _is_ticked(box: _Element) -> bool:
    """Whether a box of a form is ticked."""
    state = next((found for name in ("checked", "default") if (found := box.find(f"{_W}{name}")) is not None), None)
    return state is not None and state.get(f"{_W}val", "1") not in _OFF


def _embedded(part: Part | None) -> str:
    """The text of a web page or a text that is embedded whole; "" for what is neither."""
    kind = _EMBEDDED.match(part.content_type) if part is not None else None
    if part is None or kind is None:
        return ""
    text, _ = decode(part.blob, str(part.partname))
    return (text if kind[1] == "plain" else html_text(text)).strip()


# ------------------------------------------------------------------------------------------------ what stands elsewhere


def _part_root(document: WordDocument, name: str) -> _Element | None:
    part = next((part for part in document.part.package.iter_parts() if str(part.partname) == name), None)
    return None if part is None else parse_xml(part.blob)


def _margins(document: WordDocument) -> Iterator[_Element]:
    """The headers, then the footers, that are shown: those of first and of even pages only where there are such."""
    seen: set[str] = set()
    has_even = document.settings.element.find(f"{_W}evenAndOddHeaders") is not None
    for margin, section in product(("header", "footer"), list(document.element.body.iter(f"{_W}sectPr"))):
        switch = section.find(f"{_W}titlePg")
        has_first = switch is not None and switch.get(f"{_W}val", "1") not in _OFF
        for reference in section.iterchildren(f"{_W}{margin}Reference"):
            kind, relation = reference.get(f"{_W}type"), reference.get(_RELATION, "")
            is_shown = has_first if kind == "first" else has_even if kind == "even" else True
            part = document.part.related_parts.get(relation)
            if is_shown and part is not None and relation not in seen:
                seen.add(relation)
                yield parse_xml(part.blob)


def _margin_lines(root: _Element) -> Iterator[str]:
    """The lines of a header or a footer, without page numbers that stand alone."""
    no_numbering = Numbering(None, {})
    for block in _children(root, f"{_W}p", f"{_W}tbl"):
        lines = _table(block, no_numbering) if block.tag == f"{_W}tbl" else _text(block).split("\n")
        has_field = next(block.iter(f"{_W}fldChar", f"{_W}fldSimple"), None) is not None
        yield from (
            line for line in map(squeeze, lines) if line and not (has_field and not re.search(r"[^\W\d]", line))
        )


def _footnotes(document: WordDocument) -> Iterator[str]:
    for name in ("/word/footnotes.xml", "/word/endnotes.xml"):
        for note in _root_children(document, name):
            if text := squeeze(_text(note)):
                yield text


def _comments(document: WordDocument) -> Iterator[str]:
    """Each comment with its author, and the words it is on."""
    for comment in _root_children(document, "/word/comments.xml"):
        if text := squeeze(_text(comment)):
            author = squeeze(comment.get(f"{_W}author", ""))
            yield f"Comment{f' by {author}' if author else ''}: {text}"


def _charts(document: WordDocument) -> Iterator[str]:
    """What charts are drawn from, as tables."""
    for part in document.part.package.iter_parts():
        if part.content_type.endswith(".chart+xml"):
            yield from chart_rows(parse_xml(part.blob, lenient=True))


def _root_children(document: WordDocument, name: str) -> Iterator[_Element]:
    root = _part_root(document, name)
    yield from () if root is None else root
