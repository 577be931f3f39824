"""The title of a page: the lines at its top that are headings, as "Consolidated Balance Sheets" over a table.

A table that goes on for three chunks is found by what stands over it only if each of them is embedded with it.
"""

from __future__ import annotations

import re
from itertools import takewhile

from ingest.loaders.base import HEADING_SEPARATOR, squeeze

_MOST_LINES = 3
_LONGEST_LINE = 90  # characters
_LONGEST_TITLE = 150
_CAPITALISED_SHARE = 0.6  # of the words of a heading that have at least four letters
_WORD = re.compile(r"[^\W\d_]{4,}")
_COMPANY = re.compile(r"\b(?:Inc|Co|Corp|Ltd|L\.P|S\.A|N\.V|A\.G)\.$", re.IGNORECASE)


def page_title(text: str) -> str:
    """The headings that a page begins with, joined by commas; "" when it begins with anything else."""
    lines = [line for line in map(squeeze, text.split("\n", 20)[:20]) if line]
    return ", ".join(takewhile(_is_heading, lines[:_MOST_LINES]))[:_LONGEST_TITLE]


def with_page_title(heading: str, text: str) -> str:
    """The heading under which a page stands, and the page's own title below it unless that says nothing new."""
    title = page_title(text)
    if not set(_words(title)) - set(_words(heading)):
        return heading
    return HEADING_SEPARATOR.join(filter(None, [heading, title]))


def _is_heading(line: str) -> bool:
    if len(line) > _LONGEST_LINE or "|" in line or not (line[0].isupper() or line[0].isdigit()):
        return False
    if line[-1] in ",;:" or (line[-1] == "." and not _COMPANY.search(line)):
        return False
    words = _WORD.findall(line)
    return bool(words) and sum(word[0].isupper() for word in words) >= _CAPITALISED_SHARE * len(words)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
