"""The text of a PDF page in reading order: lines as they stand, a table's row on one line, columns one after the other.

pdfium gives text in the order in which it was drawn, and for most pages that is how it reads: they are passed on
untouched. Where the boxes of the words prove otherwise (rows glued together or torn apart, columns interleaved, cells
side by side), the lines are built anew from the words.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import deque
from collections.abc import Sequence
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

from ingest.loaders.hidden_text.pdf import CharacterBox, remove_hidden
from ingest.loaders.pdf.annotations import Annotations
from ingest.loaders.pdf.raw import pdfium_function
from ingest.loaders.pdf.reading_order import Cell, Line, reading_order
from rag.text.right_to_left import RIGHT_TO_LEFT, lines_in_order, mirrored

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage

_HYPHEN = "\ufffe"  # pdfium's sign for a hyphen at the end of a line, after which it leaves out the line break
_WORD = re.compile(f"[^\\s{_HYPHEN}]+{_HYPHEN}?")
_CURRENCY = re.compile(r"(?:^|\s)(?:[A-Z]{0,3}[$€£¥]|USD|EUR|GBP|CHF|CAD)\s?\(?$")
_CLOSING = re.compile(r"(?:[%)]|\)\s?%)(?:\s|$)")
_FIGURE_END = re.compile(r"[\d)%—]$")
_FIGURE_START = re.compile(r"\(?[\d$€£¥—]")

_MOST_PLACED = 500  # fields and text boxes of a page that are put in their places: each looks at all that is there

# In heights of the line:
_CELL_GAP = 1.0  # a wider space lies between two cells,
_FIGURE_GAP = 0.5  # and between two figures a space wider than this
_WORD_GAP = 0.1  # a narrower space is none
_OVERLAP = 0.5  # so much of the lower one's height two words on one line share


class Run(NamedTuple):
    """Words that simply follow each other on a line: their characters in the page's text, their box.

    `bottom` and `top` are those of the first character. `ends` are its first and last characters, or one of a single
    word.
    """

    text: str
    is_broken: bool  # pdfium has a line break before it
    left: float
    right: float
    bottom: float
    top: float
    is_turned: bool = False
    ends: tuple[CharacterBox, ...] = ()

    @property
    def height(self) -> float:
        return self.top - self.bottom


def seen_text(
    page: PdfPage, annotations: Annotations | None = None, shown_layers: set[str] | None = None
) -> tuple[str, bool]:
    """The text of a page that can be seen, with what lies over it in its place, and whether some that cannot be seen
    was left out (`page` has lost it then). `shown_layers` is what is known of the document's layers from page to page.
    Raises PdfiumError if the page is broken."""
    text_page = page.get_textpage()
    rotation: int = page.get_rotation()
    left, top, *_ = _edges(page, rotation)
    try:
        text: str = text_page.get_text_range()
        drawn = _runs(text_page, text, rotation)
        ends = [end for run in drawn for end in run.ends] if drawn else _some_places(text_page, rotation)
        some_hidden = remove_hidden(page, text_page, ends, left, top, set() if shown_layers is None else shown_layers)
        if some_hidden:
            text_page.close()
            text_page = page.get_textpage()
            text = text_page.get_text_range()
            drawn = _runs(text_page, text, rotation)
        if RIGHT_TO_LEFT.search(text):
            return _right_to_left(text_page, text, rotation), some_hidden
        if not drawn and not (annotations and annotations.texts):
            return text, some_hidden
        frames = _frames(text_page, text, drawn, rotation)
    finally:
        text_page.close()
    if annotations and (annotations.own_characters is not None or annotations.texts):
        place = [angle for angle, _ in frames].index(rotation)
        frames[place] = rotation, _with_annotations(frames[place][1], annotations, rotation)
        seen = [_visible(runs, _edges(page, angle)) for angle, runs in frames]
        return "\n".join(map(text_of, seen)), some_hidden
    seen = [_visible(runs, _edges(page, angle)) for angle, runs in frames]
    if sum(map(len, seen)) == sum(len(runs) for _, runs in frames) and all(
        _goes_down(before, after) for runs in seen for before, after in pairwise(runs)
    ):
        return text, some_hidden
    return "\n".join(map(text_of, seen)), some_hidden


def _frames(page: PdfTextPage, text: str, drawn: list[Run], rotation: int) -> list[tuple[int, list[Run]]]:
    """The runs by the angle, in degrees, by which the page must be turned clockwise for them to be read: all at
    `rotation` on most pages, else as the first of each was drawn, each in the coordinates of the page so turned. pdfium
    mixes up what is turned: that is in the order in which it stands there."""
    if not any(run.is_turned for run in drawn):
        return [(rotation, drawn)]
    handle = ctypes.cast(page.raw, ctypes.c_void_p).value
    angle_of = pdfium_function("FPDFText_GetCharAngle", ctypes.c_float, ctypes.c_int)

    def angle(number: int) -> int:
        return round(-float(angle_of(handle, number)) / (math.pi / 2)) % 4 * 90

    frames = []
    for turned in dict.fromkeys(angle(match.start()) for match in _WORD.finditer(text)):
        runs = [run for run in _runs(page, text, turned) if angle(run.ends[0].number) == turned]
        frames.append((turned, runs if turned == rotation else _line_by_line(runs)))
    return frames if rotation in dict(frames) else [*frames, (rotation, [])]


def _with_annotations(runs: list[Run], annotations: Annotations, rotation: int) -> list[Run]:
    """The runs, with those that lie over the page behind what stands to their left, or above them."""
    own = annotations.own_characters
    laid = [run for run in runs if own is not None and run.ends[0].number >= own]
    ordered = runs[: len(runs) - len(laid)]
    for text, box in annotations.texts:
        (left,), (top,), (right,), (bottom,) = _turned([box[0]], [box[3]], [box[2]], [box[1]], rotation)
        laid.append(Run(text, is_broken=True, left=left, right=right, bottom=bottom, top=top))
    ordered += laid[_MOST_PLACED:]
    for run in laid[:_MOST_PLACED]:
        before = [place for place, other in enumerate(ordered) if shares_line(other, run) and other.left < run.left]
        if before:
            place = max(before, key=lambda place: ordered[place].left)
            ordered.insert(place + 1, run._replace(is_broken=False))
        else:
            above = [place for place, other in enumerate(ordered) if other.bottom >= (run.bottom + run.top) / 2]
            ordered.insert(max(above, default=-1) + 1, run)
    return ordered


def _line_by_line(runs: list[Run]) -> list[Run]:
    """The runs from top to bottom, those on a line from left to right."""
    lines: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: -(run.bottom + run.top)):
        if not lines or not shares_line(lines[-1][0], run):
            lines.append([])
        lines[-1].append(run)
    return [run for line in lines for run in sorted(line, key=lambda run: run.left)]


def _right_to_left(page: PdfTextPage, text: str, rotation: int) -> str:
    """The lines as they stand on the page: pdfium guesses their order."""
    if (count := page.count_chars()) != len(text):  # then its text is not numbered as its characters are
        handle = ctypes.cast(page.raw, ctypes.c_void_p).value
        codes = map(pdfium_function("FPDFText_GetUnicode", ctypes.c_uint, ctypes.c_int), repeat(handle), range(count))
        text = "".join(chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else " " for code in codes)
    left, top, right, bottom = _boxes(page, range(len(text)), rotation)
    boxes = list(zip(left, right, bottom, top, strict=True))
    lines = lines_in_order(text, boxes)
    return "\n".join(mirrored("".join(" " if place is None else text[place] for place in line)) for line in lines)


def text_of(runs: Sequence[Run]) -> str:
    """What stands in the runs, given in the order in which they were drawn, as lines in reading order."""
    lines = reading_order(_lines(runs))
    return "\n".join(line.text for line in lines).replace(_HYPHEN + "\n", _HYPHEN)


def _edges(page: PdfPage, rotation: int) -> tuple[float, float, float, float]:
    """The left, top, right and bottom edges of the crop box, as the page is shown."""
    crop_left, crop_bottom, crop_right, crop_top = page.get_cropbox()
    (left,), (top,), (right,), (bottom,) = _turned([crop_left], [crop_top], [crop_right], [crop_bottom], rotation)
    return left, top, right, bottom


def _visible(runs: list[Run], edges: tuple[float, float, float, float]) -> list[Run]:
    """The runs within the crop box; all of them where it holds none."""
    left, top, right, bottom = edges
    within = [
        run for run in runs if run.right > left and run.left < right and bottom < (run.bottom + run.top) / 2 < top
    ]
    return within or runs


def _some_places(page: PdfTextPage, rotation: int) -> list[CharacterBox]:
    """Every third character, of a page whose text is not numbered as its characters are."""
    places = range(0, page.count_chars(), 3)
    left, top, right, bottom = _boxes(page, places, rotation)
    return [CharacterBox(*place) for place in zip(places, left, right, bottom, top, strict=True)]


def _runs(page: PdfTextPage, text: str, rotation: int) -> list[Run]:
    """The runs of a page; none where its text is not numbered as its characters are."""
    words = [match.span() for match in _WORD.finditer(text)]
    if not words or page.count_chars() != len(text):
        return []
    left, top, right, bottom = _boxes(page, [place for start, end in words for place in (start, end - 1)], rotation)
    runs: list[Run] = []
    first = 0
    for word in range(1, len(words) + 1):
        last = 2 * word - 1  # the last character of the word before; next is the first one of this word
        if word < len(words):
            height = top[last] - bottom[last]
            if (
                bottom[last + 1] == bottom[last]
                and top[last + 1] == top[last]
                and -height < left[last + 1] - right[last] < _FIGURE_GAP * height
                and text[words[word - 1][1] : words[word][0]] == " "
            ):
                continue
        start = 2 * first
        ends: tuple[CharacterBox, ...] = (
            CharacterBox(words[first][0], left[start], right[start], bottom[start], top[start]),
        )
        if word - first > 1:
            ends += (CharacterBox(words[word - 1][1] - 1, left[last], right[last], bottom[last], top[last]),)
        runs.append(
            Run(
                text=text[words[first][0] : words[word - 1][1]],
                is_broken=first > 0 and "\n" in text[words[first - 1][1] : words[first][0]],
                left=min(left[start], left[last]),
                right=max(right[start], right[last]),
                bottom=bottom[start],
                top=top[start],
                is_turned=abs(bottom[last] - bottom[start]) > abs(right[last] - left[start])
                or right[last] < left[start],
                ends=ends,
            )
        )
        first = word
    return runs


def _boxes(page: PdfTextPage, places: Sequence[int], rotation: int) -> list[list[float]]:
    """The left, top, right and bottom edges of the characters, as the page is shown; y grows upwards."""
    boxes = (ctypes.c_float * (4 * len(places)))()
    address = ctypes.addressof(boxes)
    handle = ctypes.cast(page.raw, ctypes.c_void_p).value
    # One call for each end of each word, in a loop that runs in C: a thousand take a millisecond.
    loose_box = pdfium_function("FPDFText_GetLooseCharBox", ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    deque(map(loose_box, repeat(handle), places, range(address, address + 16 * len(places), 16)), maxlen=0)
    numbers = boxes[:]
    return _turned(numbers[0::4], numbers[1::4], numbers[2::4], numbers[3::4], rotation)


def _turned(
    left: list[float], top: list[float], right: list[float], bottom: list[float], rotation: int
) -> list[list[float]]:
    """The edges on the page as it is shown, turned by `rotation` degrees (0, 90, 180 or 270) clockwise."""
    if rotation == 90:
        return [bottom, [-x for x in left], top, [-x for x in right]]
    if rotation == 180:
        return [[-x for x in right], [-y for y in bottom], [-x for x in left], [-y for y in top]]
    if rotation == 270:
        return [[-y for y in top], right, [-y for y in bottom], left]
    return [left, top, right, bottom]


def _goes_down(before: Run, after: Run) -> bool:
    """Whether nothing but pdfium's own line break stands between the two."""
    is_broken = after.is_broken or before.text.endswith(_HYPHEN)
    return is_broken and after.top < before.top and not shares_line(before, after)


