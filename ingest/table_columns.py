"""Names of columns for chunks that begin within a table: a row says little without what stands over it.

Loaders write a table's row as a line, `Cash | 1,234 | 2,345`, Markdown as `| Cash | 1,234 |`. The first row names the
columns unless it holds figures; a table that goes on at the top of the next page keeps the names it had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CELL = " | "
_FEWEST_ROWS = 3  # below the names; a smaller table fits into one chunk
_WIDEST_GAP = 2  # lines between two rows that are none, such as "Current assets:"
_LONGEST_LINE = 80  # characters of such a line
_LONGEST = 150  # characters of the names
_RULE = re.compile(r"[\s|:-]+")  # below the names, in Markdown
_FIGURE = re.compile(r"\W*\d[\d.,:/ ()%-]*\W*|[-–—]")
_YEAR = re.compile(r"\W*(?:19|20)\d\d\W*")


@dataclass(frozen=True, slots=True)
class Table:
    """Where a table's rows below its names are in a text, and its names, empty where nobody knows them. `is_last`: no
    more text follows it."""

    start: int
    end: int
    columns: str
    is_last: bool


def tables_of(text: str, columns_before: str = "") -> list[Table]:
    """The tables in a text; `columns_before` are those of the table with which the page before ended."""
    tables = []
    for rows, is_first, is_last in _runs(text):
        names, start = _names(rows[0][2]), rows[1][0]
        if not names:
            start = rows[0][0]
            names = columns_before if is_first and _width(columns_before) == _width(rows[0][2]) else ""
        if len(rows) > _FEWEST_ROWS and names:
            tables.append(Table(start, rows[-1][1], names, is_last))
    return tables


def _runs(text: str) -> Iterator[tuple[list[tuple[int, int, str]], bool, bool]]:
    """Rows that belong together, each with its place, and whether other text than a few lines stands before and behind
    them."""
    if _CELL not in text:
        return
    rows: list[tuple[int, int, str]] = []
    gap = lines_before = 0
    is_first = True
    start = 0
    for line in text.split("\n"):
        end = start + len(line)
        if _CELL in line and not _RULE.fullmatch(line):
            if not rows:
                is_first = lines_before <= _WIDEST_GAP
            rows.append((start, end, line))
            gap = 0
        elif line.strip() and not _RULE.fullmatch(line):
            gap += 1
            if rows and (gap > _WIDEST_GAP or len(line) > _LONGEST_LINE):
                if len(rows) > 1:
                    yield rows, is_first, False
                rows = []
            lines_before += 1
        start = end + 1
    if len(rows) > 1:
        yield rows, is_first, True


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _width(row: str) -> int:
    return len(_cells(row)) if row else 0


def _names(row: str) -> str:
    """The row if it names columns: at most half of its cells are figures, years not counted."""
    cells = _cells(row)
    figures = sum(_FIGURE.fullmatch(cell) is not None and not _YEAR.fullmatch(cell) for cell in cells)
    return _CELL.join(cells)[:_LONGEST].strip() if 2 * figures < len(cells) else ""
