"""Markers of footnotes in an answer: `[1]`, and all the ways in which models write them. The one parser of them.

What looks like a marker and is none stays as it is: brackets in code, JSON and formulas, `items[1]`, `Clause [14]`,
lists of pages, cells of a table, links. Whether a `[1]` is one depends on what stands around it alone, not on which
sources there are: so all who read an answer see the same.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rag.text.marker_context import (
    TOUCHES_PLAIN_WORD,
    TextState,
    announces_data,
    goes_on_with_data,
    may_be_parenthesis,
    may_be_superscript,
)

SHAPE = r"\[\d{1,3}\]"  # of a marker as MarkerFilter writes it; what has it need not be one

# Runs are bounded: with `[ \t]*`, a search takes the square of their length.
_SPACE = re.compile(r"[ \t]{1,8}\Z")
_LONGEST = 200  # characters between the brackets
_MOST_ITEMS = 50  # brackets that are looked at as one group
_LONGEST_RANGE = 20  # sources of `[1-3]`
_LABELS = (  # noqa: SIM905  (a list of 23 lines would be read by nobody)
    "source sources src doc docs document documents documento documentos dokument dokumente passage passages "
    "citation citations cite ref refs reference references quelle quellen fuente fuentes"
).split(" ")
_BEGUN_LABELS = frozenset(label[:length] for label in _LABELS for length in range(1, len(label) + 1))
_LABEL = rf"(?:{'|'.join(sorted(_LABELS, key=len, reverse=True))})[ \t]?[:#.]?[ \t]?"
_NUMBERS = r"\d{1,3}(?:[ \t]?[-–—][ \t]?\d{1,3})?"
_SOURCE = rf"(?:{_LABEL}|[#^])?{_NUMBERS}"
_GAP = r"[ \t]{0,8}"
_PLACE = r"(?:†[^\[\]【】\n]{0,80})?"  # as in `【1†L3-L5】`
_BODY = rf"{_GAP}{_SOURCE}(?:{_GAP}[,;&]{_GAP}{_SOURCE}){{0,99}}{_GAP}{_PLACE}"
_ITEM = re.compile(rf"\[\[(?:{_BODY})\]\]|\[(?:{_BODY})\]|【(?:{_BODY})】", re.IGNORECASE)
_BEGUN = re.compile(rf"(?:\[{{1,2}}|【)([\w,;&#^:. \t–—-]{{0,200}}){_PLACE}\]?\Z")  # what may become an item
_SINGLE = re.compile(r"\[(\d{1,3})\]")
_FOUND = re.compile(r"(\d{1,3})(?:[ \t]?[-–—][ \t]?(\d{1,3}))?")
_IN_PARENTHESES = re.compile(r"\((\d{1,3}(?:, ?\d{1,3}){0,9})\)")
_BEGUN_PARENTHESIS = re.compile(r"\((?:\d[\d, ]{0,40})?\Z")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SPECIAL = re.compile(r"`{1,99}|~{1,99}|\n|\\.?|\${1,99}|[{}\[\]【】(]|[⁰¹²³⁴-⁹]{1,9}", re.DOTALL)
_MAY_GROW = re.compile(r"`{1,98}\Z|~{1,98}\Z|\\\Z|\${1,98}\Z|[⁰¹²³⁴-⁹]{1,8}\Z")  # with the next piece
_AFTER = re.compile(r"[ \t]{0,8}\Z")


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker `[number]` and the characters it takes in a text."""

    start: int
    end: int
    number: int


