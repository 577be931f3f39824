"""Lines of Arabic, Hebrew and other scripts that run from right to left, as they are read, from where their characters
stand on a page.

Files keep such text in whatever order its producer drew it in: as it is read, as it is seen, or word by word, the
letters of a ligature reversed. What stands on the page is the same, so its order is made from that: by rule L2 of the
Unicode bidirectional algorithm (https://www.unicode.org/reports/tr9/) backwards, for one level of embedding.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_RIGHT, _LEFT, _DIGIT, _SPACE, _MARK, _OTHER = "RLNSMO"
_CLASSES = {
    **dict.fromkeys(("R", "AL"), _RIGHT),
    "L": _LEFT,
    **dict.fromkeys(("EN", "AN"), _DIGIT),
    **dict.fromkeys(("WS", "S", "B", "BN"), _SPACE),
    "NSM": _MARK,
    "CS": ",",  # within a number
    "ES": "-",  # likewise, but not beside Arabic
    "ET": "%",  # at a number
}
# What keeps its order from left to right: words of other scripts with what stands between them, and numbers.
_WORDS = r"L[LN]*(?:[SO,%-]{1,3}[LN]+)*"
_LEFT_TO_RIGHT = re.compile(rf"{_WORDS}|%?N+(?:[,-]N+)*%?")
_BESIDE_ARABIC = re.compile(rf"{_WORDS}|%?N+(?:,N+)*%?")
_SPACE_WIDTH = 0.2  # of the line's height: a wider gap is a space
_BRACKETS = str.maketrans("()[]{}<>«»", ")(][}{><»«")

Edges = tuple[float, float]  # of a character: left and right
Box = tuple[float, float, float, float]  # of a character: left, right, lower and upper edge, the last two either way


def lines_in_order(text: str, boxes: Sequence[Box]) -> Iterator[list[int | None]]:
    """The numbers of a page's characters, line by line as they are read, None where a space is to be.

    `boxes` are where each stands, in any unit. Lines are those of `text`; only those change in which some letter runs
    from right to left, of which neighbours on one baseline are one."""
    begun: list[int] = []
    for line in _numbered_lines(text):
        both_run_left = _runs_left(text, begun) and _runs_left(text, line)
        if begun and not (both_run_left and _is_one_line(text, boxes, begun, line)):
            yield _in_order(text, boxes, begun)
            begun = []
        begun += line
    if begun:
        yield _in_order(text, boxes, begun)


def _numbered_lines(text: str) -> Iterator[list[int]]:
    start = 0
    for line in text.split("\n"):
        yield [number for number in range(start, start + len(line)) if text[number] != "\r"]
        start += len(line) + 1


def _runs_left(text: str, line: Sequence[int]) -> bool:
    return any(RIGHT_TO_LEFT.match(text[number]) for number in line)


def _in_order(text: str, boxes: Sequence[Box], line: Sequence[int]) -> list[int | None]:
    if not _runs_left(text, line):
        return list(line)
    height = max(abs(boxes[number][3] - boxes[number][2]) for number in line)
    edges = [boxes[number][:2] for number in line]
    ordered = reading_order([text[number] for number in line], edges, height)
    return [None if place is None else line[place] for place in ordered]


def _is_one_line(text: str, boxes: Sequence[Box], before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether both stand on one baseline, side by side."""
    (left, right, low, high), (next_left, next_right, next_low, next_high) = (
        _around([boxes[number] for number in line if not text[number].isspace()]) for line in (before, after)
    )
    shared = min(high, next_high) - max(low, next_low)
    is_beside = next_left >= right - 1 or left >= next_right - 1
    return is_beside and 2 * shared > min(high - low, next_high - next_low)


def _around(boxes: Sequence[Box]) -> Box:
    left, right, low, high = zip(*boxes, strict=True)
    return min(left), max(right), min(*low, *high), max(*low, *high)


def reading_order(characters: Sequence[str], edges: Sequence[Edges], height: float) -> list[int | None]:
    """The numbers of one line's characters in the order in which they are read, None where a space is to be.

    `edges` are where each stands, in any unit, as is the line's `height`. Spaces among the characters only show where
    gaps are; those at the same place, as of a ligature, come reversed where they run
    from right to left."""
    classes = [_CLASSES.get(unicodedata.bidirectional(character), _OTHER) for character in characters]
    letters = [number for number, kind in enumerate(classes) if kind not in (_SPACE, _MARK)]
    seen = sorted(letters, key=lambda number: (sum(edges[number]), number))
    spaces = [  # not those that were made up
        sum(edges[number]) / 2
        for number, kind in enumerate(classes)
        if kind == _SPACE and edges[number][1] > edges[number][0]
    ]
    line: list[int | None] = [*seen[:1]]
    for before, after in pairwise(seen):
        gap = edges[before][1], edges[after][0]
        if gap[1] - gap[0] > _SPACE_WIDTH * height or _is_any_within(spaces, edges[before], edges[after]):
            line.append(None)
        line.append(after)
    kinds = "".join(_SPACE if number is None else classes[number] for number in line)
    kept = _BESIDE_ARABIC if any(map(_is_arabic, characters)) else _LEFT_TO_RIGHT
    words = [word for word in kinds.split(_SPACE) if word]
    is_right_to_left = sum(_RIGHT in word for word in words) >= sum(_LEFT in word for word in words)
    ordered = _reversed_but(line, kinds, kept) if is_right_to_left else _left_to_right(line, kinds, kept)
    return _with_marks(ordered, [number for number, kind in enumerate(classes) if kind == _MARK], edges)


def mirrored(text: str) -> str:
    """A line with its brackets the other way round, where they were taken as they are drawn."""
    brackets = [character for character in text if character in "()[]{}"]
    return text.translate(_BRACKETS) if brackets and brackets[0] in ")]}" and brackets[-1] in "([{" else text


def _is_any_within(spaces: Sequence[float], before: Edges, after: Edges) -> bool:
    middle_before, middle_after = sum(before) / 2, sum(after) / 2
    return any(middle_before < space < middle_after for space in spaces)


def _is_arabic(character: str) -> bool:
    return unicodedata.bidirectional(character) == "AL"


def _reversed_but(line: Sequence[int | None], kinds: str, kept: re.Pattern[str]) -> list[int | None]:
    """The line from right to left, but what is kept from left to right."""
    ordered: list[int | None] = []
    end = len(line)
    for match in reversed(list(kept.finditer(kinds))):
        ordered += line[match.end() : end][::-1]
        ordered += line[match.start() : match.end()]
        end = match.start()
    return ordered + list(line[:end][::-1])


def _left_to_right(line: Sequence[int | None], kinds: str, kept: re.Pattern[str]) -> list[int | None]:
    """The line from left to right, but its words that run from right to left."""
    ordered: list[int | None] = []
    start = 0
    for match in re.finditer(r"R(?:[^L]{0,200}R)?", kinds):
        ordered += line[start : match.start()]
        ordered += _reversed_but(line[match.start() : match.end()], match[0], kept)
        start = match.end()
    return ordered + list(line[start:])


def _with_marks(line: Sequence[int | None], marks: Sequence[int], edges: Sequence[Edges]) -> list[int | None]:
    """The line with each vowel sign behind the letter that it stands at."""
    at: dict[int, list[int]] = {}
    letters = [number for number in line if number is not None]
    for mark in marks:
        middle = sum(edges[mark]) / 2
        if letters:
            at.setdefault(min(letters, key=lambda number: abs(sum(edges[number]) / 2 - middle)), []).append(mark)
    return [number for letter in line for number in (letter, *at.get(letter, ()))] if at else list(line)  # type: ignore[arg-type]
