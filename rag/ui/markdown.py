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
LINKED_MARK = re.compile(r"\[\\\[(\d+)\\\]\]\(#footnote-\d+\)")
_LINK = re.compile(
    r"\[(?P<text>[^\[\]\n]{0,300})\]\(<?(?P<target>(?:[a-z][a-z0-9+.-]{1,20}:|//|www\.)[^\s()<>]{1,1000})>?[^()\n]{0,200}\)"
    r"|(?P<bare>(?:https?://|www\.)[^\s<>()\[\]`]{1,1000})",
    re.IGNORECASE,
)
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


def unmarked(text: str) -> str:
    """Text whose marks are `[1]` again."""
    return LINKED_MARK.sub(r"[\1]", text)


def presentable(answer: str) -> str:
    """An answer's Markdown as Chainlit's page shows it whole: there `a:b` would lose `:b`, taken for a directive.
    Images become text: an answer has none, and one from another host would tell that host what was asked."""
    return _outside_code(answer, lambda part: DIRECTIVE.sub(r"\\:", part).replace("![", r"!\["))


def without_unknown_links(answer: str, known: str) -> str:
    """An answer whose links that do not stand in the `known` text lead nowhere, and are shown: a model may have made
    them up, or was told by a document to put what it knows into one."""
    lower = known.lower()

    def shown(link: re.Match[str]) -> str:
        address = (link["target"] or link["bare"]).rstrip(".,;:!?")
        if address.lower() in lower:
            return link[0]
        return f"{link['text']} (`{link['target']}`)" if link["target"] else f"`{address}`{link[0][len(address) :]}"

    return _outside_code(answer, lambda part: _LINK.sub(shown, part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = CODE.split(text)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)
