"""Codes and dates as words of their own: `9.1.2`, `MSA-2023-0417`, `EL 2140`, `2025-06-03` and `3 June 2025`.

A tokenizer that parts words at every sign makes three common numbers of `9.1.2`. Here each code gives one more word, of
letters and digits alone, that nothing else gives; whoever writes the code in another way gets the same word. Index and
questions are analysed alike, so an exact code is a rare word that both have.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

_JOINT = "qz"  # between two groups of a code that would run together without
_LONGEST = 64  # characters

# Groups of letters or digits with a sign between each two: `9.1.2`, `10.0.0.1`, `MSA-2023-0417`, `INC/2024/17`.
_JOINED = re.compile(r"(?<![^\W_])[A-Za-z0-9]{1,16}(?:[-./:_][A-Za-z0-9]{1,16}){1,7}(?![^\W_])")
# A short form in capitals before a number, with a space or nothing between: `EL 2140`, `E1062`.
_NUMBERED = re.compile(r"(?<![^\W_])([A-Z]{1,5})[ \u00a0]?(\d{2,12})(?![^\W_]|[.,:/-]\d)")
_LONG_NUMBER = re.compile(r"(?<![^\W_]|[.,:/-])\d{4,12}(?![^\W_]|[.,:/-]\d)")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_PERIOD_OR_MEASURE = re.compile(r"(?:[fc]y|[qht][1-4])\d+|\d+[a-z]{3,}")
# What a text must have for the patterns above and below to find anything; these look in a tenth of their time.
_JOINED_HINT = re.compile(r"\d[-./:_]|[-./:_]\d")
_NUMBERED_HINT = re.compile(r"[A-Z][ \u00a0]?\d")
_YEAR_OF_DATE = re.compile(r"(?:19|20)\d\d")
_DIGIT = re.compile(r"\d")
_AROUND = 64  # characters before and after such a place that hold the rest of it
_GROUP = re.compile(r"[A-Za-z]+|\d+")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janner janvier janv enero ene",
            "february feb februar fevrier fev febrero",
            "march mar marz maerz mars marzo",
            "april apr avril avr abril abr",
            "may mai mayo",
            "june jun juni juin junio",
            "july jul juli juillet juil julio",
            "august aug aout agosto ago",
            "september sep sept septembre septiembre",
            "october oct oktober okt octobre octubre",
            "november nov novembre noviembre",
            "december dec dezember dez decembre diciembre dic",
        ),
        start=1,
    )
    for name in names.split()
}
_ISO_DATE = re.compile(r"(?<![\d.-])((?:19|20)\d\d)[-/.](\d{1,2})[-/.](\d{1,2})(?![\d-])")
_SHORT_DATE = re.compile(r"(?<![\d.-])(\d{1,2})([./-])(\d{1,2})\2((?:19|20)\d\d)(?![\d-])")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er)? (?:of |de )?([^\W\d_]{3,10})\.?,? (?:de )?((?:19|20)\d\d)(?!\d)"
)
_MONTH_FIRST = re.compile(r"(?<![^\W_])([^\W\d_]{3,10})\.? (\d{1,2})(?:st|nd|rd|th)?,? ((?:19|20)\d\d)(?!\d)")


def code_words(text: str) -> list[str]:
    """For each code and each date in `text` the words that stand for it, in small letters."""
    return list(_code_words(text)) if _DIGIT.search(text) else []  # most texts that are analysed are sentences without


def _code_words(text: str) -> Iterator[str]:
    if places := _places(_JOINED_HINT, text):
        for match in _found(_JOINED, text, places):
            if len(match[0]) <= _LONGEST and (word := _word(match[0])):
                yield word
    if places := _places(_NUMBERED_HINT, text):
        for match in _found(_NUMBERED, text, places):
            yield f"{match[1].lower()}{match[2]}"
            yield match[2]
    if places := _places(_YEAR_OF_DATE, text):
        for year, month, day in _dates(text, places):
            if 1 <= month <= 12 and 1 <= day <= 31:
                yield f"{year}{_JOINT}{month:02}{_JOINT}{day:02}"


def question_codes(question: str) -> list[str]:
    """The words of the codes, dates and long numbers that a question asks for, each once. What much else is written
    like is none: the number alone of `E05` (which `code_words` has beside the code), years, `FY2019`, `24-hour`."""
    codes = [word for word in code_words(question) if not word.isdigit() and not _PERIOD_OR_MEASURE.fullmatch(word)]
    numbers = [number for number in _LONG_NUMBER.findall(question) if not _YEAR.fullmatch(number)]
    return list(dict.fromkeys([*codes, *numbers]))


def _word(code: str) -> str:
    """The code as one word; empty where it has no digit, as hyphenated words have none."""
    groups = [_GROUP.findall(part.lower()) for part in re.split(r"[-./:_]", code)]
    flat: list[str] = [group for part in groups for group in part]
    if not any(group.isdigit() for group in flat):
        return ""
    word = flat[0]
    for before, group in itertools.pairwise(flat):
        word += group if before.isdigit() != group.isdigit() else f"{_JOINT}{group}"
    return word


def _dates(text: str, places: list[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Year, month and day of each date; of `03/06/2025`, which is written in two ways, both."""
    for match in _found(_ISO_DATE, text, places):
        yield match[1], int(match[2]), int(match[3])
    for match in _found(_SHORT_DATE, text, places):
        yield match[4], int(match[3]), int(match[1])
        if match[2] == "/":
            yield match[4], int(match[1]), int(match[3])
    for match in _found(_DAY_FIRST, text, places):
        yield match[3], _month(match[2]), int(match[1])
    for match in _found(_MONTH_FIRST, text, places):
        yield match[3], _month(match[1]), int(match[2])


def _places(hint: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """The parts of the text, start and end, around what the hint matches; they do not overlap."""
    places: list[tuple[int, int]] = []
    for match in hint.finditer(text):
        start, end = max(0, match.start() - _AROUND), match.end() + _AROUND
        if places and start <= places[-1][1]:
            start = places.pop()[0]
        places.append((start, end))
    return places


def _found(pattern: re.Pattern[str], text: str, places: list[tuple[int, int]]) -> Iterator[re.Match[str]]:
    return itertools.chain.from_iterable(pattern.finditer(text, start, end) for start, end in places)


def _month(name: str) -> int:
    folded = name.lower().translate(_FOLDED)
    return _MONTHS.get(folded, 0)


_FOLDED = str.maketrans("äéû", "aeu")
