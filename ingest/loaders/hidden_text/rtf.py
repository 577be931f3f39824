"""Text of a rich text file that nobody sees: marked as hidden, of no more than a point, or white with nothing behind.

White text stays where the file paints a ground anywhere: behind letters, paragraphs or cells, or by a drawing.
"""

from __future__ import annotations

import re

from ingest.loaders.hidden_text.look import WHITE, Look, look_alike

_TOKEN = re.compile(r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'[0-9a-fA-F]{2}|\\[^a-z]|[{}]|[^\\{}]+|\\")
_COLOURS = re.compile(r"\{\\colortbl([^{}]*)\}")
_PART = re.compile(r"\\(?:red|green|blue)(\d{1,3})")
_GROUND = re.compile(r"\\(?:cb|chcbpat|highlight|cbpat|clcbpat|trcbpat)([1-9]\d*)")
_PAINTED = re.compile(r"\\(?:shading|clshdng|chshdng)[1-9]|\\(?:shp|do|background)(?![a-z])")
_MAY_HIDE = re.compile(r"\\(?:v(?![a-z0])|fs[0-2](?!\d)|cf[1-9])")
_CHARACTER = re.compile(r"u|tab|line|bullet|e[mn](?:dash|space)|qmspace|l(?:dbl)?quote|r(?:dbl)?quote")


def without_hidden(rtf: str) -> str:
    """`rtf` without the characters that are not seen; its groups and marks stay."""
    if not _MAY_HIDE.search(rtf):
        return rtf
    white = _white(rtf)
    kept: list[str] = []
    outer: list[Look] = []
    look = Look()
    for token in _TOKEN.finditer(rtf):
        word, number = token[1], token[2]
        if token[0] == "{":
            outer.append(look)
        elif token[0] == "}":
            look = outer.pop() if outer else Look()
        elif word == "plain":
            look = Look()
        elif word == "v":
            look = look._replace(is_hidden=number != "0")
        elif word == "fs":
            look = look._replace(size=int(number or 24) / 2)
        elif word == "cf":
            look = look._replace(colour=WHITE if number in white else None, ground=WHITE)
        elif look.is_unseen and token[0] != "\\*" and (not word or _CHARACTER.fullmatch(word)):
            continue
        kept.append(token[0])
    return "".join(kept)


def _white(rtf: str) -> frozenset[str]:
    """The numbers of the colours in which letters cannot be seen; none where something may lie behind them."""
    table = _COLOURS.search(rtf)
    colours = [[int(part) for part in _PART.findall(colour)] for colour in table[1].split(";")] if table else []
    white = frozenset(
        str(number)
        for number, parts in enumerate(colours)
        if len(parts) == 3 and look_alike((parts[0], parts[1], parts[2]), WHITE)
    )
    if _PAINTED.search(rtf) or any(ground not in white for ground in _GROUND.findall(rtf)):
        return frozenset()
    return white