class _Parser(ABC):
    """Reads a text piece by piece and writes it anew, each group of adjacent markers as `_written` says.

    A bracket, the space before it and one character behind it are held back until it is decided.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = TextState()
        self._read = 0  # characters that are decided

    def feed(self, delta: str) -> str:
        """The text that can be shown after this piece."""
        if not self._held and not _SPECIAL.search(delta) and delta[-1:] not in " \t":
            self._read += len(delta)
            return self._state.add(delta)
        return self._parse(self._held + delta, is_end=False)

    def flush(self) -> str:
        """What is still held at the end of the answer."""
        return self._parse(self._held, is_end=True)

    def _parse(self, text: str, *, is_end: bool) -> str:
        parts: list[str] = []
        position = 0
        border = len(text)  # of what is decided
        while special := _SPECIAL.search(text, position):
            start = special.start()
            space = _SPACE.search(text, max(position, start - 8), start)
            from_space = space.start() if space else start
            parts.append(self._state.add(text[position:from_space]))
            gap = text[from_space:start]
            if not is_end and _MAY_GROW.match(text, start):
                position = border = from_space
                break
            decided = self._decide(text, gap, special, is_end)
            if decided is None:
                position = border = from_space
                break
            written, position = decided
            parts.append(written)
        else:
            tail = None if is_end else _SPACE.search(text, max(position, len(text) - 8))
            border = tail.start() if tail else len(text)
            parts.append(self._state.add(text[position:border]))
        self._held = text[border:]
        self._read += border
        return "".join(parts)

    def _decide(self, text: str, gap: str, special: re.Match[str], is_end: bool) -> tuple[str, int] | None:
        """What is written for the gap and what begins behind it, and where that ends; None: not known yet."""
        start, mark = special.span()[0], special[0]
        if mark[0] in "[【":
            end = start
            items: list[re.Match[str]] = []
            while len(items) < _MOST_ITEMS and (item := _ITEM.match(text, end)):
                items.append(item)
                end = item.end()
            after = text[end : end + 9]
            may_go_on = (_AFTER.match(after) and end + len(after) == len(text)) or _is_begun(text, end)
            if may_go_on and not is_end and len(items) < _MOST_ITEMS:
                return None
            if items:
                return self._group(gap, items, after), end
        elif mark == "(" or mark[0] in "⁰¹²³⁴⁵⁶⁷⁸⁹":
            found = _IN_PARENTHESES.match(text, start) if mark == "(" else special
            if mark == "(" and not is_end and _BEGUN_PARENTHESIS.match(text, start):
                return None
            if found:
                if found.end() == len(text) and not is_end:
                    return None
                after = text[found.end() : found.end() + 1]
                written = self._other(gap, found[0], after)
                return self._state.add(written or gap + found[0]), found.end()
        self._state.add(gap)
        self._state.mark(mark)
        return gap + mark, special.end()

    def _group(self, gap: str, items: list[re.Match[str]], after: str) -> str:
        group = "".join(item[0] for item in items)
        offset = self._read + items[0].start()
        if self._state.is_data or any(re.search(r"(?<!\d)0", item[0].partition("†")[0]) for item in items):
            return self._state.add(gap + group)
        context = self._state.line + gap
        if goes_on_with_data(self._state, context) or announces_data(self._state, context, group, after):
            self._state.add(gap + group)
            self._state.note_data()
            return gap + group
        if TOUCHES_PLAIN_WORD.search(context):
            written = self._touching(context, group, after)
        else:
            written = self._written(gap, items, after, offset)
        self._state.has_markers |= bool(written)
        return self._state.add(written)

    @abstractmethod
    def _written(self, gap: str, items: list[re.Match[str]], after: str, offset: int) -> str:
        """The gap and the markers behind it, as they are to be shown; they begin at `offset` in the text."""

    def _touching(self, context: str, group: str, after: str) -> str:
        """The brackets that touch a word, as they are to be shown."""
        return group

    def _other(self, gap: str, written: str, after: str) -> str:
        """`(1)` or `¹` as a marker with the gap before it; empty where it is none."""
        return ""


def _is_begun(text: str, start: int) -> bool:
    """Whether an item may begin at `start` that the end of the text cuts."""
    begun = _BEGUN.match(text, start)
    return begun is not None and all(word in _BEGUN_LABELS for word in re.findall(r"[^\W\d_]+", begun[1].lower()))


class MarkerFilter(_Parser):
    """Passes an answer's text on while it streams; markers come out as `[1][2]`, those of unknown sources not at all.

    `numbers` are those of the sources there are; a mapping gives the number that each is shown as. They may change as
    long as those that were shown stay what they were.
    """

    def __init__(self, numbers: Collection[int] | Mapping[int, int]) -> None:
        super().__init__()
        self.numbers = dict(numbers) if isinstance(numbers, Mapping) else {number: number for number in numbers}

    def _written(self, gap: str, items: list[re.Match[str]], after: str, offset: int) -> str:
        shown = "".join(map(self._item, items))
        if shown:
            return gap + shown
        return gap if after[:1].isalnum() else ""

    def _item(self, item: re.Match[str]) -> str:
        """An item as it is shown: a list or range of numbers none of which is a source's is no marker."""
        text = item[0]
        numbers: list[int] = []
        body = text.partition("†")[0]
        ranges = _FOUND.findall(body)
        for first, last in ranges:
            span = range(int(first), int(last or first) + 1)
            if last and (not 1 < len(span) <= _LONGEST_RANGE or any(number not in self.numbers for number in span)):
                return text
            numbers += span
        known = [number for number in dict.fromkeys(numbers) if number in self.numbers]
        is_plain = len(text) <= _LONGEST and not re.search(r"[^\W\d_]|[#^†\[【]", text[1:] + text[0].replace("[", ""))
        if len(text) > _LONGEST + 2 or (not known and ("#" in text or (is_plain and len(ranges) > 1))):
            return text
        return self._shown(known)

    def _shown(self, numbers: Collection[int]) -> str:
        return "".join(f"[{self.numbers[number]}]" for number in numbers)

    def _touching(self, context: str, group: str, after: str) -> str:
        numbers = [int(number) for number in _SINGLE.findall(group)]
        is_end = after[:1] in ("", "\n") or (after[0] in ".,;!?" and not after[1:2].isalnum())
        is_single = _SINGLE.sub("", group) == ""
        if is_end and is_single and self._state.is_prose and all(number in self.numbers for number in numbers):
            return " " + self._shown(numbers)
        return group

    def _other(self, gap: str, written: str, after: str) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", written.translate(_DIGITS))]
        if self._state.is_data or any(number not in self.numbers for number in numbers):
            return ""
        if written[0] == "(":
            return f"{gap}{self._shown(numbers)}" if may_be_parenthesis(self._state, gap, after) else ""
        return f" {self._shown(numbers)}" if not gap and may_be_superscript(self._state, after) else ""


