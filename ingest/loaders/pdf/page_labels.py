"""The numbers printed on pages, for PDF files that do not say themselves how their pages are called.

A number counts only where it goes up by one from page to page. Nothing is made up: a page that stands outside such a
row, a cover for instance, is called by its place in the file.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.loaders.pdf.headers_footers import edge_lines

_SHORTEST_ROW = 3  # pages
_WIDEST_GAP = 10  # pages without a number of their own between two that go on
_LONGEST = 120  # characters; what is longer is text
_NUMBER = r"(?P<prefix>[A-Z]{1,2}-)?(?P<number>\d{1,4})|(?P<roman>[ivxlc]{1,7}|[IVXLC]{1,7})"
_ALONE = re.compile(rf"\W*+(?:page|seite|p\.)?\s*+(?:{_NUMBER})(?:\s*+(?:of|von|/)\s*+\d+)?\W*+", re.IGNORECASE)
_AT_START = re.compile(r"(?:page )?(?P<prefix>[A-Z]{1,2}-)?(?P<number>\d{1,4})\s(?P<rest>\W*+\w.*)", re.IGNORECASE)
_AT_END = re.compile(r"(?P<rest>\W*+\w.*)\s(?P<prefix>[A-Z]{1,2}-)?(?P<number>\d{1,4})", re.IGNORECASE)
_ROMAN = [  # by the number, 0 to 99
    tens + ones
    for tens in ("", "x", "xx", "xxx", "xl", "l", "lx", "lxx", "lxxx", "xc")
    for ones in ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
]
_ROMAN_VALUES = {roman: number for number, roman in enumerate(_ROMAN) if number}

_Style = tuple[str, str]  # prefix, and "1", "i" or "I"


def printed_labels(texts: Sequence[str]) -> list[str]:
    """For each page the number printed at its top or bottom, else its place in the file, from 1."""
    labels = [str(index + 1) for index in range(len(texts))]
    rows: dict[tuple[_Style, int], list[int]] = defaultdict(list)
    edges = [edge_lines(text.split("\n")) for text in texts]
    repeated = Counter(rest for lines in edges for rest in {rest for line in lines for *_, rest in _with_text(line)})
    for index, lines in enumerate(edges):
        found = {
            (style, number - index)
            for line in lines
            for style, number, rest in (*_alone(line), *_with_text(line))
            if not rest or repeated[rest] >= _SHORTEST_ROW
        }
        for key in found:
            rows[key].append(index)
    named: set[int] = set()
    for (style, offset), pages in sorted(rows.items(), key=lambda row: (-len(row[1]), row[0])):
        for first, last in _unbroken(pages):
            for index in range(first, last + 1):
                if index not in named:
                    labels[index] = _written(style, index + offset)
                    named.add(index)
    return labels


def _unbroken(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of the rows of pages without a wide gap."""
    borders = [place for place in range(1, len(pages)) if pages[place] - pages[place - 1] > _WIDEST_GAP]
    for start, end in pairwise([0, *borders, len(pages)]):
        if end - start >= _SHORTEST_ROW:
            yield pages[start], pages[end - 1]


def _alone(line: str) -> Iterator[tuple[_Style, int, str]]:
    match = _ALONE.fullmatch(line) if len(line) <= _LONGEST else None
    if match and match["number"]:
        yield (match["prefix"] or "", "1"), int(match["number"]), ""
    elif match and (number := _ROMAN_VALUES.get(match["roman"].lower())):
        yield ("", "i" if match["roman"].islower() else "I"), number, ""


def _with_text(line: str) -> Iterator[tuple[_Style, int, str]]:
    if len(line) <= _LONGEST:
        for pattern in (_AT_START, _AT_END):
            if match := pattern.fullmatch(line):
                yield (match["prefix"] or "", "1"), int(match["number"]), match["rest"]


def _written(style: _Style, number: int) -> str:
    prefix, kind = style
    if kind == "1":
        return f"{prefix}{number}"
    return _ROMAN[number].upper() if kind == "I" else _ROMAN[number]
