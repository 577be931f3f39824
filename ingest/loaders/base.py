"""What every loader takes and gives: limits in, titled sections out.

A loader is a function `(path, name, limits) → Extracted`. `path` is where the bytes are, `name` is what the user calls
the file (an upload lies under another name). It imports its library inside, and raises DocumentError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TypeVar

from ingest.splitting import HEADING_SEPARATOR as HEADING_SEPARATOR  # noqa: PLC0414 - loaders take it from here
from ingest.splitting import Piece
from rag.errors import UnreadableDocument
from rag.types.documents import Section as Section  # noqa: PLC0414 - loaders take it from here

_Item = TypeVar("_Item")

MEGABYTE = 1024 * 1024
HIDDEN_TEXT = "Hidden text was left out."
LONGEST_NAME = 80  # characters of a name within a heading
LONGEST_HEADING = 120  # characters; a "heading" beyond that is a paragraph in disguise
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff\0"))

_MEANINGLESS_TITLE = re.compile(
    r"microsoft (word|powerpoint|excel) ?-|untitled|\(?anonymous\)?$"
    r"|(document|binder|title|model|page|slide|book|doc)\s?\d*$"
    r"|powerpoint presentation$|word document$|presentation$|html$|no title|unknown$",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(
    r"^(/|[a-z]:|file:)|\.(docx?|pdf|xlsx?|pptx?|odt|rtf|txt|tex|html?|md|indd|qxd|tmp)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may be at most: its file and its text in MB (1 MB of text is 1,048,576 characters), its pages."""

    max_file_mb: int = 500
    max_pages: int = 20_000
    max_text_mb: int = 200
    heartbeat: Callable[[], None] = lambda: None  # called after each page that took seconds

    def check_text(self, characters: int, name: str) -> None:
        """Raises UnreadableDocument when a document has more text than allowed."""
        if characters > self.max_text_mb * MEGABYTE:
            raise over_limit(name, f"holds more than {self.max_text_mb} MB of text.", "MAX_TEXT_MB")

    def check_pages(self, pages: int, name: str, what: str = "pages") -> None:
        """Raises UnreadableDocument when a document has more pages (or slides: `what`) than allowed."""
        if pages > self.max_pages:
            raise over_limit(name, f"has {pages} {what}, more than the {self.max_pages} allowed.", "MAX_PAGES")

    def bounded(self, items: Iterable[_Item], name: str, size: Callable[[_Item], int]) -> Iterator[_Item]:
        """The same items; raises UnreadableDocument as soon as they have more text than allowed. `size` counts the
        characters of one."""
        characters = 0
        for item in items:
            characters += size(item)
            self.check_text(characters, name)
            yield item


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a loader found: the document's own title ("" if none), and sections that tile its text without gaps."""

    title: str
    sections: list[Section]
    notice: str = ""


Loader = Callable[[Path, str, Limits], Extracted]


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """A document as it goes on to the splitter.

    `pages` is 1 for a format without pages; `empty_pages` are the 0-based pages without text. `notice` is what else the
    user should know. `pieces` is what the splitter made of the sections, once it has.
    """

    title: str
    sections: list[Section]
    pages: int
    empty_pages: tuple[int, ...]
    notice: str
    pieces: tuple[Piece, ...] = ()


def printable(name: str) -> str:
    """`name` as it can be printed and stored: bytes that are not UTF-8 and control characters become escapes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else c.encode("unicode_escape").decode() for c in text)


def quoted(name: str) -> str:
    """The file's own name, without folders, in quotation marks, for a message."""
    return f"“{printable(PurePath(name).name)}”"


def readable_stem(name: str) -> str:
    """A title made of the file's name: `annual_report-2024.pdf` → `annual report-2024`."""
    stem = printable(PurePath(name).stem)
    return " ".join(re.sub(r"[_+\s]+|(?<=[^\W\d])[-.](?=[^\W\d])", " ", stem).split()) or stem


def sensible_title(title: str) -> str:
    """`title` on one line, or "" when it says nothing: a template's name, a number, a file's name."""
    title = squeeze("".join(c if c.isprintable() else " " for c in title.translate(INVISIBLE)))
    letters = sum(c.isalpha() for c in title)
    if letters < 3 or _MEANINGLESS_TITLE.match(title) or _FILE_NAME.search(title):
        return ""
    return title[:200]


