"""Running headers and footers: lines that stand at the edge of page after page, and page numbers.

They answer nothing, and in every chunk they would count as if the page were about them. Only what says the same on many
pages goes, apart from the page's number and its heading: "Amount due: 120 EUR" at the foot of every invoice stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_EDGE_LINES = 3  # so many lines at the top and the bottom of a page are looked at
_SMALLEST_DOCUMENT = 4  # pages; in fewer nothing can be said to run
_RUNNING_SHARE = 0.3  # of the pages
_NUMBER_OF_PAGES = re.compile(r"# (of|/) (#|\d+)")
_HEADING = "§"
_LONGEST = 120  # characters; what is longer is text


@dataclass(frozen=True, slots=True)
class _Page:
    lines: list[str]
    numbers: frozenset[str]  # what its printed number may be
    headings: tuple[str, ...]

    def form(self, line: str) -> str:
        """The line in small letters, with the page's own number and heading made alike on all pages."""
        form = " ".join(line.lower().split())
        for heading in self.headings:
            form = form.replace(heading, _HEADING)
        words = ("#" if word.strip("-–—|[]().,:") in self.numbers else word for word in form.split(" "))
        return _NUMBER_OF_PAGES.sub("# of #", " ".join(words))


def without_running_lines(texts: Sequence[str], labels: Sequence[str], headings: Sequence[Sequence[str]]) -> list[str]:
    """The pages' texts, without the running lines at their edges.

    `labels` are the printed page labels, `headings` the headings under which each page stands.
    """
    if len(texts) < _SMALLEST_DOCUMENT:
        return list(texts)
    lines = [text.split("\n") for text in texts]
    offset = _printed_offset(lines)
    pages = [
        _Page(
            lines=of_page,
            numbers=frozenset({label.lower(), str(index + 1), str(index + offset)}),
            headings=tuple(sorted((heading.lower() for heading in above if heading), key=len, reverse=True)),
        )
        for index, (of_page, label, above) in enumerate(zip(lines, labels, headings, strict=True))
    ]
    tops = _running((page, _edge(page.lines)) for page in pages)
    bottoms = _running((page, _edge(page.lines[::-1])) for page in pages)
    stripped = ["\n".join(_strip(page, _strip(page, page.lines, tops)[::-1], bottoms)[::-1]) for page in pages]
    return stripped if any(stripped) else list(texts)


def edge_lines(lines: Sequence[str]) -> set[str]:
    """The lines at the top and the bottom of a page where running ones stand, without space around them."""
    return {line.strip() for line in (*_edge(lines), *_edge(lines[::-1]))}


def _edge(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip()][:_EDGE_LINES]


def _printed_offset(pages: Sequence[Sequence[str]]) -> int:
    """What a printed page number is above the page's index, as most of the numbers at the edges have it."""
    offsets: Counter[int] = Counter()
    for index, lines in enumerate(pages):
        offsets.update(int(line) - index for line in edge_lines(lines) if line.isdecimal() and len(line) < 5)
    return max(offsets, key=lambda offset: (offsets[offset], -abs(offset - 1)), default=1)


def _running(edges: Iterable[tuple[_Page, Sequence[str]]]) -> set[str]:
    """The forms of the lines that stand at this edge of many pages."""
    per_page = [{page.form(line) for line in lines if len(line) <= _LONGEST} for page, lines in edges]
    counts = Counter(form for forms in per_page for form in forms)
    often = max(3, _RUNNING_SHARE * len(per_page))
    return {form for form, count in counts.items() if count >= often and form != _HEADING}


def _strip(page: _Page, lines: Sequence[str], running: set[str]) -> list[str]:
    """`lines` without the running ones at the beginning, up to the first line of text."""
    seen = 0
    for place, line in enumerate(lines):
        if not line.strip():
            continue
        seen += 1
        form = page.form(line)
        is_number = re.fullmatch(r"\W*(page )?#( of #)?\W*", form) is not None
        if seen > _EDGE_LINES or (form not in running and not is_number):
            return list(lines[place:])
    return []
