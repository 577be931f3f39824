"""Tables with merged cells: one grid for all formats, in which a value stands in every row and column it spans."""

from __future__ import annotations

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


def table_lines(rows: Iterable[Iterable[Cell]]) -> list[str]:
    """The rows as lines `a | b`, without rows in which no text begins and columns in which no cell begins.

    A short value is repeated along its span where the row has another one beside it: a title over all columns stands
    once.
    """
    grid = _placed(rows)
    columns = sorted({cell.first for row in grid for cell in row})
    if len(grid) * len(columns) > _MOST_PLACES * sum(
        cell.top == index for index, row in enumerate(grid) for cell in row
    ):
        columns = columns[:_MOST_PLACES]
    lines = []
    for index, row in enumerate(grid):
        filled = [cell for cell in row if cell.text]
        if not any(cell.top == index for cell in filled):
            continue
        values = dict.fromkeys(columns, "")
        for cell in filled:
            if len(filled) > 1 and len(cell.text) <= _LONGEST_REPEATED:
                values.update((column, cell.text) for column in columns if cell.first <= column < cell.end)
            elif cell.top == index:
                values[cell.first] = cell.text
        lines.append(" | ".join(values.values()).rstrip(" |"))
    return lines


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
