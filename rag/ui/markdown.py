"""Text that comes from elsewhere (file names, error messages, documents) made safe to stand in Markdown."""

from __future__ import annotations

import re
import unicodedata

SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~:$&@])")
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)
DIRECTIVE = re.compile(r":(?=[A-Za-z])")


def plain_line(text: str) -> str:
    """`text` on one line, without control characters and without those that turn the reading direction round."""
    kept = (" " if unicodedata.category(char) == "Cc" else char for char in text if char not in BIDI_CONTROLS)
    return " ".join("".join(kept).split())


def escape(text: str) -> str:
    """`text` as one line of Markdown that shows it literally."""
    return SPECIAL.sub(r"\\\1", plain_line(text))


def presentable(answer: str) -> str:
    """An answer's Markdown as Chainlit's page shows it whole: there `a:b` would lose `:b`, taken for a directive.
    Images become text: an answer has none, and one from another host would tell that host what was asked."""
    parts = CODE.split(answer)
    parts[::2] = [DIRECTIVE.sub(r"\\:", part).replace("![", r"!\[") for part in parts[::2]]
    return "".join(parts)
