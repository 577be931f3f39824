"""Where a quote stands on a drawn page: boxes around its characters.

The quote is a piece of the text that a loader made of the page, which may have put rows and columns together in another
order, joined words at line ends and left out what repeats; the page has its characters as they were drawn. So only
letters and digits are compared; what does not follow as a whole is looked for line by line, in runs of words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

Box = tuple[int, int, int, int]  # left, top, right, bottom

MAX_BOXES = 400
_MIN_SHARE = 0.6  # of the quote's letters must be found
_SHORT = 4  # letters; shorter runs stand everywhere, so they must be words of the same line
_CANDIDATES = 50  # places looked at for one run of words
_MAX_QUOTE = 8_000  # characters of a quote; the rest of a longer one is not looked for
_MARKS_BEFORE = re.compile(r"[\W_]*")
_MARKS_AFTER = re.compile(r"[\W_]*\Z")


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters of a page in the order in which they were drawn, and four numbers for each in `boxes`."""

    text: str
    boxes: Sequence[int]

    def box(self, number: int) -> Box:
        """Left, top, right and bottom of one character."""
        left, top, right, bottom = self.boxes[4 * number : 4 * number + 4]
        return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class _Letters:
    """The letters and digits of a text in one form, and of which character each came."""

    text: str
    places: list[int]


def boxes_of(page: Characters, text: str, start: int, end: int) -> list[Box]:
    """Boxes around `text[start:end]` on the page whose extracted text is `text`; none where it is not found."""
    quote = text[start:end][:_MAX_QUOTE]
    drawn, wanted = _letters(page.text), _letters(quote).text
    if not wanted:
        return []
    expected = round(len(drawn.text) * len(_letters(text[:start]).text) / len(_letters(text).text))
    place = _nearest(_occurrences(drawn.text, wanted), expected)
    if place is not None:
        return _around(page, drawn, place, len(wanted), quote)[:MAX_BOXES]
    boxes: list[Box] = []
    found = 0
    for line in quote.splitlines():
        of_line, letters = _of_line(page, drawn, line, expected)
        boxes += of_line
        found += letters
    return boxes[:MAX_BOXES] if found >= _MIN_SHARE * len(wanted) else []


def lines_of(page: Characters) -> list[tuple[Box, str]]:
    """The page's text in runs of characters that stand side by side on a line, each with its box."""
    lines: list[tuple[Box, str]] = []
    is_apart = True
    for number, character in enumerate(page.text):
        box = page.box(number)
        if character.isspace() or box[0] >= box[2] or box[1] >= box[3]:
            if character == "\n":
                is_apart = True
            elif not is_apart and not lines[-1][1].endswith(" "):
                lines[-1] = lines[-1][0], lines[-1][1] + " "
            continue
        height = box[3] - box[1]
        if is_apart or not _share_line(lines[-1][0], box) or _distance(lines[-1][0], box)[1] > 2 * height:
            lines.append((box, character))
        else:
            (left, top, right, bottom), text = lines[-1]
            widened = min(left, box[0]), min(top, box[1]), max(right, box[2]), max(bottom, box[3])
            lines[-1] = widened, text + character
        is_apart = False
    return lines


def _letters(text: str) -> _Letters:
    found: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for letter in unicodedata.normalize("NFKC", character).casefold():
            if letter.isalnum():
                found.append(letter)
                places.append(place)
    return _Letters("".join(found), places)


def _of_line(page: Characters, drawn: _Letters, line: str, expected: int) -> tuple[list[Box], int]:
    """The boxes of a quote's line, and how many of its letters they hold. The longest run of its words says where the
    line is; the others are taken where they are nearest to it."""
    runs = list(_runs(drawn.text, [_letters(word).text for word in re.split(r"\s+", line)]))
    if not runs:
        return [], 0
    anchor = max(runs, key=len)
    at = _nearest(_places(page, drawn, anchor), expected)
    if at is None:
        return [], 0
    line_box = _around(page, drawn, at, len(anchor))[0]
    boxes: list[Box] = []
    found = 0
    for run in runs:
        candidates = [(_around(page, drawn, place, len(run)), place) for place in _places(page, drawn, run)]
        if run == anchor:
            candidates = [(_around(page, drawn, at, len(run)), at)]
        best = min(candidates, key=lambda item: _distance(item[0][0], line_box), default=None)
        if best is None or (len(run) < _SHORT and not _share_line(best[0][0], line_box)):
            continue
        boxes += best[0]
        found += len(run)
    return boxes, found


def _runs(drawn: str, words: Sequence[str]) -> Iterator[str]:
    """The words put together to the longest runs that stand on the page; words that do not are left out."""
    run = ""
    for word in filter(None, words):
        if run + word in drawn:
            run += word
            continue
        if run:
            yield run
        run = word if word in drawn else ""
    if run:
        yield run


def _places(page: Characters, drawn: _Letters, run: str) -> list[int]:
    """Where a run stands; a short one only where it is whole words."""
    found = islice(_occurrences(drawn.text, run), _CANDIDATES * (10 if len(run) < _SHORT else 1))
    return [at for at in found if len(run) >= _SHORT or _is_apart(page.text, drawn, at, len(run))][:_CANDIDATES]


def _is_apart(text: str, drawn: _Letters, at: int, length: int) -> bool:
    first, last = drawn.places[at], drawn.places[at + length - 1]
    return not text[first - 1 : first].isalnum() and not text[last + 1 : last + 2].isalnum()


def _occurrences(drawn: str, wanted: str) -> Iterator[int]:
    at = drawn.find(wanted)
    while at >= 0:
        yield at
        at = drawn.find(wanted, at + 1)


def _nearest(places: Iterator[int] | list[int], expected: int) -> int | None:
    return min(places, key=lambda place: abs(place - expected), default=None)


def _around(page: Characters, drawn: _Letters, at: int, length: int, quote: str = "") -> list[Box]:
    """A box for each line of the characters from one letter to another, and of the marks with which the quote begins
    and ends; at least one."""
    first, last = drawn.places[at], drawn.places[at + length - 1]
    for mark in reversed(_MARKS_BEFORE.match(quote)[0].strip()):  # type: ignore[index]
        first -= page.text[first - 1 : first] == mark
    for mark in _MARKS_AFTER.search(quote)[0].strip():  # type: ignore[index]
        last += page.text[last + 1 : last + 2] == mark
    lines: list[Box] = []
    for number in range(first, last + 1):
        box = page.box(number)
        if page.text[number].isspace() or box[0] >= box[2] or box[1] >= box[3]:
            continue
        if lines and _share_line(lines[-1], box):
            left, top, right, bottom = zip(lines[-1], box, strict=True)
            lines[-1] = min(left), min(top), max(right), max(bottom)
        else:
            lines.append(box)
    return lines or [page.box(first)]


def _share_line(box: Box, other: Box) -> bool:
    overlap = min(box[3], other[3]) - max(box[1], other[1])
    return 2 * overlap > min(box[3] - box[1], other[3] - other[1])


def _distance(box: Box, other: Box) -> tuple[int, int]:
    """How far apart two boxes are: lines first, then along the line."""
    across = 0 if _share_line(box, other) else abs(box[1] - other[1])
    return across, max(other[0] - box[2], box[0] - other[2], 0)
