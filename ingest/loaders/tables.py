"""Tables in text files (csv, tsv): each row a line that names its columns, so that a row says what it is.

Article: P-200; Price: 149.00; In stock: yes
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from ingest.loaders.base import Extracted, Limits, Section, squeeze
from ingest.loaders.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_PER_SECTION = 20
_DELIMITERS = ",;\t|"
_SNIFFED_ROWS = 50

Row = tuple[int, list[str]]  # number as a spreadsheet counts it, and cells


def load_csv(path: Path, name: str, limits: Limits) -> Extracted:
    """Groups of whole rows as sections, headed by their row numbers. Raises UnreadableDocument when not text."""
    text, notice = decode(path.read_bytes(), name)
    table = list(_rows(text, _delimiter(text, "\t" if name.lower().endswith(".tsv") else ",")))
    if not table:
        return Extracted(title="", sections=[], notice=notice)

    # Lines above the header, such as the table's name, fill one cell only.
    at = next((index for index, (_, cells) in enumerate(table) if sum(map(bool, cells)) > 1), 0)
    above, (header_row, header), body = table[:at], table[at], table[at + 1 :]
    sections = [Section("".join("".join(cells) + "\n" for _, cells in above))] if above else []
    if not body:
        sections.append(Section("; ".join(filter(None, header)) + "\n", heading=f"row {header_row}"))
    characters = 0
    for first in range(0, len(body), ROWS_PER_SECTION):
        group = body[first : first + ROWS_PER_SECTION]
        lines = "".join(_line(header, cells) for _, cells in group)
        sections.append(Section(lines, heading=_row_numbers(group[0][0], group[-1][0])))
        characters += len(lines)
        limits.check_text(characters, name)
    return Extracted(title="", sections=sections, notice=notice)


def _delimiter(text: str, expected: str) -> str:
    """The delimiter that gives the most rows the same number of cells, of which there are at least two."""

    def agreement(delimiter: str) -> tuple[int, int, bool]:
        widths = Counter(len(cells) for _, cells in islice(_rows(text, delimiter), _SNIFFED_ROWS))
        same, width = max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))
        return same, width, delimiter == expected

    return max(_DELIMITERS, key=agreement)


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    """Rows that are not blank; white space in cells, line breaks too, collapses."""
    csv.field_size_limit(max(len(text), 131_072))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    for number, cells in enumerate(reader, start=1):
        cleaned = [squeeze(cell) for cell in cells]
        if any(cleaned):
            yield number, cleaned


def _line(header: list[str], cells: list[str]) -> str:
    names = (*header, *("" for _ in range(len(cells) - len(header))))
    pairs = zip(names, cells, strict=False)
    return "; ".join(f"{name or f'Column {n}'}: {cell}" for n, (name, cell) in enumerate(pairs, 1) if cell) + "\n"


def _row_numbers(first: int, last: int) -> str:
    return f"row {first}" if first == last else f"rows {first}–{last}"
