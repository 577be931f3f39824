"""Markdown files: the source text, cut into sections before each heading.

Headings and comments are found by a CommonMark parser, so that those in a code block are none. The text itself is not
rendered: sections, joined, are the file without its comments.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from pathlib import Path

from ingest.loaders.base import LONGEST_HEADING, Extracted, Limits, headed_sections, sensible_title, squeeze
from ingest.loaders.encoding import decode

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_COMMENT = r"(?P<comment><!--(?:-?>|.*?(?:-->|\Z)))"
_COMMENT_IN_HTML = re.compile(_COMMENT, re.DOTALL)
# What comes first counts: an escaped character, code, a comment.
_COMMENT_IN_TEXT = re.compile(rf"\\[!-/:-@\[-`{{-~]|(?<!`)(`++)(?!`).*?(?<!`)\1(?!`)|{_COMMENT}", re.DOTALL)
_FRONT_MATTER_TITLE = re.compile(r"^title:(.+)$", re.MULTILINE | re.IGNORECASE)


def load_markdown(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading, and one for what stands before the first. Raises UnreadableDocument when not text."""
    text, notice = decode(path.read_bytes(), name)
    limits.check_text(len(text), name)
    front = _FRONT_MATTER.match(text)
    body_start = front.end() if front else 0
    text = text[:body_start] + without_comments(text[body_start:])
    title = ""
    if front and (line := _FRONT_MATTER_TITLE.search(front[0])):
        title = sensible_title(_unquoted(line[1].strip()))

    headings = markdown_headings(text[body_start:])
    first_heading, sections = headed_sections(
        text, [(body_start + offset, level, heading) for offset, level, heading in headings]
    )
    title = title or first_heading
    return Extracted(title=title, sections=sections, notice=notice)


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 2 and value[0] in "\"'" and value[0] == value[-1]
    return value[1:-1] if is_quoted else value


def without_comments(text: str) -> str:
    """`text` without its comments (`<!-- … -->`), which no reader of the page sees; those in code are no comments."""
    if "<!--" not in text:
        return text
    from markdown_it import MarkdownIt

    blocks = MarkdownIt("commonmark")
    blocks.core.ruler.enableOnly(["normalize", "block"])
    lines = text.split("\n")
    kept: list[str] = []
    end = 0
    for token in blocks.parse(text):
        if token.type in ("inline", "html_block") and token.map and token.map[0] >= end:
            kept += lines[end : token.map[0]]
            comment = _COMMENT_IN_HTML if token.type == "html_block" else _COMMENT_IN_TEXT
            kept.append(comment.sub(_kept, "\n".join(lines[token.map[0] : token.map[1]])))
            end = token.map[1]
    return "\n".join([*kept, *lines[end:]])


def _kept(found: re.Match[str]) -> str:
    """What stays of a find: nothing of a comment that is closed."""
    return "" if found["comment"] and found[0].endswith("-->") else found[0]


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
