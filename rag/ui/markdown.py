"""Text that comes from elsewhere (file names, error messages, documents) made safe to stand in Markdown."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from rag.text.markers import Marker, replace_markers

if TYPE_CHECKING:
    from collections.abc import Callable, Container

SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~:$&@])")
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)
_NARROW_SPACE = "\u202f"  # at which no line is broken
_SPACE_BEFORE_LINK = re.compile(r"(?<! ) (?=\[\\\[\d+\\\]\]\(#footnote-)")
LINKED_MARK = re.compile(rf"(?P<gap>{_NARROW_SPACE}?)\[\\\[(?P<number>\d+)\\\]\]\(#footnote-\d+\)")
_DESTINATION = re.compile(r"\]\((?P<target>[\s<]{0,9}[^\s()<>]{0,2000})")
_DEFINITION = re.compile(r"^( {0,3})\[(?=[^\]\n]{1,999}\]:)", re.MULTILINE)
_BARE = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,20}://|\bwww\.)[^\s<>()\[\]`]{1,2000}", re.IGNORECASE)
DIRECTIVE = re.compile(r":(?=[A-Za-z])")


def plain_line(text: str) -> str:
    """`text` on one line, without control characters and without those that turn the reading direction round."""
    kept = (" " if unicodedata.category(char) == "Cc" else char for char in text if char not in BIDI_CONTROLS)
    return " ".join("".join(kept).split())


def escape(text: str) -> str:
    """`text` as one line of Markdown that shows it literally."""
    return SPECIAL.sub(r"\\\1", plain_line(text))


def mark(number: int) -> str:
    """The mark of a footnote as a link that public/footnotes.js knows."""
    return rf"[\[{number}\]](#footnote-{number})"


def marked(answer: str, numbers: Container[int], write: Callable[[int], str] = mark) -> str:
    """An answer whose marks `[1]` are written in another way, as far as there are footnotes of these numbers."""

    def replaced(marker: Marker) -> str:
        return write(marker.number) if marker.number in numbers else answer[marker.start : marker.end]

    return replace_markers(answer, replaced)


def linked(answer: str, numbers: Container[int]) -> str:
    """An answer whose marks are links, close to their words: no line begins with one."""
    return _SPACE_BEFORE_LINK.sub(_NARROW_SPACE, marked(answer, numbers))


def unlinked(text: str) -> str:
    """Text whose marks are `[1]` again."""
    return LINKED_MARK.sub(lambda link: f"{link['gap'] and ' '}[{link['number']}]", text)


def presentable(answer: str) -> str:
    """An answer's Markdown as Chainlit's page shows it whole: there `a:b` would lose `:b`, taken for a directive.
    Images become text: an answer has none, and one from another host would tell that host what was asked."""
    return _outside_code(answer, lambda part: DIRECTIVE.sub(r"\\:", part).replace("![", r"!\["))


def without_unknown_links(answer: str, known: str) -> str:
    """An answer whose links lead nowhere, and are shown, unless their address stands in the `known` text as it is
    written: a model may have made it up, or was told by a document to put what it knows into one."""
    lower = known.lower()

    def destination(link: re.Match[str]) -> str:
        address = link["target"].strip(" <\n\t")
        return link[0] if address and address.lower() in lower else rf"]\({link['target']}"

    def bare(link: re.Match[str]) -> str:
        address = link[0].rstrip(".,;:!?")
        return link[0] if address.lower() in lower else f"`{address}`{link[0][len(address) :]}"

    def dead(part: str) -> str:
        return _BARE.sub(bare, _DESTINATION.sub(destination, _DEFINITION.sub(r"\1\[", part)))

    return _outside_code(answer, dead)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = CODE.split(text)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)
