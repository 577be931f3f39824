"""Markdown files: the source text, cut into sections before each heading.

Headings are found by a CommonMark parser, so that `#` in a code block is none. The text itself is not rendered:
sections, joined, are the file.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from ingest.loaders.base import LONGEST_HEADING, Extracted, Limits, headed_sections, sensible_title, squeeze
from ingest.loaders.decoding import decode

if TYPE_CHECKING:
    from pathlib import Path

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FRONT_MATTER_TITLE = re.compile(r"""^title:[ \t]*(["']?)(.+?)\1[ \t]*$""", re.MULTILINE | re.IGNORECASE)


def load_markdown(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading, and one for what stands before the first. Raises UnreadableDocument when not text."""
    text, notice = decode(path.read_bytes(), name)
    limits.check_text(len(text), name)
    front = _FRONT_MATTER.match(text)
    body_start = front.end() if front else 0
    title = ""
    if front and (line := _FRONT_MATTER_TITLE.search(front[0])):
        title = sensible_title(line[2])

    headings = markdown_headings(text[body_start:])
    own, sections = headed_sections(
        text, [(body_start + offset, level, heading) for offset, level, heading in headings]
    )
    title = title or own
    return Extracted(title=title, sections=sections, notice=notice)


def markdown_headings(text: str) -> list[tuple[int, int, str]]:
    """(offset of its line, level, plain text) of each heading that stands at the top level of the document."""
    from markdown_it import MarkdownIt

    blocks = MarkdownIt("commonmark")
    blocks.core.ruler.enableOnly(["normalize", "block"])  # inline mark-up is read in headings only: far faster
    inline = MarkdownIt("commonmark")
    line_starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    tokens = blocks.parse(text)
    found = []
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            children = inline.parseInline(content.content[:LONGEST_HEADING])[0].children or []
            plain = "".join(child.content or " " * (child.type == "softbreak") for child in children)
            found.append((line_starts[token.map[0]], int(token.tag[1:]), squeeze(plain)))
    return found
