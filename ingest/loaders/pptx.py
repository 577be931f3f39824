"""PowerPoint files (pptx): a section per slide: its shapes from top to bottom and left to right, then its notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.loaders.base import (
    HEADING_SEPARATOR,
    HIDDEN_TEXT,
    LONGEST_HEADING,
    Extracted,
    Limits,
    sensible_title,
    shortened,
    squeeze,
)
from ingest.loaders.drawing_ml import chart_rows, paragraphs
from ingest.loaders.hidden_text.pptx import remove_hidden
from ingest.loaders.table_grid import Cell, read_span, table_lines
from ingest.loaders.zip_container import PPTX, Archive, parse_xml
from rag.types.documents import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lxml.etree import _Element
    from pptx.presentation import Presentation
    from pptx.slide import Slide

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SECTIONS = "{http://schemas.microsoft.com/office/powerpoint/2010/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_INK = "{http://schemas.openxmlformats.org/presentationml/2006/main}contentPart"
_SAME_LINE = 0.02  # of the slide's height: shapes whose tops differ by less stand side by side


def load_pptx(path: Path, name: str, limits: Limits) -> Extracted:
    """One section a slide, empty where it holds no text, headed by the slide's title under the name of its part.

    Raises UnreadableDocument: encrypted, an old .ppt, no pptx at all, too large, too many slides.
    """
    with Archive(path, name, limits, PPTX) as archive:
        archive.verify()
    from pptx.package import Package

    presentation = Package.open(str(path)).main_document_part.presentation  # also of a show and of a template
    slides = list(presentation.slides)
    limits.check_pages(len(slides), name, "slides")
    parts = _parts(presentation)
    line_height = int((presentation.slide_height or 0) * _SAME_LINE)
    sections, hidden, titles = [], [], []
    some_hidden = False
    for index, slide in enumerate(slides):
        _unwrap_alternatives(slide.element)
        for part in (slide, slide.slide_layout, slide.slide_layout.slide_master):
            _delete_ink(part.element)
        some_hidden |= remove_hidden(slide)
        title, lines = _read(slide, line_height)
        titles.append(title)
        if slide.element.get("show") in ("0", "false"):
            hidden.append(str(index + 1))
        sections.append(
            Section(
                "\n".join(lines) + "\n" if lines else "",
                page_index=index,
                page_label=str(index + 1),
                heading=HEADING_SEPARATOR.join(filter(None, (parts.get(slide.slide_id, ""), title))),
            )
        )
    notices = [f"Hidden slides were read too: {', '.join(hidden)}."] if hidden else []
    if some_hidden:
        notices.append(HIDDEN_TEXT)
    return Extracted(
        title=sensible_title(presentation.core_properties.title) or sensible_title(titles[0] if titles else ""),
        sections=sections,
        notice=" ".join(notices),
    )


def _parts(presentation: Presentation) -> dict[int, str]:
    """The name of the part of the presentation that each slide is in, where there is more than one."""
    parts = list(presentation.element.iter(f"{_SECTIONS}section"))
    if len(parts) < 2:
        return {}
    return {
        int(slide.get("id", "0")): squeeze(part.get("name", ""))[:LONGEST_HEADING]
        for part in parts
        for slide in part.iter(f"{_SECTIONS}sldId")
    }


def _read(slide: Slide, line_height: int) -> tuple[str, list[str]]:
    """Title and lines of a slide."""
    title = slide.shapes.title
    titles = list(paragraphs(title.element)) if title is not None else []
    shapes = [shape for shape in slide.shapes if title is None or shape.element is not title.element]
    lines = [*titles, *_shape_lines(shapes, line_height)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = list(paragraphs(slide.notes_slide.notes_text_frame._txBody))  # noqa: SLF001 - the only way to formulas
        lines += [f"Notes: {notes[0]}", *notes[1:]] if notes else []
    return shortened(" ".join(titles)), lines


def _unwrap_alternatives(slide: _Element) -> None:
    """Puts what new programs show (such as text boxes with formulas) in the place of its wrapper, which hides it."""
    for wrapper in list(slide.iter(f"{_COMPATIBILITY}AlternateContent")):
        choice = wrapper.find(f"{_COMPATIBILITY}Choice")
        parent = wrapper.getparent()
        if choice is not None and parent is not None:
            for child in list(choice):
                wrapper.addprevious(child)
            parent.remove(wrapper)


def _delete_ink(element: _Element) -> None:
    """Strokes of a pen hold no text, and the library does not know them."""
    for stroke in list(element.iter(_INK)):
        if (parent := stroke.getparent()) is not None:
            parent.remove(stroke)


def _shape_lines(shapes: Iterable[Any], line_height: int) -> Iterator[str]:
    for shape in _in_reading_order(shapes, line_height):
        if hasattr(shape, "shapes"):  # a group
            yield from _shape_lines(shape.shapes, line_height)
        elif getattr(shape, "has_table", False):
            rows = (
                [_cell(cell) for cell in row.iter(f"{_A}tc") if not _is_covered(cell)]
                for row in shape.element.iter(f"{_A}tr")
            )
            yield from table_lines(rows)
        elif getattr(shape, "has_chart", False):
            yield from chart_rows(shape.chart.element)
        elif not _is_footer(shape):
            yield from paragraphs(shape.element)
            yield from _diagram_lines(shape)


def _cell(cell: _Element) -> Cell:
    spans = (read_span(cell.get(name)) for name in ("gridSpan", "rowSpan"))
    return Cell(squeeze(" ".join(paragraphs(cell))), *spans)


def _is_covered(cell: _Element) -> bool:
    """Whether another cell spans it."""
    return any(cell.get(name) in ("1", "true") for name in ("hMerge", "vMerge"))


def _in_reading_order(shapes: Iterable[Any], line_height: int) -> Iterator[Any]:
    """From top to bottom; those whose tops are on one line from left to right."""
    line: list[Any] = []
    for shape in sorted(shapes, key=lambda shape: shape.top or 0):
        if line and (shape.top or 0) - (line[0].top or 0) > line_height:
            yield from sorted(line, key=lambda shape: shape.left or 0)
            line = []
        line.append(shape)
    yield from sorted(line, key=lambda shape: shape.left or 0)


def _is_footer(shape: Any) -> bool:
    """Whether it is the date, the footer or the slide's number, which stand on each slide alike."""
    from pptx.enum.shapes import PP_PLACEHOLDER

    return shape.is_placeholder and shape.placeholder_format.type in (
        PP_PLACEHOLDER.DATE,
        PP_PLACEHOLDER.FOOTER,
        PP_PLACEHOLDER.SLIDE_NUMBER,
    )


def _diagram_lines(shape: Any) -> Iterator[str]:
    """The text of SmartArt, which is kept in a part of its own."""
    relation = shape.element.find(f".//{_DIAGRAM}relIds")
    if relation is not None:
        part = shape.part.related_part(relation.get(f"{_RELATION}dm"))
        yield from (f"- {text}" for text in paragraphs(parse_xml(part.blob)))
