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
_RARE_DELIMITERS = "^~:"
_WIDE_SPACE = re.compile(r"(?<=\S) {2,}(?=\S)")
_ESCAPED_QUOTATION = re.compile(r'(?<!\\)\\"')
_CONTROL_DELIMITER = b"\x01"
_SNIFFED_ROWS = 50
_SNIFFED_CHARACTERS = 256 * 1024
_DECLARED = re.compile(r"sep=([^\w\s]|\t)\n", re.IGNORECASE)  # a first line for Excel
_END = "\0"  # stands in no decoded text


def load_csv(path: Path, name: str, limits: Limits) -> Extracted:
    """Groups of whole rows as sections, headed by their row numbers. Raises UnreadableDocument when not text."""
    data = path.read_bytes()
    if _CONTROL_DELIMITER in data.partition(b"\n")[0] and not {0, ord("\t")} & set(data[:_SNIFFED_CHARACTERS]):
        data = data.replace(_CONTROL_DELIMITER, b"\t")
    text, notice = decode(data, name)
    text = text.translate(INVISIBLE)
    if declared := _DECLARED.match(text):
        text, delimiter = "\n" + text[declared.end() :], declared[1]
    else:
        text, delimiter = _with_delimiter(text, "\t" if name.lower().endswith(".tsv") else ",")
    try:
        sections = row_sections(_rows(text, delimiter), name, limits)
    except _OpenQuotationError:
        sections = row_sections(_rows(text, delimiter, quotations=False), name, limits)
        notice = f"{notice} A quotation mark is not closed: all were read as plain characters.".strip()
    return Extracted(title="", sections=sections, notice=notice)


class _OpenQuotationError(Exception):
    """A cell that goes on to the end of the file: its quotation mark is not one."""


def _with_delimiter(text: str, expected: str) -> tuple[str, str]:
    """The delimiter that gives the most rows the same number of cells, of which there are at least two; and the text as
    it is to be read: backslashes before quotation marks make way for doubled ones where more rows agree then."""

    def agreement(delimiter: str, sample: str) -> tuple[int, int, bool]:
        rows = islice(_rows(sample, delimiter, is_complete=False), _SNIFFED_ROWS)
        widths = Counter(len(cells) for _, cells in rows)
        same, width = max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))
        return same, width, delimiter == expected

    sample = text[:_SNIFFED_CHARACTERS]
    best = max(_DELIMITERS, key=lambda delimiter: agreement(delimiter, sample))
    if _ESCAPED_QUOTATION.search(sample):
        unescaped = _ESCAPED_QUOTATION.sub('""', sample)
        other = max(_DELIMITERS, key=lambda delimiter: agreement(delimiter, unescaped))
        if agreement(other, unescaped)[0] > agreement(best, sample)[0]:
            return _ESCAPED_QUOTATION.sub('""', text), other
    if agreement(best, sample)[0]:
        return text, best
    spaced = _WIDE_SPACE.sub("\t", text)
    for delimiter, candidate in (*((rare, text) for rare in _RARE_DELIMITERS), ("\t", spaced)):
        rows = list(islice(_rows(candidate[:_SNIFFED_CHARACTERS], delimiter, is_complete=False), _SNIFFED_ROWS))
        widths = {len(cells) for _, cells in rows}
        # A list of times or a text has such characters too: columns have names, and each row has them all.
        if len(rows) > 1 and len(widths) == 1 and min(widths) > 2 and not re.search(r"\d", "".join(rows[0][1])):
            return candidate, delimiter
    return text, best


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