class _Finder(_Parser):
    """Notes where the markers `[n]` are, and writes nothing anew."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Marker] = []

    def _written(self, gap: str, items: list[re.Match[str]], after: str, offset: int) -> str:
        first = items[0].start()
        for item in items:
            if single := _SINGLE.fullmatch(item[0]):
                start = offset - first + item.start()
                self.found.append(Marker(start, start + len(item[0]), int(single[1])))
        return gap + "".join(item[0] for item in items)


def find_markers(text: str) -> list[Marker]:
    """The markers of a text in which they are written `[n]`, as MarkerFilter does."""
    return list(_found_markers(text)) if "[" in text else []


@lru_cache(maxsize=256)  # an answer and its sentences are asked several times, each by who checks and who cites
def _found_markers(text: str) -> tuple[Marker, ...]:
    finder = _Finder()
    finder.feed(text)
    finder.flush()
    return tuple(finder.found)


def replace_markers(text: str, write: Callable[[Marker], str]) -> str:
    """The text with each of its markers written anew."""
    parts, position = [], 0
    for marker in find_markers(text):
        parts += [text[position : marker.start], write(marker)]
        position = marker.end
    return "".join(parts) + text[position:]


def round_markers(text: str) -> str:
    """Text of a document whose own `[2]` would pass for one of our footnotes: `(2)`."""
    return replace_markers(text, lambda marker: f"({marker.number})")


def without_markers(text: str) -> str:
    """The text without its markers, and without the space before them."""
    markers = MarkerFilter(())
    return markers.feed(text) + markers.flush() if "[" in text or "【" in text else text


def leading_markers(text: str) -> str:
    """The markers with which the text begins."""
    end = 0
    for marker in find_markers(text):
        if text[end : marker.start].strip():
            break
        end = marker.end
    return text[:end]


def cited_numbers(text: str) -> list[int]:
    """The source numbers that `text` cites, in order of first mention."""
    return list(dict.fromkeys(marker.number for marker in find_markers(text)))
