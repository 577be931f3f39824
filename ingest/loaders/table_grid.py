"""Tables with merged cells: one grid for all formats, in which a value stands in every row and column it spans."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

_LONGEST_REPEATED = 60  # characters; a longer value stands once
_MOST_PLACES = 50  # for each cell of a table, so that a few bytes of spans do not become a flood
_WIDEST, _TALLEST = 1000, 1000  # columns and rows of a span
_MOST_FROM_ABOVE = 200  # cells that reach into a row


class Cell(NamedTuple):
    """A cell as the file names it, at its first row and column; its text on one line."""

    text: str
    columns: int = 1
    rows: int = 1


class _Placed(NamedTuple):
    text: str
    first: int  # column
    end: int  # the column behind its last
    top: int
    bottom: int  # the last row


def read_span(text: str | None, otherwise: int = 1) -> int:
    """The number of columns or rows that a file gives; `otherwise` where it gives none."""
    start = (text or "")[:5]  # no more are taken
    return int(start) if start.isdecimal() else otherwise


def table_lines(rows: Iterable[Iterable[Cell]]) -> list[str]:
    """The rows as lines `a | b`, without rows in which no text begins and columns in which no cell begins.

    A short value is repeated along its span where the row has another one beside it: a title over all columns stands
    once. Where that would make a flood, each text stands once.
    """
    grid = _placed(rows)
    columns = sorted({cell.first for row in grid for cell in row})
    beginning = [[cell for cell in row if cell.top == index] for index, row in enumerate(grid)]
    is_flood = len(grid) * len(columns) > _MOST_PLACES * sum(map(len, beginning))
    lines = []
    for row, own in zip(grid, beginning, strict=True):
        if any(cell.text for cell in own):
            values = [cell.text for cell in own] if is_flood else _values(row, own, columns)
            lines.append(" | ".join(values).rstrip(" |"))
    return lines


def _values(row: Iterable[_Placed], own: Iterable[_Placed], columns: list[int]) -> list[str]:
    """What stands in each of the columns in a row; `own` are the cells that begin in it."""
    values = [""] * len(columns)
    filled = [cell for cell in row if cell.text]
    repeated = [cell for cell in filled if len(filled) > 1 and len(cell.text) <= _LONGEST_REPEATED]
    for cell in repeated:
        first, end = bisect_left(columns, cell.first), bisect_left(columns, cell.end)
        values[first:end] = [cell.text] * (end - first)
    for cell in own:
        if cell.text:
            values[bisect_left(columns, cell.first)] = cell.text
    return values


def _placed(rows: Iterable[Iterable[Cell]]) -> list[list[_Placed]]:
    """The cells that stand in each row, those that reach into it from above too."""
    grid: list[list[_Placed]] = []
    above: list[_Placed] = []
    for index, row in enumerate(rows):
        above = [cell for cell in above if cell.bottom >= index][:_MOST_FROM_ABOVE]
        blocked = sorted(((cell.first, cell.end) for cell in above), reverse=True)
        column = 0
        own = []
        for cell in row:
            while blocked and blocked[-1][0] <= column:
                column = max(column, blocked.pop()[1])
            end = column + min(max(cell.columns, 1), _WIDEST)
            own.append(_Placed(cell.text, column, end, index, index + min(max(cell.rows, 1), _TALLEST) - 1))
            column = end
        grid.append(above + own)
        above += [cell for cell in own if cell.bottom > index]
    return grid
