"""Lines of a PDF page, in the order in which they were drawn, become lines in the order in which they are read.

What was drawn cell by cell becomes a table's row again; what was drawn column of figures by column of figures, rows;
what was drawn straight across two columns of text, one column after the other. All else stays as it was drawn.
Coordinates are in points, y grows upwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

CELL_SEPARATOR = " | "

_MARKER = re.compile(r"[•▪●○◦■□☐☒✓➢\uf0b7\uf0a7*o–—-]|\(?(?:[0-9]{1,3}|[a-z]|[ivx]{2,5})[.)]", re.IGNORECASE)
_FIGURE = re.compile(r"[(\-–—+]?\s?[$€£¥]?\s?\(?\d[\d.,' ]*\)?\s?%?\s?\)?|[-–—]|n/?[am]", re.IGNORECASE)
_LONGEST_LABEL = 12  # characters of “Item 7.” or “Section 12.” before what it introduces
_WIDEST_INDENT = 3.0  # heights of the line between the two
_FEWEST_ROWS = 4  # of a table without figures that was drawn column by column: headings of three lines are common
_CONTINUED = 0.3  # of the lines of a text begin in small letters
_HIGHEST_CELL = 8  # lines; a higher one is a column of text
_LONGEST_CELL = 250  # characters
_TEXT_WIDTH = 30  # characters a line, on average: as wide and three lines high is a paragraph
_COLUMN_WIDTH = 20  # likewise: as wide and filled is a column of text
_WIDEST_LEADING = 1.5  # heights of the line between it and the one above, in a column
_SHORTEST_COLUMN = 5  # lines that were drawn across


@dataclass(slots=True)
class Cell:
    """Words on one line without a wide gap between them."""

    text: str
    left: float
    right: float

    def extend(self, text: str, right: float) -> None:
        """Takes in the next word, whose right edge is `right`."""
        self.text += text
        self.right = max(self.right, right)


@dataclass(slots=True)
class Line:
    """Cells side by side, at least one."""

    cells: list[Cell]
    bottom: float
    top: float

    @property
    def left(self) -> float:
        return self.cells[0].left

    @property
    def right(self) -> float:
        return self.cells[-1].right

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2

    @property
    def text(self) -> str:
        text = self.cells[0].text
        for before, cell in pairwise(self.cells):
            text += CELL_SEPARATOR if self._separates(before, cell) else " "
            text += cell.text
        return text

    def _separates(self, before: Cell, cell: Cell) -> bool:
        """Whether the gap between two neighbouring cells is one of a table, not that behind a bullet or a label."""
        if before is not self.cells[0]:
            return True
        is_indent = len(before.text) <= _LONGEST_LABEL and cell.left - before.right < _WIDEST_INDENT * self.height
        is_text = len(self.cells) == 2 and len(cell.text) > len(before.text) and not _FIGURE.fullmatch(cell.text)
        return not (_MARKER.fullmatch(before.text) or (is_indent and is_text))

    def shares_baseline(self, other: Line) -> bool:
        return abs(self.middle - other.middle) < 0.5 * min(self.height, other.height)


def reading_order(lines: Sequence[Line]) -> list[Line]:
    """The lines as a reader takes them in."""
    return _with_rows(_with_columns(lines))


def _with_columns(lines: Sequence[Line]) -> list[Line]:
    """Lines drawn straight across columns of text are cut at the gutter: the left ones first."""
    result: list[Line] = []
    place = 0
    while place < len(lines):
        run = _lines_across(lines, place)
        if run is None:
            result.append(lines[place])
            place += 1
        else:
            end, left, right = run
            result += left
            result += _with_columns(right)
            place = end
    return result


def _lines_across(lines: Sequence[Line], start: int) -> tuple[int, list[Line], list[Line]] | None:
    """Where the lines across two columns that begin at `start` end, and both columns; None if there are none."""
    if len(lines[start].cells) < 2 or len(lines) - start < _SHORTEST_COLUMN:
        return None
    left: list[Line] = []
    right: list[Line] = []
    from_, to = 0.0, float("inf")  # the gutter so far
    end = start
    for end, line in enumerate([*lines[start:], None], start):
        above = lines[end - 1] if end > start else None
        if line is None or not _is_wordy(line.text) or (above and not _follows(line, above)):
            break
        gap = _gap_at(line, from_, to)
        if gap is None:
            break
        from_, to = max(from_, gap[0]), min(to, gap[1])
        for side, cells in (
            (left, [cell for cell in line.cells if cell.right <= to]),
            (right, [cell for cell in line.cells if cell.left >= to]),
        ):
            if cells:
                side.append(Line(cells, line.bottom, line.top))
    across = len(left) + len(right) - (end - start)
    if across < _SHORTEST_COLUMN or not (_is_running_text(left) and _is_running_text(right)):
        return None
    return end, left, right


def _follows(line: Line, above: Line) -> bool:
    return line.top < above.top and above.bottom - line.top < _WIDEST_LEADING * line.height


def _gap_at(line: Line, from_: float, to: float) -> tuple[float, float] | None:
    """What of the gutter from `from_` to `to` the line leaves free; None if nothing."""
    edges = [
        (-float("inf"), line.left),
        *((a.right, b.left) for a, b in pairwise(line.cells)),
        (line.right, float("inf")),
    ]
    for begin, end in edges[1:-1] + edges[:1] + edges[-1:]:
        if min(end, to) - max(begin, from_) > line.height / 2:
            return max(begin, from_), min(end, to)
    return None


def _is_wordy(text: str) -> bool:
    return sum(map(str.isalpha, text)) > 0.6 * len(text)


def _is_running_text(column: Sequence[Line]) -> bool:
    """Whether its lines are long and as wide as the column, and go on from one to the next in small letters."""
    text = "".join(line.text for line in column)
    width = max(line.right for line in column) - min(line.left for line in column)
    return (
        len(column) >= _SHORTEST_COLUMN
        and len(text) >= _COLUMN_WIDTH * len(column)
        and sum(line.text[0].islower() for line in column) > _CONTINUED * len(column)
        and median(line.right - line.left for line in column) > 0.8 * width
    )


def _with_rows(lines: Sequence[Line]) -> list[Line]:
    """Cells drawn one after the other, each from top to bottom, become rows of a table."""
    result: list[Line] = []
    pending: list[Line] = []  # drawn downwards since the last row
    row: list[list[Line]] = []  # the cells of the row that may go on
    for block in _blocks(lines):
        if row and not _goes_on(row, block[0]):
            result += _row(row)
            row = []
        if not row:
            label = _beside(pending, block[0])
            result += pending[: len(pending) - len(label)]
            pending = []
            row = [label] if label else []
        cell = _cell(block, row[-1]) if row else []
        pending = block[len(cell) :]
        if cell:
            row.append(cell)
        if pending:
            result += _row(row)
            row = []
    return result + _row(row) + pending


def _blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines, cut where the next one is not below the last."""
    blocks: list[list[Line]] = []
    for line in lines:
        if not blocks or line.middle >= blocks[-1][-1].middle:
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _beside(drawn: Sequence[Line], first: Line) -> list[Line]:
    """The last lines of those drawn, as far as they are the cell to the left of the cell that begins with `first`."""
    cell: list[Line] = []
    for line in reversed(drawn):
        is_beside = line.middle <= first.top and line.right <= first.left
        if not is_beside or (cell and not (_is_one_cell(line) and _aligned(line, cell[-1]))):
            break
        cell.append(line)
        if not _is_one_cell(line):
            break
    return cell[::-1]


