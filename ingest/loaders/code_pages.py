"""National code pages that a general guess takes for others in short texts, told by what only their language writes."""

from __future__ import annotations

import re
from collections.abc import Callable

_SHORTEST = 3  # characters beyond ASCII
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fc]")
_THAI = re.compile(r"[\u0e01-\u0e5b]")
_THAI_MARK = re.compile(r"[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
_STRAY_THAI_MARK = re.compile(r"(?<![\u0e01-\u0e2e\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
_THAI_LEADER_ALONE = re.compile(r"[\u0e40-\u0e44](?![\u0e01-\u0e2e])")  # vowels written before their consonant
_THAI_RARE = re.compile("[ฃฅฆฌฎฏฐฑฒฤฦฯ\u0e3a฿ๅ\u0e4e๏-๛]")
_HEBREW = re.compile(r"[\u05d0-\u05ea]")
_HEBREW_FINAL = re.compile(r"[ךםןףץ]\b")
_HEBREW_MISPLACED = re.compile(r"[ךםןףץ]\B")
_TURKISH = frozenset("ğışöüçĞİŞÖÜÇâîûÂÎÛ")
_LITHUANIAN = frozenset("ąčęėįšųūžĄČĘĖĮŠŲŪŽ")
_LATVIAN = frozenset("āčēģīķļņšūžĀČĒĢĪĶĻŅŠŪŽ")


def code_page_of(data: bytes) -> str | None:
    """The code page whose language `data` is evidently in; None when none is evident."""
    for encoding, is_evident in _EVIDENCE.items():
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        special = [character for character in text if not character.isascii()]
        if len(special) >= _SHORTEST and is_evident(text, special):
            return encoding
    return None


def _is_japanese(_: str, special: list[str]) -> bool:
    return 3 * len(_KANA.findall("".join(special))) >= len(special)


def _is_thai(text: str, special: list[str]) -> bool:
    marks = len(_THAI_MARK.findall(text))
    is_all_thai = 20 * len(_THAI.findall(text)) >= 19 * len(special)
    is_spelled = not _STRAY_THAI_MARK.search(text) and not _THAI_LEADER_ALONE.search(text)
    return (
        is_all_thai and is_spelled and 10 * marks >= len(special) and 20 * len(_THAI_RARE.findall(text)) < len(special)
    )


def _is_hebrew(text: str, special: list[str]) -> bool:
    """Some letters have another form at the end of a word, and there alone."""
    letters = len(_HEBREW.findall(text))
    finals = len(_HEBREW_FINAL.findall(text))
    return 20 * letters >= 19 * len(special) and finals > 10 * len(_HEBREW_MISPLACED.findall(text))


def _is_turkish(_: str, special: list[str]) -> bool:
    letters = {character for character in special if character.isalpha()}
    return letters <= _TURKISH and "ı" in letters and not letters.isdisjoint("şğŞ")


def _is_baltic(_: str, special: list[str]) -> bool:
    """What other languages of the west have at the same places are letters that none of them has together."""
    letters = {character.lower() for character in special if character.isalpha()}
    if letters.isdisjoint("šž"):
        return False
    return (letters <= _LITHUANIAN and not letters.isdisjoint("ėųū")) or (
        letters <= _LATVIAN and len(letters & set("āēīūļņ")) > 1
    )


_EVIDENCE: dict[str, Callable[[str, list[str]], bool]] = {
    "euc_jp": _is_japanese,
    "cp874": _is_thai,
    "cp1255": _is_hebrew,
    "cp1254": _is_turkish,
    "cp1257": _is_baltic,
}
