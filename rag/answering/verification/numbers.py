"""Numbers by what they are worth: `1,200` is 1200, `twenty` is 20, and `5.8 billion` is 5,794 in a table of millions.

Signs are not looked at (accounts write -3 as (3), reports write "a loss of 3"), nor are units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_GERMAN = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"
_FRENCH = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze"
_SPANISH = "cero uno dos tres cuatro cinco seis siete ocho nueve diez"
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS: dict[str, float] = {
    word: value
    for words in (_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ORDINALS)
    for value, word in enumerate(words.split())
} | {word: 10.0 * tens for tens, word in enumerate(_TENS, start=2)}
_ALSO = {  # what says a number to one who reads, and cannot be asked of a source
    "both": 2, "pair": 2, "couple": 2, "twice": 2, "double": 2, "doubled": 2, "dual": 2, "triple": 3, "tripled": 3,
    "thrice": 3, "dozen": 12, "half": 0.5, "halved": 0.5, "quarter": 0.25, "hundred": 100, "thousand": 1000,
    "million": 1e6, "billion": 1e9, "single": 1, "once": 1, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5,
    "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10,
    "xi": 11, "xii": 12, "xiii": 13, "xiv": 14, "xv": 15, "xvi": 16, "xvii": 17, "xviii": 18, "xix": 19,
}  # fmt: skip
_IDLE = frozenset({"one", "first", "second", "un", "uno", "null", "elf", "sept"})  # more often not a number than one
_SCALES = {
    **dict.fromkeys(("hundred", "hundreds", "hundert"), 1e2),
    **dict.fromkeys(("thousand", "thousands", "k", "tausend", "mille", "mil"), 1e3),
    **dict.fromkeys(("million", "millions", "m", "mn", "mm", "mio", "millionen", "millones", "millón"), 1e6),
    **dict.fromkeys(("billion", "billions", "bn", "b", "milliarde", "milliarden", "milliard", "milliards"), 1e9),
    **dict.fromkeys(("trillion", "trillions", "tn"), 1e12),
}
_FRACTIONS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3, "⅛": 0.125}
_SCALE = "|".join(sorted(_SCALES, key=len, reverse=True))
_FIGURE = re.compile(
    r"(?<![\w.,])(?=[.,\dFC])(?:FY|CY)?(?P<figure>\d+(?:[.,'’   ]\d{3}(?!\d))*(?:[.,]\d+)?|[.,]\d+)(?P<part>[½¼¾⅓⅔⅛])?"
    rf"(?:(?:[  ]|-)?(?P<scale>{_SCALE})(?!\w))?(?P<percent>\s?(?:%|per\s?cent\b|Prozent\b|por ciento\b|pour cent\b))?",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"[\d½¼¾⅓⅔⅛]")
_PART = re.compile(r"[½¼¾⅓⅔⅛]")
_WORD = re.compile(r"[^\W\d_]+")
_ABOUT = re.compile(
    r"(?:\b(?:about|around|approximately|roughly|nearly|almost|over|under|more than|less than|some|circa|ca\.?|"
    r"approx\.?|rund|etwa|environ|alrededor de|unos|casi)|[~≈])\s*+(?:[$€£]\s*+)?$",
    re.IGNORECASE,
)
_TABLE_SCALE = re.compile(rf"\b(?:in|of|\$|€|£|usd|eur)\s*({_SCALE})\b|\((?:\$\s*)?({_SCALE})\b", re.IGNORECASE)
_GROUP = re.compile(r"[.,'’   ](?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and where it stands. `values` are its readings (`1.200` is 1200 or 1.2); `step` is the worth of its last
    digit. `scaled` is set where a word such as "million" followed, `about` where the text says it is not exact."""

    start: int
    end: int
    values: tuple[float, ...]
    step: float
    scaled: bool = False
    about: bool = False
    percent: bool = False
    idle: bool = False

    def equals(self, other: Quantity, scales: Iterable[float] = ()) -> bool:
        """Whether `other` states this number, exactly or with more digits; `scales` are those of the other's table."""
        return any(self._reads(value, other, scales) for value in self.values)

    def _reads(self, value: float, other: Quantity, scales: Iterable[float]) -> bool:
        rounds = self.scaled or self.about or self.step < 1
        factors = {1.0}
        if self.scaled and not other.scaled:
            factors |= set(scales)
        if self.percent != other.percent:  # 15 % is 0.15; but 36 is not 0.36, rounded to 0.4 %
            shares = [theirs * factor for theirs in other.values for factor in (0.01, 100.0)]
            if any(abs(share - value) <= 1e-9 * abs(value) for share in shares):
                return True
        for theirs in other.values:
            for factor in factors:
                worth = theirs * factor
                if abs(worth - value) <= 1e-9 * max(abs(value), 1e-9):
                    return True
                finer = other.step * factor < self.step * 0.99
                if rounds and finer and value >= self.step and abs(worth - value) <= self.step * 0.5000001:
                    return True
        return False


