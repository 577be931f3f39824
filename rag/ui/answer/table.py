"""Rows of a sheet as a table again: each line of its text is a row that names its columns (`Article: P-200; Price: 9`).

Values may hold the signs that part cells, so a column is what several rows name alike; what is no column's beginning
belongs to the cell before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

ROWS_AROUND = 6  # shown before and after those that are cited
_SEPARATOR = "; "


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a sheet; those with their places in `marked` are cited."""

    columns: list[str]
    rows: list[list[str]]
    marked: list[int]


def table_of(text: str, start: int, end: int) -> Table | None:
    """The rows around `text[start:end]`; None where the text has no columns."""
    lines: list[tuple[str, bool]] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        lines.append((line.strip(), start < offset + len(line.rstrip("\n")) and end > offset))
        offset += len(line)
    cited = [place for place, (_, is_cited) in enumerate(lines) if is_cited]
    if not cited:
        return None
    lines = [line for line in lines[max(0, cited[0] - ROWS_AROUND) : cited[-1] + ROWS_AROUND + 1] if line[0]]
    parts = [line.split(_SEPARATOR) for line, _ in lines]
    named = Counter(name for cells_of_line in parts for name in dict.fromkeys(map(_name, cells_of_line)) if name)
    common = {name for name, count in named.items() if 2 * count >= len(lines)}
    rows: list[dict[str, str]] = []
    marked: list[int] = []
    for cells_of_line, (_, is_cited) in zip(parts, lines, strict=True):
        cells = _cells(cells_of_line, common)
        if len(cells) > 1:
            marked += [len(rows)] if is_cited else []
            rows.append(cells)
    columns = list(dict.fromkeys(name for cells in rows for name in cells))
    if len(columns) < 2 or not marked:
        return None
    return Table(columns, [[cells.get(name, "") for name in columns] for cells in rows], marked)


def _name(part: str) -> str:
    name, separator, _ = part.partition(": ")
    return name if separator else ""


def _cells(parts: list[str], columns: set[str]) -> dict[str, str]:
    cells: dict[str, str] = {}
    last = ""
    for part in parts:
        name = _name(part)
        if name in columns and name not in cells:
            last = name
            cells[name] = part[len(name) + 2 :]
        elif last:
            cells[last] += _SEPARATOR + part
    return cells
