"""reStructuredText files: the source text, cut into sections before each heading.

Headings are found here, by their underlines. docutils is not used: it replaces what it does not know (the directives
and roles of Sphinx, most of real files) by error messages, drops comments and substitutions, and is several times
slower. The text is not rendered, nothing is included: sections, joined, are the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.loaders.base import Extracted, Limits, headed_sections, squeeze
from ingest.loaders.encoding import decode

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+")
_SHORTEST = 4  # a shorter underline counts only when it is as long as its title
_ROLE = re.compile(r"(?:(?<![\w:+.-]):[\w:+.-]{1,80}:)?(?<!`)`++([^`<]*+)(?:<[^>`]*+>)?`++_{0,2}")


def load_rst(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading, and one for what stands before the first. Raises UnreadableDocument when not text."""
    text, notice = decode(path.read_bytes(), name)
    limits.check_text(len(text), name)
    title, sections = headed_sections(text, _headings(text))
    return Extracted(title=title, sections=sections, notice=notice)


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """(offset of its first line, level, plain text) of each heading; styles of underlines are levels in the order in
    which they first appear."""
    lines = text.split("\n")
    levels: dict[tuple[str, bool], int] = {}
    offset = 0
    end_of_last = -1  # the underline of one heading is not the overline of the next
    for index, (before, line, below) in enumerate(zip(["", *lines], lines, [*lines[1:], ""], strict=False)):
        if index > end_of_last and _is_underlined(line, below):
            is_overlined = index - 1 > end_of_last and before.rstrip() == below.rstrip()
            # a title is a paragraph of its own; only a target or comment may stand right above it
            is_apart = index - 1 == end_of_last or not before.strip() or before.startswith("..")
            if is_overlined or (line[0].strip() and is_apart):
                level = levels.setdefault((below[0], is_overlined), len(levels) + 1)
                yield (
                    offset - (len(before) + 1 if is_overlined else 0),
                    level,
                    squeeze(_ROLE.sub(r"\1", line).replace("**", "")),
                )
                end_of_last = index + 1
        offset += len(line) + 1


def _is_underlined(line: str, below: str) -> bool:
    below = below.rstrip()
    return (
        bool(line.strip())
        and _ADORNMENT.fullmatch(below) is not None
        and _ADORNMENT.fullmatch(line.strip()) is None
        and len(below) >= min(_SHORTEST, len(line.strip()))
    )