def quantities(text: str) -> list[Quantity]:
    """The numbers that `text` states, in order: figures, and words from two on."""
    found = list(_figures(text)) if _DIGIT.search(text) else []
    if _WORDS.keys().isdisjoint(_WORD.findall(text.lower())):
        return found
    return sorted((*found, *_words(text)), key=lambda quantity: quantity.start)


def stated(text: str) -> list[Quantity]:
    """Every number that can be read out of a source, also from words such as "both" and "dozen"."""
    found = quantities(text)
    if not found and _ALSO.keys().isdisjoint(_WORD.findall(text.lower())):
        return []
    also = [
        Quantity(match.start(), match.end(), (float(_ALSO[word]),), 1.0, idle=True)
        for match in _WORD.finditer(text)
        if (word := match[0].lower()) in _ALSO
    ]
    joined = [
        Quantity(one.start, two.end, (one.values[0] + two.values[0],), two.step, scaled=two.scaled)
        for one, two in pairwise(found)
        if one.values[0] > 99 > two.values[0] > 0 and text[one.end : two.start] == " and "
    ]
    return [*found, *also, *joined]


def table_scales(text: str) -> frozenset[float]:
    """What the figures of a table stand for: 1e6 where it says "in millions"."""
    return frozenset(_SCALES[(match[1] or match[2]).lower()] for match in _TABLE_SCALE.finditer(text))


def _figures(text: str) -> Iterable[Quantity]:
    for match in _FIGURE.finditer(text):
        figure = match["figure"]
        scale = _scale(match["scale"])
        values, step = _readings(figure)
        about = bool(_ABOUT.search(text, max(0, match.start() - 24), match.start()))
        if about and step == 1.0:
            step = _round_step(values[0])
        if match["part"]:
            values = tuple(value + _FRACTIONS[match["part"]] for value in values)
            step = 0.01
        unclear = scale > 1 and len(match["scale"]) < 3 and match["scale"] not in ("bn", "M", "B", "mn")  # 5 m: metres?
        yield Quantity(
            match.start("figure"),
            match.end(),
            tuple(value * factor for factor in ((scale, 1.0) if unclear else (scale,)) for value in values),
            step * scale,
            scaled=scale > 1,
            about=about,
            percent=bool(match["percent"]),
        )
    for match in _PART.finditer(text):
        if not match.start() or not text[match.start() - 1].isdigit():
            yield Quantity(match.start(), match.end(), (_FRACTIONS[match[0]],), 0.01)


@lru_cache(maxsize=10_000)
def _readings(figure: str) -> tuple[tuple[float, ...], float]:
    """What a figure may be worth, the likeliest first, and the worth of its last digit."""
    digits = _GROUP.sub("", figure)
    readings = []
    decimals = 0
    if re.fullmatch(r"\d+", digits):
        readings.append(float(digits))
    if match := re.fullmatch(r"(\d*)[.,](\d+)", digits):
        decimals = len(match[2])
        readings.append(float(f"{match[1] or 0}.{match[2]}"))
    if match := re.fullmatch(r"(\d{1,3})[.,](\d{3})", figure):  # 1.200, 1,200: thousands here, decimals there
        readings.append(float(f"{match[1]}.{match[2]}"))
    return tuple(readings) or (float(re.sub(r"\D", "", figure)),), 10.0**-decimals


def _round_step(value: float) -> float:
    """What a round number is exact to: 1200 to 100."""
    step = 1.0
    while value and value % (step * 10) == 0 and value > step * 10:
        step *= 10
    return step


def _words(text: str) -> Iterable[Quantity]:
    words = list(_WORD.finditer(text))
    place = 0
    while place < len(words):
        match = words[place]
        place += 1
        word = match[0].lower()
        if word not in _WORDS:
            continue
        value, end = _WORDS[word], match.end()
        if word in _TENS and 0 < (unit := _following(text, end, words, place, _WORDS)) < 10:
            value, end = value + unit, words[place].end()
            place += 1
        if scale := _following(text, end, words, place, _SCALES):
            end = words[place].end()
            place += 1
        idle = word in _IDLE and not scale
        yield Quantity(match.start(), end, (value * (scale or 1),), scale or 1.0, scaled=scale > 1, idle=idle)


def _following(text: str, end: int, words: Sequence[re.Match[str]], place: int, table: Mapping[str, float]) -> float:
    """What the next word is worth in `table`, if only a space or hyphen stands before it; else 0."""
    if place < len(words) and text[end : words[place].start()] in (" ", "-") and len(words[place][0]) > 2:
        return table.get(words[place][0].lower(), 0.0)
    return 0.0


def _scale(word: str | None) -> float:
    return _SCALES[word.lower()] if word else 1.0