def _goes_on(row: Sequence[Sequence[Line]], first: Line) -> bool:
    lines = [line for cell in row for line in cell]
    return first.left >= max(line.right for line in row[-1]) and first.top > min(line.bottom for line in lines)


def _cell(block: Sequence[Line], before: Sequence[Line]) -> list[Line]:
    """The lines at the beginning of the block that form one cell to the right of the cell `before`."""
    right = max(line.right for line in before)
    cell = [block[0]]
    if _is_one_cell(block[0]):
        for line in block[1:]:
            is_close = cell[-1].bottom - line.top < line.height
            is_next_row = len(cell) < len(before) and before[len(cell)].shares_baseline(line)
            follows = (is_close or is_next_row) and _aligned(line, cell[-1])
            if not (follows and line.left >= right and _is_one_cell(line)):
                break
            cell.append(line)
    return cell


def _is_one_cell(line: Line) -> bool:
    return len(line.cells) == 1


def _aligned(line: Line, other: Line) -> bool:
    """Whether two lines start, end or have their centre one below the other."""
    left, right = line.left - other.left, line.right - other.right
    return min(abs(left), abs(right), abs(left + right) / 2) < line.height / 2


def _row(columns: Sequence[Sequence[Line]]) -> list[Line]:
    """The columns as rows if figures stand in them, or line stands beside line; as one row if they are small, else one
    after the other."""
    if len(columns) > 1 and (any(_are_figures(column) for column in columns[1:]) or _are_rows(columns)):
        rows = _by_baseline(columns)
        if len(rows) <= 1.4 * max(map(len, columns)):
            return rows
    if len(columns) > 1 and all(_is_small(column) for column in columns):
        cells = [cell for column in columns for cell in _as_cells(column)]
        lines = [line for column in columns for line in column]
        return [Line(cells, min(line.bottom for line in lines), max(line.top for line in lines))]
    return [line for column in columns for line in column]


def _are_figures(column: Sequence[Line]) -> bool:
    figures = sum(_FIGURE.fullmatch(line.text) is not None for line in column)
    return len(column) > 1 and figures > 0.6 * len(column)


def _are_rows(columns: Sequence[Sequence[Line]]) -> bool:
    """Whether the columns have equally many short lines, on the same baselines, and none is text."""
    first = columns[0]
    return len(first) >= _FEWEST_ROWS and all(
        len(column) == len(first)
        and mean(len(line.text) for line in column) <= _TEXT_WIDTH
        and sum(line.text[0].islower() for line in column[1:]) <= _CONTINUED * len(column)
        and not any(line.text.endswith(("-", "\ufffe")) for line in column)
        and all(line.shares_baseline(other) for line, other in zip(column, first, strict=True))
        for column in columns
    )


def _is_small(column: Sequence[Line]) -> bool:
    lengths = [len(line.text) for line in column]
    is_text = len(lengths) > 2 and mean(lengths) > _TEXT_WIDTH
    is_list = len(lengths) > 1 and any(_MARKER.fullmatch(line.text.split(" ")[0]) for line in column)
    return len(lengths) <= _HIGHEST_CELL and sum(lengths) <= _LONGEST_CELL and not is_text and not is_list


def _as_cells(column: Sequence[Line]) -> list[Cell]:
    if len(column) == 1:
        return column[0].cells
    text = " ".join(line.text for line in column).replace("\ufffe ", "\ufffe")
    return [Cell(text, min(line.left for line in column), max(line.right for line in column))]


def _by_baseline(columns: Sequence[Sequence[Line]]) -> list[Line]:
    rows: list[Line] = []
    for column in columns:
        for line in column:
            row = next((row for row in rows if row.shares_baseline(line)), None)
            if row is None:
                rows.append(Line(list(line.cells), line.bottom, line.top))
            else:
                row.cells += line.cells
    return sorted(rows, key=lambda row: -row.middle)
