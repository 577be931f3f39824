"""Rows become sections: groups of whole rows, each row a line that names its columns, so that a row says what it is.

Article: P-200; Price: 149.00; In stock: yes

Shared by delimited text (csv, tsv) and spreadsheets. Blank rows part a sheet into blocks. A block has a header of its
own if its first rows look so, else that of the block above; where there is none, a row is its values: P-200; 149.00.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice, pairwise, zip_longest
from typing import NamedTuple

from ingest.loaders.base import HEADING_SEPARATOR, Limits, groups_of, shortened
from rag.types.documents import Section

Cells = list[str]  # on one line each, "" where empty
Row = tuple[int, Cells]  # with its number as a spreadsheet shows it, from 1

GROUP_BYTES = 600  # of UTF-8; about 200 tokens in any language: a group should fit a chunk
_SAMPLE = 50  # rows that tell whether there is a header
_LONGEST_NAME = 80  # characters of a column's name, which stands in each row
_TALLEST_HEADER = 3  # rows
_SHORT = 40  # characters; a single column of longer ones, on average, is a text
_LONGEST_KEY = 100  # bytes of a row's first value, which is repeated where the row is cut
_LONGEST_SUMMARY = 1000  # characters
_FIGURE = re.compile(
    r"\W*(?:[A-Z]{3} ?)?\d(?:[\d\s.,:/'%€$£°()T+-]|[eE][+-]?\d)*(?:[AaPp][Mm]|Z|[A-Z]{3})?\)?|(?i:true|false)"
)
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class _Table:
    """A block of rows. `above` are lines of text over it; `prefixes` are what stands before the values of a row."""

    above: list[Row]
    header: list[Row]
    prefixes: list[str]
    body: Iterator[Row]


class _Line(NamedTuple):
    number: int
    text: str
    is_row: bool = True


def row_sections(rows: Iterable[Row], name: str, limits: Limits, sheet: str = "") -> list[Section]:
    """Sections headed "sheet › rows 2–14". A table of several groups begins with one that tells its rows and columns.

    `rows` come in order and are not blank; they are read once. Raises UnreadableDocument when they hold too much text.
    """
    sections: list[Section] = []
    characters = 0
    for prefixes, tables in groupby(_tables(rows), key=lambda table: table.prefixes):
        first_group = len(sections)
        count = first = last = 0
        lines = (line for table in tables for line in _lines(table))
        for group in groups_of(lines, lambda line: len(line.text.encode()), GROUP_BYTES):
            text = "".join(line.text for line in group)
            sections.append(Section(text, heading=_heading(sheet, group[0].number, group[-1].number)))
            characters += len(text)
            limits.check_text(characters, name)
            count += len({line.number for line in group if line.is_row} - {last})
            first, last = first or group[0].number, group[-1].number
        if len(sections) - first_group > 1:
            names = "; ".join(prefix.removesuffix(": ") for prefix in prefixes if prefix)
            summary = f"{count:,} rows; columns: {names}" if names else f"{count:,} rows"
            sections.insert(
                first_group, Section(summary[:_LONGEST_SUMMARY] + "\n", heading=_heading(sheet, first, last))
            )
    return sections


def _heading(sheet: str, first: int, last: int) -> str:
    numbers = f"row {first}" if first == last else f"rows {first}–{last}"
    return f"{sheet}{HEADING_SEPARATOR}{numbers}" if sheet else numbers


def _tables(rows: Iterable[Row]) -> Iterator[_Table]:
    prefixes: list[str] = []
    waiting: list[Row] = []  # a few rows of words, maybe the header of the next block
    rows = iter(rows)
    start = list(islice(rows, _SAMPLE))
    gaps = {after[0] - before[0] for before, after in pairwise(start)}
    spacing = gaps.pop() if len(gaps) == 1 else 1  # each second row of some exports is blank
    for _, numbered in groupby(enumerate(chain(start, rows)), key=lambda item: item[1][0] - spacing * item[0]):
        block = (row for _, row in numbered)
        head = list(islice(block, _SAMPLE))
        if waiting:
            names, cells_of_head = _stacked(waiting), [cells for _, cells in head]
            if _evidence(names, cells_of_head) > 0 >= _evidence(cells_of_head[0], cells_of_head[1:]):
                table = _Table([], waiting, _prefixes(names), chain(head, block))
                waiting, prefixes = [], table.prefixes
                yield table
                continue
            table = _table(waiting, iter(()), prefixes)
            waiting, prefixes = [], table.prefixes or prefixes
            yield table
        if _is_header_alone(head):
            waiting = head
            continue
        table = _table(head, block, prefixes)
        prefixes = table.prefixes or prefixes
        yield table
    if waiting:
        yield _table(waiting, iter(()), prefixes)


def _table(head: list[Row], rest: Iterator[Row], inherited: list[str]) -> _Table:
    """Finds the header in the first rows of a block. `inherited` are the prefixes of the block above."""
    filled = [sum(map(bool, cells)) for _, cells in head]
    usual = Counter(filled).most_common(1)[0][0]
    at = next((index for index, count in enumerate(filled) if count > 1 and 2 * count >= usual), 0)
    above, first, below = head[:at], head[at][1], [cells for _, cells in head[at + 1 :]]
    evidence = _evidence(first, below)
    named = sum(map(bool, inherited))
    if max(filled) == 1 and named > 1:  # notes below a table
        return _Table([], [], [], chain(head, rest))
    if 2 * sum(cells[0].endswith(":") for _, cells in head) > len(head):  # a form: "Customer:", "Roe"
        return _Table([], [], [], chain(head, rest))
    if named > 1 and 2 * named >= usual and evidence <= 0:
        return _Table([], [], inherited, chain(head, rest))
    if _is_upper_half(first, below):
        return _Table(above, head[at : at + 2], _prefixes(_stacked(head[at : at + 2])), chain(head[at + 2 :], rest))
    if evidence > 0 or (evidence == 0 and _could_be_names(first, below)):
        return _Table(above, [head[at]], _prefixes(first), chain(head[at + 1 :], rest))
    return _Table(above, [], [], chain(head[at:], rest))


def _evidence(first: Cells, below: Sequence[Cells]) -> int:
    """Above 0 when `first` names the columns `below`, under 0 when it is a row like them, 0 when one cannot tell."""
    votes = 0
    for column, name in enumerate(first):
        values = [cells[column] for cells in below if column < len(cells) and cells[column]]
        if not name or not values:
            continue
        if 2 * sum(map(_is_figure, values)) > len(values):
            is_year_over_amounts = _YEAR.fullmatch(name) and not all(map(_YEAR.fullmatch, values))
            votes += 1 if is_year_over_amounts or not _is_figure(name) else -1
        elif _is_figure(name) or name in values:
            votes -= 1
    return votes


def _is_figure(cell: str) -> bool:
    """Whether it is a number, an amount, a date, a time, or true or false."""
    return len(cell) < 40 and _FIGURE.fullmatch(cell) is not None


def _could_be_names(first: Cells, below: Sequence[Cells]) -> bool:
    """Whether a row of words over words may be a header: each cell short and unlike the others."""
    if len(first) == 1 and below:  # a column of words, or lines of text?
        return sum(len(cells[0]) for cells in below) <= _SHORT * len(below)
    names = [name for name in first if name]
    return len({*names}) == len(names) and max(map(len, names)) <= _LONGEST_NAME and not any(map(_is_figure, names))


def _is_upper_half(first: Cells, below: Sequence[Cells]) -> bool:
    """Whether `first` and the row after it are one header: "2023", "2023" over "Q1", "Q2"."""
    if len(below) < 2 or any(map(_is_figure, below[0])) or _evidence(below[0], below[1:]) <= 0:
        return False
    names = [name for name in first if name]
    pairs = zip_longest(first, below[0], fillvalue="")
    return len({*names}) < len(names) or any(lower and not upper for upper, lower in pairs)


def _is_header_alone(head: list[Row]) -> bool:
    """Whether a block is a few rows of words, of which one has several: the names may stand apart from the figures."""
    return (
        len(head) <= _TALLEST_HEADER
        and any(sum(map(bool, cells)) > 1 for _, cells in head)
        and not any(_is_figure(cell) and not _YEAR.fullmatch(cell) for _, cells in head for cell in cells)
    )


def _stacked(header: list[Row]) -> Cells:
    """One name a column, from the rows of a header."""
    columns = zip_longest(*(cells for _, cells in header), fillvalue="")
    return [" ".join(dict.fromkeys(filter(None, column))) for column in columns]


def _prefixes(names: Cells) -> list[str]:
    return [f"{shortened(name, _LONGEST_NAME).rstrip(':')}: " if name else "" for name in names]


def _lines(table: _Table) -> Iterator[_Line]:
    """The lines of a table; a long row becomes several, each of which begins with its first value."""
    yield from (_Line(number, _plain(cells), is_row=False) for number, cells in table.above)
    row = None
    for row in table.body:
        number, cells = row
        pairs = [prefix + cell for prefix, cell in zip_longest(table.prefixes, cells, fillvalue="") if cell]
        line = "; ".join(pairs)
        if len(line) * 4 <= GROUP_BYTES or len(line.encode()) <= GROUP_BYTES:
            yield _Line(number, line.replace(":; ", ": ") + "\n")
        else:
            yield from (_Line(number, part + "\n") for part in _cut(pairs))
    if row is None:
        yield from (_Line(number, _plain(cells), is_row=False) for number, cells in table.header)


def _plain(cells: Cells) -> str:
    return "; ".join(filter(None, cells)) + "\n"


def _cut(pairs: list[str]) -> Iterator[str]:
    key = pairs[0] if len(pairs[0].encode()) <= _LONGEST_KEY else ""
    part, size = pairs[0], len(pairs[0].encode())
    for pair in pairs[1:]:
        added = len(pair.encode()) + 2
        if size + added > GROUP_BYTES and part != key:
            yield part
            part, size = key, len(key.encode())
        part = f"{part}; {pair}" if part else pair
        size += added
    yield part
