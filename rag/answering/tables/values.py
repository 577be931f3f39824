"""What the cells of a column are: numbers, dates or text. A column that can be read in two ways is text."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Value = float | str | None
ColumnKind = Literal["number", "date", "text"]

_EMPTY = frozenset({"", "-", "–", "—", "n/a", "na", "k.a.", "k. a.", "n.d."})
_AMOUNT = re.compile(
    r"(?P<minus>[-−]|\()? ?(?P<before>[€$£¥]|[A-Z]{3})? ?(?P<inner>[-−])?(?P<figure>\d(?:[\d.,'’ ]*\d)?)"
    r" ?(?P<after>[€$£¥%]|[A-Za-z]{1,5})?(?P<end>\))?"
)
_FIGURES = {
    ".": re.compile(r"(?:0|[1-9]\d*|[1-9]\d{0,2}(?:(?:,\d{3})+|(?:['’ ]\d{3})+))(?:\.\d+)?"),
    ",": re.compile(r"(?:0|[1-9]\d*|[1-9]\d{0,2}(?:(?:\.\d{3})+|(?:['’ ]\d{3})+))(?:,\d+)?"),
}
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[ T]\d\d:\d\d\S*)?")
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


@dataclass(frozen=True, slots=True)
class Column:
    """A column with the kind of its values; of numbers the unit (`€`, `%`, empty if there is none) and how many decimal
    places are written at most."""

    name: str
    kind: ColumnKind = "text"
    unit: str = ""
    decimals: int = 0


def read_columns(
    names: Sequence[str], cells: Sequence[Sequence[str]], default_mark: str
) -> tuple[list[Column], list[list[Value]]]:
    """The columns and their values, from the cells of each column. Dates become ISO 8601, empty cells None.

    `default_mark` is the decimal mark of numbers that do not tell by themselves (`1.234`); empty: it is not known.
    """
    figures = [_figures(column) for column in cells]
    marks = [_decimal_marks(figure for figure, *_ in column or ()) for column in figures]
    seen = set().union(*(mark for mark in marks if len(mark) == 1))
    shared = seen.pop() if len(seen) == 1 else default_mark if not seen else ""
    columns, values = [], []
    for name, texts, amounts, own in zip(names, cells, figures, marks, strict=True):
        column = Column(name)
        of_column: list[Value] = [None if text.lower() in _EMPTY else text for text in texts]
        if amounts and (numbers := _numbers(amounts, own, shared)):
            units = {unit for _, unit, *_ in amounts if unit}
            decimals = max(len(figure.rpartition(numbers[1])[2]) * (numbers[1] in figure) for figure, *_ in amounts)
            column = Column(name, "number", units.pop() if units else "", decimals)
            of_column = _filled(of_column, numbers[0])
        elif dates := _dates([text for text in texts if text.lower() not in _EMPTY]):
            column = Column(name, "date")
            of_column = _filled(of_column, dates)
        columns.append(column)
        values.append(of_column)
    return columns, values


def _filled(texts: Sequence[Value], values: Iterable[Value]) -> list[Value]:
    """The values in the places of the texts that are there."""
    present = iter(values)
    return [None if text is None else next(present) for text in texts]


def number_of(figure: str, mark: str) -> float | None:
    """A figure written with this decimal mark; None where it is not."""
    if not _FIGURES[mark].fullmatch(figure):
        return None
    return float(re.sub(r"[.,'’ ]", lambda match: "." if match[0] == mark else "", figure))


def _figures(texts: Iterable[str]) -> list[tuple[str, str, bool]] | None:
    """Figure, unit and sign of each amount; None where one is none, or where there are several units."""
    amounts = []
    for text in texts:
        if text.lower() in _EMPTY:
            continue
        match = _AMOUNT.fullmatch(text)
        if match is None or (match["minus"] == "(") != bool(match["end"]) or (match["before"] and match["after"]):
            return None
        is_negative = bool(match["minus"] or match["inner"])
        amounts.append((match["figure"], match["before"] or match["after"] or "", is_negative))
    return amounts if len({unit for _, unit, _ in amounts}) == 1 else None


def _decimal_marks(figures: Iterable[str]) -> set[str]:
    """The decimal marks that the figures can have been written with: two, where nothing tells."""
    marks = {".", ","}
    for figure in figures:
        marks -= {mark for mark in marks if not _FIGURES[mark].fullmatch(figure)}
    return marks


def _numbers(amounts: Sequence[tuple[str, str, bool]], own: set[str], shared: str) -> tuple[list[float], str] | None:
    """The numbers, and their decimal mark; None where a figure may be two numbers."""
    if len(own) == 2 and not any(set(".,") & set(figure) for figure, *_ in amounts):
        shared = "."
    mark = next(iter(own)) if len(own) == 1 else shared if shared in own else ""
    if not mark:
        return None
    numbers = [(number_of(figure, mark) or 0.0) * (-1 if negative else 1) for figure, _, negative in amounts]
    return numbers, mark


def _dates(texts: Sequence[str]) -> list[str] | None:
    """ISO dates; None where one is none, or where day and month cannot be told apart."""
    if matches := _all_match(_ISO, texts):
        parts = [(match[1], match[2], match[3]) for match in matches]
    elif matches := _all_match(_DOTTED, texts):
        parts = [(match[3], match[2], match[1]) for match in matches]
    elif matches := _all_match(_SLASHED, texts):
        day_first, month_first = (any(int(match[place]) > 12 for match in matches) for place in (1, 2))
        if day_first == month_first:
            return None
        day, month = (1, 2) if day_first else (2, 1)
        parts = [(match[3], match[month], match[day]) for match in matches]
    else:
        return None
    try:
        return [dt.date(*map(int, part)).isoformat() for part in parts]
    except ValueError:
        return None


def _all_match(pattern: re.Pattern[str], texts: Sequence[str]) -> list[re.Match[str]]:
    matches = []
    for text in texts:
        if (match := pattern.fullmatch(text)) is None:
            return []
        matches.append(match)
    return matches
