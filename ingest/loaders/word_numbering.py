"""The numbers that Word counts and does not write down: "2.3", "(a)", or the dash of a bullet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ingest.loaders.hidden_text.docx import value_of

if TYPE_CHECKING:
    from lxml.etree import _Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ROMAN_VALUES = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
_ROMAN = tuple(zip(_ROMAN_VALUES, ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"), strict=True))
_LARGEST = 3999  # that is written in letters
_LEVELS = 9  # of a list
_LONGEST_LABEL, _LONGEST_NUMBER = 255, 10  # characters


class Numbering:
    """Counts the paragraphs of a document, which are to be given in order.

    `numbering` is the root of numbering.xml (None if there is none), `chains` are the styles by name, each with those
    it is based on.
    """

    def __init__(self, numbering: _Element | None, chains: Mapping[str, list[_Element]]) -> None:
        self._chains = chains
        found = [] if numbering is None else list(numbering)
        self._lists = {e.get(f"{_W}abstractNumId"): e for e in found if e.tag == f"{_W}abstractNum"}
        self._instances = {e.get(f"{_W}numId"): e for e in found if e.tag == f"{_W}num"}
        self._levels_of: dict[str, tuple[str, dict[int, _Element]]] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._restarted: set[tuple[str, int]] = set()

    def label(self, paragraph: _Element) -> str:
        """What stands before the paragraph, a dash for a bullet; "" when it is in no list."""
        number, level = self._place(paragraph)
        instance = self._instances.get(number)
        if instance is None:
            return ""
        name, levels = self._levels(number)
        if level not in levels:
            return "-"
        counts = self._counts.setdefault(name, {})
        restart = instance.find(f"{_W}lvlOverride[@{_W}ilvl='{level}']/{_W}startOverride")
        if restart is not None and (number, level) not in self._restarted:
            self._restarted.add((number, level))
            counts.pop(level, None)
        counts[level] = counts[level] + 1 if level in counts else self._start(instance, levels, level)
        for deeper in [deeper for deeper in counts if deeper > level]:
            if value_of(levels.get(deeper), "lvlRestart") != "0":
                del counts[deeper]
        return self._written(instance, levels, level, counts)

    def _place(self, paragraph: _Element) -> tuple[str, int]:
        """The list's number ("" for none) and the level in it, 0 for the highest."""
        properties = paragraph.find(f"{_W}pPr")
        style = value_of(properties, "pStyle")
        number = level = ""
        for owner in (paragraph, *self._chains.get(style, ())):
            own = owner.find(f"{_W}pPr/{_W}numPr")
            number = number or value_of(own, "numId")
            level = level or value_of(own, "ilvl")
            if number:
                break
        if number in self._instances and not level:
            levels = self._levels(number)[1]
            level = next((str(at) for at, element in levels.items() if value_of(element, "pStyle") == style), "")
        return number, int(level[:1]) if level.isdecimal() else 0

    def _levels(self, number: str) -> tuple[str, dict[int, _Element]]:
        """The name of the list that an instance counts in, and its levels."""
        if number not in self._levels_of:
            self._levels_of[number] = self._read_levels(self._instances[number])
        return self._levels_of[number]

    def _read_levels(self, instance: _Element) -> tuple[str, dict[int, _Element]]:
        name = value_of(instance, "abstractNumId")
        abstract = self._lists.get(name)
        link = value_of(abstract, "numStyleLink")
        for style in self._chains.get(link, ()) if link else ():
            linked = self._instances.get(value_of(style.find(f"{_W}pPr/{_W}numPr"), "numId"))
            if linked is not None:
                name = value_of(linked, "abstractNumId")
                abstract = self._lists.get(name)
                break
        elements = [] if abstract is None else list(abstract.iterchildren(f"{_W}lvl"))
        elements += instance.iterfind(f"{_W}lvlOverride/{_W}lvl")
        levels = {element.get(f"{_W}ilvl", ""): element for element in elements}
        return name, {level: levels[str(level)] for level in range(_LEVELS) if str(level) in levels}

    def _start(self, instance: _Element, levels: Mapping[int, _Element], level: int) -> int:
        override = instance.find(f"{_W}lvlOverride[@{_W}ilvl='{level}']")
        start = value_of(override, "startOverride") or value_of(levels.get(level), "start")
        return int(start) if start.isdecimal() and len(start) < _LONGEST_NUMBER else 1

    def _written(self, instance: _Element, levels: Mapping[int, _Element], level: int, counts: dict[int, int]) -> str:
        element = levels[level]
        if value_of(element, "numFmt") == "bullet":
            return "-"
        in_figures = element.find(f"{_W}isLgl") is not None

        def number(place: re.Match[str]) -> str:
            other = int(place[1]) - 1
            count = counts.setdefault(other, self._start(instance, levels, other))
            kind = value_of(levels.get(other), "numFmt")
            return str(count) if in_figures and kind != "none" else _FORMATS.get(kind, str)(count)

        return re.sub(r"%([1-9])", number, value_of(element, "lvlText")[:_LONGEST_LABEL]).strip()


def _letters(count: int) -> str:
    if not 0 < count <= _LARGEST:
        return str(count)
    return chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)


def _roman(count: int) -> str:
    if not 0 < count <= _LARGEST:
        return str(count)
    written = ""
    for value, letters in _ROMAN:
        written += letters * (count // value)
        count %= value
    return written


_FORMATS: dict[str, Callable[[int], str]] = {
    "none": lambda _: "",
    "decimalZero": lambda count: f"{count:02}",
    "lowerLetter": _letters,
    "upperLetter": lambda count: _letters(count).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda count: _roman(count).upper(),
}
