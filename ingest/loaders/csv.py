"""Tables in text files (csv, tsv): the delimiter is sniffed, rows go the way of all tables (table_sections.py)."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from ingest.loaders.base import INVISIBLE, Extracted, Limits
from ingest.loaders.encoding import decode
from ingest.loaders.table_sections import Row, row_sections

_DELIMITERS = ",;\t|"
_SNIFFED_ROWS = 50
_SNIFFED_CHARACTERS = 256 * 1024
_DECLARED = re.compile(r"sep=([^\w\s]|\t)\n", re.IGNORECASE)  # a first line for Excel
_END = "\0"  # stands in no decoded text


def load_csv(path: Path, name: str, limits: Limits) -> Extracted:
    """Groups of whole rows as sections, headed by their row numbers. Raises UnreadableDocument when not text."""
    text, notice = decode(path.read_bytes(), name)
    text = text.translate(INVISIBLE)
    if declared := _DECLARED.match(text):
        text, delimiter = "\n" + text[declared.end() :], declared[1]
    else:
        delimiter = _delimiter(text[:_SNIFFED_CHARACTERS], "\t" if name.lower().endswith(".tsv") else ",")
    try:
        sections = row_sections(_rows(text, delimiter), name, limits)
    except _OpenQuotationError:
        sections = row_sections(_rows(text, delimiter, quotations=False), name, limits)
        notice = f"{notice} A quotation mark is not closed: all were read as plain characters.".strip()
    return Extracted(title="", sections=sections, notice=notice)


class _OpenQuotationError(Exception):
    """A cell that goes on to the end of the file: its quotation mark is not one."""


def _delimiter(text: str, expected: str) -> str:
    """The delimiter that gives the most rows the same number of cells, of which there are at least two."""

    def agreement(delimiter: str) -> tuple[int, int, bool]:
        rows = islice(_rows(text, delimiter, is_complete=False), _SNIFFED_ROWS)
        widths = Counter(len(cells) for _, cells in rows)
        same, width = max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))
        return same, width, delimiter == expected

    return max(_DELIMITERS, key=agreement)


def _rows(text: str, delimiter: str, *, quotations: bool = True, is_complete: bool = True) -> Iterator[Row]:
    """Rows that are not blank, numbered as a spreadsheet does; white space in cells, line breaks too, collapses.

    Raises _OpenQuotationError, at the end, when a quotation swallowed the rest of a text that `is_complete`.
    """
    csv.field_size_limit(max(len(text) + 1, 131_072))
    lines = chain(io.StringIO(text, newline=""), ["\n", _END])
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotations else csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    for number, cells in enumerate(reader, start=1):
        if cells == [_END]:
            return
        cleaned = [" ".join(cell.split()) for cell in cells]
        if any(cleaned):
            yield number, cleaned
    if is_complete:
        raise _OpenQuotationError
