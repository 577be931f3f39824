"""Markers of footnotes in an answer: `[1]`, and all the ways in which models write them."""

from __future__ import annotations

import re
from collections.abc import Collection

MARKER = re.compile(r"\[(\d{1,3})\]")  # as MarkerFilter writes it
MARKER_WITH_SPACE = re.compile(rf"(?<!\s)\s*{MARKER.pattern}")
UNLINKED_MARKER = re.compile(rf"{MARKER.pattern}(?!\()")  # in Markdown: no link already

# Runs are bounded: with `[ \t]*`, a search takes the square of their length.
_SPACE = r"[ \t]{0,8}"
_LONGEST = 200  # characters between the brackets
_SOURCE = r"[ \t]*(?:sources?[ \t]+)?\d{1,3}[ \t]*"
_WRITTEN = re.compile(rf"({_SPACE})[\[【]({_SOURCE}(?:[,;&]{_SOURCE})*)[\]】]", re.IGNORECASE)
_UNDECIDED = re.compile(rf"{_SPACE}(?:[\[【][\w,;& \t]{{0,{_LONGEST}}})?\Z")  # whatever may still become a marker
_LEADING = re.compile(rf"(?:{_WRITTEN.pattern})+", re.IGNORECASE)
_ROUND = str.maketrans("[]【】", "()()")


class MarkerFilter:
    """Passes an answer's text on while it streams; markers come out as `[1][2]`, those of unknown sources not at all.

    An open bracket (and the space before it) is held back until it is decided.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = frozenset(numbers)
        self._held = ""

    def feed(self, delta: str) -> str:
        """The text that can be shown after this piece."""
        text = self._held + delta
        undecided = _UNDECIDED.search(text)
        border = undecided.start() if undecided else len(text)
        self._held = text[border:]
        return self._rewrite(text[:border])

    def flush(self) -> str:
        """What is still held at the end of the answer."""
        held, self._held = self._held, ""
        return self._rewrite(held)

    def _rewrite(self, text: str) -> str:
        return _WRITTEN.sub(self._replacement, text) if "[" in text or "【" in text else text

    def _replacement(self, match: re.Match[str]) -> str:
        if len(match[2]) > _LONGEST:
            return match[0]
        known = [number for number in cited_numbers(match[0]) if number in self._numbers]
        return match[1] + "".join(f"[{number}]" for number in known) if known else ""


def round_markers(text: str) -> str:
    """Text of a document whose own `[2]` would pass for one of our footnotes: `(2)`."""
    return _WRITTEN.sub(lambda match: match[0].translate(_ROUND), text)


def without_markers(text: str) -> str:
    """The text without its markers, however they are written."""
    return _WRITTEN.sub("", text)


def leading_markers(text: str) -> str:
    """The markers with which the text begins."""
    match = _LEADING.match(text)
    return match[0] if match else ""


def cited_numbers(text: str) -> list[int]:
    """The source numbers that `text` cites, in order of first mention."""
    numbers = [int(number) for match in _WRITTEN.finditer(text) for number in re.findall(r"\d+", match[2])]
    return list(dict.fromkeys(numbers))