def page_numbers(pages: Sequence[int]) -> str:
    """Pages counted from 0 as people name them: `page 3`, `pages 3–7, 9`."""
    spans: list[list[int]] = []
    for page in pages:
        if spans and page == spans[-1][1] + 1:
            spans[-1][1] = page
        else:
            spans.append([page, page])
    written = ", ".join(str(a + 1) if a == b else f"{a + 1}–{b + 1}" for a, b in spans)
    return f"page{'s' if len(pages) > 1 else ''} {written}"


def groups_of(items: Iterable[_Item], size: Callable[[_Item], int], most: int) -> Iterator[list[_Item]]:
    """The items in groups whose sizes together are at most `most`; one that is larger is a group of its own."""
    group: list[_Item] = []
    total = 0
    for item in items:
        length = size(item)
        if group and total + length > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += length
    if group:
        yield group


def text_size(section: Section) -> int:
    """Characters."""
    return len(section.text)


def squeeze(text: str) -> str:
    """`text` on one line: white space collapsed, invisible characters (zero width, soft hyphen) dropped."""
    return " ".join(text.translate(INVISIBLE).split())


def shortened(text: str, longest: int = LONGEST_HEADING) -> str:
    """`text` if it has at most `longest` characters, else its beginning and an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def short_name(name: str) -> str:
    """A name or a subject as it stands in a heading."""
    return shortened(squeeze(printable(name)), LONGEST_NAME)


def unreadable(
    name: str, problem: str, hint: str = "The file may be damaged: open it in its own program and save it again."
) -> UnreadableDocument:
    """The error about the file `name`: `problem` is what comes after the name in the message."""
    return UnreadableDocument(f"{quoted(name)} {problem}", hint=hint, source=name)


def over_limit(name: str, problem: str, setting: str) -> UnreadableDocument:
    """The error about a file that is over the limit that the `setting` of RAG_INGEST sets."""
    return unreadable(name, problem, f"Split it into smaller files, or raise RAG_INGEST__{setting}.")


def not_what_it_says(
    name: str, described: str, hint: str = "Give the file the suffix of what it really is."
) -> UnreadableDocument:
    """What to say of a file that is not of the format that its suffix names."""
    return unreadable(name, f"is not {described}, although its name says so.", hint)


class HeadingPath:
    """The headings above a place in a document, kept while reading it from top to bottom."""

    def __init__(self) -> None:
        self._levels: list[tuple[int, str]] = []

    def enter(self, level: int, heading: str) -> str:
        """Takes in a heading of `level` (1 is the highest); gives the path that ends with it."""
        self._levels = [(above, text) for above, text in self._levels if above < level]
        if heading:
            self._levels.append((level, shortened(heading)))
        return HEADING_SEPARATOR.join(text for _, text in self._levels)


class SectionWriter:
    """The sections of a document read from top to bottom: the lines under each heading, unless all are blank.

    `sections` are those that have ended.
    """

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._path = HeadingPath()
        self._heading = ""
        self._lines: list[str] = []
        self._line = ""

    def enter(self, level: int, heading: str) -> None:
        """Begins a section under a heading of `level` (1 is the highest); under the one above that if it is ""."""
        self.finish()
        self._heading = self._path.enter(level, heading)

    def write(self, *lines: str) -> None:
        """Adds lines to the section, after the one that has begun."""
        self.end_line()
        self._lines += lines

    def write_words(self, text: str) -> None:
        """Goes on with a line of running text, in which white space collapses."""
        words = re.sub(r"\s+", " ", text.translate(INVISIBLE))
        self._line += words.lstrip() if not self._line or self._line.endswith(" ") else words

    def end_line(self) -> None:
        """Adds the line of running text unless it is blank."""
        if line := self._line.strip():
            self._lines.append(line)
        self._line = ""

    def finish(self) -> None:
        """Ends the section; what is written next is another one under the same heading."""
        self.end_line()
        if any(map(str.strip, self._lines)):
            self.sections.append(Section("\n".join(self._lines) + "\n\n", heading=self._heading))
        self._lines = []


def headed_sections(text: str, headings: Iterable[tuple[int, int, str]]) -> tuple[str, list[Section]]:
    """`text` cut before each heading, given as (offset, level, plain text) in order; and the first sensible heading of
    level 1, which may serve as title ("" if none)."""
    path = HeadingPath()
    title = ""
    starts, paths = [0], [""]
    for offset, level, heading in headings:
        starts.append(offset)
        paths.append(path.enter(level, heading))
        if level == 1 and not title:
            title = sensible_title(heading)
    sections = [
        Section(text[start:end], heading=heading)
        for (start, end), heading in zip(pairwise([*starts, len(text)]), paths, strict=True)
        if start < end
    ]
    return title, sections
