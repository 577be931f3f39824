"""Text of a rich text file that nobody sees: marked as hidden, of no more than a point, or white with nothing behind.

White text stays where the file paints a ground anywhere: behind letters, paragraphs or cells, or by a drawing.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'[0-9a-fA-F]{2}|\\[^a-z]|[{}]|[^\\{}]+|\\")
_COLOURS = re.compile(r"\{\\colortbl([^{}]*)\}")
_PART = re.compile(r"\\(?:red|green|blue)(\d{1,3})")
_GROUND = re.compile(r"\\(?:cb|chcbpat|highlight|cbpat|clcbpat|trcbpat)([1-9]\d*)")
_PAINTED = re.compile(r"\\(?:shading|clshdng|chshdng)[1-9]|\\(?:shp|do|background)(?![a-z])")
_MAY_HIDE = re.compile(r"\\(?:v(?![a-z0])|fs[0-2](?!\d)|cf[1-9])")
_TINY = 2  # half-points
_WHITE = 248  # of 255: each part of a colour that looks white
_CHARACTER = re.compile(r"u|tab|line|bullet|e[mn](?:dash|space)|qmspace|l(?:dbl)?quote|r(?:dbl)?quote")


def without_hidden(rtf: str) -> str:
    """`rtf` without the characters that are not seen; its groups and marks stay."""
    if not _MAY_HIDE.search(rtf):
        return rtf
    white = _white(rtf)
    kept: list[str] = []
    outer: list[frozenset[str]] = []
    hiding: frozenset[str] = frozenset()  # the words in force that hide what follows
    for token in _TOKEN.finditer(rtf):
        word, number = token[1], token[2]
        if token[0] == "{":
            outer.append(hiding)
        elif token[0] == "}":
            hiding = outer.pop() if outer else frozenset()
        elif word == "plain":
            hiding = frozenset()
        elif word in ("v", "fs", "cf"):
            hides = {"v": number != "0", "fs": 0 <= int(number or 24) <= _TINY, "cf": number in white}[word]
            hiding = hiding | {word} if hides else hiding - {word}
        elif hiding and token[0] != "\\*" and (not word or _CHARACTER.fullmatch(word)):
            continue
        kept.append(token[0])
    return "".join(kept)


def _white(rtf: str) -> frozenset[str]:
    """The numbers of the colours in which letters cannot be seen; none where something may lie behind them."""
    table = _COLOURS.search(rtf)
    colours = [[int(part) for part in _PART.findall(colour)] for colour in table[1].split(";")] if table else []
    white = frozenset(str(n) for n, parts in enumerate(colours) if len(parts) == 3 and min(parts) >= _WHITE)
    if _PAINTED.search(rtf) or any(ground not in white for ground in _GROUND.findall(rtf)):
        return frozenset()
    return white