def shares_line(before: Run | Line, after: Run) -> bool:
    """Whether both stand on one line, as the lower one does with most of its height."""
    shared = min(before.top, after.top) - max(before.bottom, after.bottom)
    return shared >= _OVERLAP * min(before.height, after.height)


def _gap(before: Run, after: Run) -> float:
    """The space between two runs on a line, in heights of the line; below 0 where they overlap."""
    return (after.left - before.right) / max(before.height, after.height, 0.1)


def _lines(runs: Sequence[Run]) -> list[Line]:
    """The lines in the order in which they were drawn."""
    lines: list[Line] = []
    before: Run | None = None
    for run in runs:
        if before is None or _breaks(lines[-1], before, run):
            lines.append(Line([Cell(run.text, run.left, run.right)], run.bottom, run.top))
        else:
            line, joint = lines[-1], _joint(before, run)
            if joint is None:
                line.cells.append(Cell(run.text, run.left, run.right))
            else:
                line.cells[-1].extend(joint + run.text, run.right)
            if run.height > line.height:  # a superscript does not say where the line is
                line.bottom, line.top = run.bottom, run.top
        before = run
    for line in lines:
        line.cells.sort(key=lambda cell: cell.left)
    return lines


def _breaks(line: Line, before: Run, after: Run) -> bool:
    if not shares_line(before, after) and not shares_line(line, after):
        return True
    return after.is_broken and _gap(before, after) < -_CELL_GAP


def _joint(before: Run, after: Run) -> str | None:
    """What stands between two runs on a line: nothing, a space, or the border of two cells (None)."""
    gap = _gap(before, after)
    if abs(gap) >= _CELL_GAP:
        is_one_cell = gap > 0 and (_CURRENCY.search(before.text) or _CLOSING.match(after.text))
        return " " if is_one_cell else None
    if gap > _FIGURE_GAP and _FIGURE_END.search(before.text) and _FIGURE_START.match(after.text):
        return None
    is_note = before.height != after.height and after.text[0].isalnum()  # the number of a footnote, or after one
    return "" if after.is_broken and gap < _WORD_GAP and not is_note else " "
