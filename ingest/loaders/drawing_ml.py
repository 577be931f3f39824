"""Paragraphs and charts of DrawingML, which Word, PowerPoint and Excel have alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.loaders.base import squeeze

if TYPE_CHECKING:
    from lxml.etree import _Element

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_FORMULA_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_MOST_POINTS = 1000  # of a chart; more are a picture, not something to read


def paragraphs(element: _Element) -> Iterator[str]:
    """The text of each paragraph inside; formulas as their characters."""
    for paragraph in element.iter(f"{_A}p"):
        nodes = paragraph.iter(f"{_A}t", f"{_A}br", _FORMULA_TEXT)
        parts = (" " if node.tag == f"{_A}br" else node.text or "" for node in nodes)
        if text := squeeze("".join(parts)):
            properties = paragraph.find(f"{_A}pPr")
            level = int(properties.get("lvl", "0")) if properties is not None else 0
            yield "  " * (level - 1) + f"- {text}" if level else text


def chart_title(chart: _Element) -> str:
    """The title of a chart; empty where it has none."""
    title = chart.find(f".//{_C}chart/{_C}title")
    return "" if title is None else squeeze(" ".join(paragraphs(title)))


def chart_rows(chart: _Element) -> Iterator[str]:
    """A chart as a table: "| 2023 | 2024", "Kilns | 12 | 15"."""
    if title := chart_title(chart):
        yield title
    columns: list[tuple[str, dict[int, str]]] = []
    categories: dict[int, str] = {}
    for series in chart.iter(f"{_C}ser"):
        categories = categories or _points(series, "cat") or _points(series, "xVal")
        columns.append((" ".join(_points(series, "tx").values()), _points(series, "val") or _points(series, "yVal")))
    if any(name for name, _ in columns):
        yield " | ".join(["", *(name for name, _ in columns)]).strip()
    for index in sorted({index for _, values in columns for index in values})[:_MOST_POINTS]:
        yield " | ".join([categories.get(index, ""), *(values.get(index, "") for _, values in columns)])


def _points(series: _Element, tag: str) -> dict[int, str]:
    """The values by their place; those of nested categories joined."""
    points: dict[int, str] = {}
    for point in series.iterfind(f"{_C}{tag}//{_C}pt"):
        index = int(point.get("idx", "0"))
        value = squeeze(point.findtext(f"{_C}v") or "")
        points[index] = f"{value} {points[index]}" if index in points else value
    return points
