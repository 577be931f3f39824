"""A question is read as a query over one table, without a model; and only if every word of it is accounted for.

A word is part of an operation ("how many"), a comparison with a number or a date, the name of a column, a value that
stands in a cell, a name of the table itself, or idle. With any other word, and wherever two readings are possible, the
question is left to others: a wrong number is worse than none.
"""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import cast

from rag.answering.tables.query import Condition, Operation, Operator, Query
from rag.answering.tables.table import Table
from rag.answering.tables.values import Column, number_of
from rag.answering.tables.words import Words, concept_of, folded, phrases, stem, vocabulary, words_of

_TOKEN = re.compile(
    r"\d{4}-\d\d-\d\d|\d{1,2}\.\d{1,2}\.\d{4}|\d+(?:[.,'’]\d+)*(?![^\W_])|[^\W_]+|[€$£¥%]|[<>=+*/]", re.UNICODE
)
_LONGEST_PHRASE = 8  # words
_MOST_DISTINCT = 5_000  # values of a column that are looked for in questions
_LONGEST_QUESTION = 300  # characters
_SHORTEST_PART = 5  # letters of a word in a compound
_YEARS = range(1900, 2101)
_CURRENCIES = frozenset(
    {"eur", "usd", "gbp", "chf", "jpy", "sek", "nok", "dkk", "pln", "czk", "cad", "aud", "€", "$", "£"}
)
_MONEY = ("price", "amount", "salary")
_NEVER_COMPUTED = frozenset({"id", "no", "nr", "number", "nummer", "code", "zip", "plz", "phone", "telefon"})
_DATE_OF_ROW = words_of(  # of a column that says when a row happened
    "date day datum tag fecha order ordered invoice booking commande facture pedido factura de "
    "bestelldatum rechnungsdatum auftragsdatum buchungsdatum"
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A phrase of the question: what it is (`kind`), which entry of that, the columns or values that it can mean."""

    kind: str
    entry: str = ""
    columns: frozenset[int] = frozenset()
    values: tuple[str | float, ...] = ()
    is_table: bool = False
    raw: str = ""


class UnreadError(Exception):
    """The question cannot be read with certainty."""


@dataclass(eq=False)
class Reader:
    """Reads questions over one table. `title` are the words that name it: of document, file and sheet."""

    table: Table
    title: Words

    def read(self, question: str, decimal_mark: str) -> Query | None:
        """The query that the question is; None if it is none, or if that is not certain. Blocking."""
        if len(question) > _LONGEST_QUESTION:
            return None
        try:
            return self._query(list(self._pieces(question, decimal_mark)))
        except (UnreadError, sqlite3.Error):  # the latter: too slow
            return None

    # --------------------------------------------------------------------------------------------- words to pieces

    def _pieces(self, question: str, decimal_mark: str) -> Iterator[_Piece]:
        raw = _TOKEN.findall(question.replace("’", "'"))
        tokens = [folded(token) for token in raw]
        place = 0
        while place < len(tokens):
            for size in range(min(_LONGEST_PHRASE, len(tokens) - place), 0, -1):
                if piece := self._piece(tuple(tokens[place : place + size]), raw[place : place + size], decimal_mark):
                    yield piece
                    break
            else:
                raise UnreadError
            place += size

    def _piece(self, phrase: Words, raw: Sequence[str], decimal_mark: str) -> _Piece | None:
        known = _known(phrase)
        value, column = self._value(phrase), self._column(phrase)
        if value and known:  # "de" is a word, and "DE" a country
            text = " ".join(raw)
            value = value if text in value.values and text.isupper() and len(text) > 1 else None
            if value is None and known.kind != "idle":  # "Max" may be somebody, and "Media" a department
                raise UnreadError
        if value and column and column.columns:
            raise UnreadError
        if value:
            return value
        if number := _number(phrase, decimal_mark):
            return number
        if column and known and known.kind in ("comparisons", "extremes"):
            raise UnreadError
        if column and (column.columns or not known or known.kind != "operations"):
            return replace(column, entry=known.entry if known else "")
        is_title = len(phrase) == 1 and not phrase[0].isdigit() and stem(phrase[0]) in self._title_stems
        return known or (_Piece("idle", raw=phrase[0]) if is_title else None)

    def _value(self, phrase: Words) -> _Piece | None:
        exact = self._values.get(phrase)
        if exact is None:
            stems = tuple(map(stem, phrase))
            candidates = [words for words in self._value_stems.get(stems, ()) if all(map(_inflected, words, phrase))]
            exact = self._values[next(iter(candidates))] if len(candidates) == 1 else None
        if exact is None or all(word.isdigit() for word in phrase):
            return None
        if len({column for column, _ in exact}) > 1:
            raise UnreadError
        return _Piece("value", "", frozenset(column for column, _ in exact), tuple(sorted(text for _, text in exact)))

    def _column(self, phrase: Words) -> _Piece | None:
        """What names a column: all its words; one of them, or what means the same; or what the rows are."""
        named = [place for place, words in enumerate(self._column_words) if words == phrase]
        if named:
            return _Piece("column", columns=frozenset(named), is_table=self._is_table(phrase[0]))
        if len(phrase) > 1:
            return None
        word, concepts = phrase[0], concept_of(phrase[0])
        stems = self._forms(word)
        found = frozenset(
            place for place, words in enumerate(self._column_words) if any(_holds(part, stems) for part in words)
        )
        for kind in ("number", "date"):
            of_kind = [place for place in found if self.table.columns[place].kind == kind]
            if len(of_kind) == 1 and not all(_is_said(part, stems) for part in self._column_words[of_kind[0]]):
                found -= {of_kind[0]}
        is_table = self._is_table(word)
        if not found and not is_table:
            return None
        return _Piece("column", word, found, is_table=is_table) if concepts or len(word) > 3 else None

    def _is_table(self, word: str) -> bool:
        """Whether the rows are such."""
        concepts = concept_of(word)
        if "row" in concepts:
            return True
        stems = self._forms(word)
        if any(_holds(part, stems) for part in self.title):
            return True
        return "person" in concepts and {"salary", "name"} <= set().union(*self._column_concepts)

    def _forms(self, word: str) -> set[str]:
        """A word and what means the same, and the stems of these."""
        words = {word, *(same for concept in concept_of(word) for same in self._same(concept))}
        return words | set(map(stem, words))

    @staticmethod
    def _same(concept: str) -> list[str]:
        return [phrase[0] for phrase, name in _concept_phrases() if name == concept]

    @cached_property
    def _title_stems(self) -> frozenset[str]:
        return frozenset(map(stem, self.title))

    @cached_property
    def _column_concepts(self) -> list[frozenset[str]]:
        return [frozenset().union(*map(concept_of, words)) for words in self._column_words]

    @cached_property
    def _keys(self) -> list[int]:
        """The columns that tell rows apart if each is a thing of its own: the first, and names of people."""
        first = [0] if _NEVER_COMPUTED & set(self._column_words[0]) else []
        people = [place for place, concepts in enumerate(self._column_concepts) if {"name", "person"} & concepts]
        return [*first, *people]

    @cached_property
    def _column_words(self) -> list[Words]:
        return [words_of(column.name) for column in self.table.columns]

    @cached_property
    def _values(self) -> dict[Words, set[tuple[int, str]]]:
        values: dict[Words, set[tuple[int, str]]] = defaultdict(set)
        for place, column in enumerate(self.table.columns):
            if column.kind != "text":
                continue
            found = self.table.distinct(column, _MOST_DISTINCT + 1)
            for text in found if len(found) <= _MOST_DISTINCT else ():
                values[words_of(str(text))].add((place, str(text)))
        return dict(values)

    @cached_property
    def _value_stems(self) -> dict[Words, set[Words]]:
        stems: dict[Words, set[Words]] = defaultdict(set)
        for words in self._values:
            stems[tuple(map(stem, words))].add(words)
        return dict(stems)

    # --------------------------------------------------------------------------------------------- pieces to a query

    def _query(self, pieces: list[_Piece]) -> Query:
        operations = [piece for piece in pieces if piece.kind in ("operations", "extremes")]
        totals = [piece for piece in pieces if piece.kind == "column" and piece.entry == "sum"]
        if not operations and len(totals) == 1:
            operations = [_Piece("operations", "sum")]
        others = [piece for piece in operations if piece.entry != "list"]  # "which employee earns the most"
        if len(others) > 1 or not operations:
            raise UnreadError
        operation, _, concept = (others or operations)[0].entry.partition("_")
        mentions = [piece for piece in pieces if piece.kind == "column"]
        conditions, used = self._conditions(pieces)
        free = [piece for piece in mentions if id(piece) not in used]
        if any(c.operator == "=" and self._is_unique(self.table.columns.index(c.column)) for c in conditions):
            raise UnreadError  # about one row
        if any(piece.is_table for piece in free) and not all(map(self._is_unique, self._keys)):
            raise UnreadError  # several rows for one employee or order
        if operation in ("average", "max", "min") and any(
            len(condition.values) > 1 for condition in conditions if condition.operator == "="
        ):
            raise UnreadError  # of both, or of each?
        if operation in ("count", "list"):
            return self._counted(operation, free, conditions, bool(mentions))
        return self._computed(operation, concept, free, conditions)

    def _counted(self, operation: str, free: list[_Piece], conditions: list[Condition], has_mention: bool) -> Query:
        """How many, or which: rows of the table; or different values of a column."""
        subjects = [piece for piece in free if piece.is_table]
        others = [piece for piece in free if not piece.is_table]
        if operation == "list" and not conditions:
            raise UnreadError
        if others:
            if subjects or len(others) > 1 or len(others[0].columns) != 1:
                raise UnreadError
            (place,) = others[0].columns
            if self.table.columns[place].kind != "text":
                raise UnreadError
            if not self._is_unique(place):
                if conditions or operation == "list":
                    raise UnreadError
                return Query("distinct", self.table.columns[place])
        for subject in subjects:
            if not all(self._is_unique(place) for place in subject.columns if self._tells_rows(place)):
                raise UnreadError  # several rows for one
        if not has_mention or not (subjects or others):
            raise UnreadError
        return Query(cast(Operation, operation), None, tuple(conditions))

    def _computed(self, operation: str, concept: str, free: list[_Piece], conditions: list[Condition]) -> Query:
        """A sum, average or extreme of one column, or the number of its different values."""
        kinds = (
            ("text",) if operation == "distinct" else ("number", "date") if operation in ("max", "min") else ("number",)
        )
        targets: set[int] = set()
        for piece in free:
            fitting = {place for place in piece.columns if self.table.columns[place].kind in kinds}
            if fitting:
                targets = targets & fitting if targets and targets & fitting else targets | fitting
            elif not piece.is_table and not (operation in ("max", "min") and all(map(self._is_unique, piece.columns))):
                raise UnreadError
            elif operation in ("max", "min") and not all(map(self._is_unique, piece.columns)):
                raise UnreadError  # the customer of the largest order need not be the one who bought most
        if concept:
            means = self._column((next(iter(self._same(concept))),))
            places = {place for place in (means.columns if means else ()) if self.table.columns[place].kind in kinds}
            targets = targets & places if targets else places
        if len(targets) != 1:
            raise UnreadError
        (place,) = targets
        column = self.table.columns[place]
        if operation in ("sum", "average") and _NEVER_COMPUTED & set(self._column_words[place]):
            raise UnreadError
        if any(condition.column == column and operation != "distinct" for condition in conditions):
            raise UnreadError
        query = Query(cast(Operation, operation), column, tuple(conditions))
        if operation != "distinct" and self._mixes_currencies(query):
            raise UnreadError
        return query

    def _conditions(self, pieces: list[_Piece]) -> tuple[list[Condition], set[int]]:
        """The conditions, and the ids of the mentions of columns that belong to them."""
        values: dict[int, list[str]] = defaultdict(list)
        used: set[int] = set()
        found: list[Condition] = []
        place = 0
        pieces = [piece for piece in pieces if piece.kind != "idle" or piece.raw in ("or", "oder", "ou", "o")]
        while place < len(pieces):
            piece = pieces[place]
            if piece.kind in ("comparisons", "number", "date", "months", "units"):
                place, condition = self._comparison(pieces, place, used)
                found.append(condition)
                continue
            if piece.kind == "value":
                values[next(iter(piece.columns))] += map(str, piece.values)
                beside = [p for p in pieces[max(0, place - 1) : place + 2] if p.kind == "column" and not p.is_table]
                used.update(id(mention) for mention in beside if mention.columns == piece.columns)
            place += 1
        for number, texts in values.items():
            column = self.table.columns[number]
            named = sorted(set(texts))
            found.append(Condition(column, "=", tuple(named), f"{column.name} = {' / '.join(named)}"))
        has_or = any(piece.kind == "idle" for piece in pieces)
        if len({condition.column for condition in found}) < len(found) or (has_or and len(found) > 1):
            raise UnreadError
        return found, used

    def _comparison(self, pieces: list[_Piece], place: int, used: set[int]) -> tuple[int, Condition]:
        """The comparison that begins at `place`, and where it ends."""
        start, operator = place, ""
        if pieces[place].kind == "comparisons":
            operator, place = pieces[place].entry.strip(), place + 1
        operands: list[_Piece] = []
        unit = ""
        while place < len(pieces) and pieces[place].kind in ("number", "date", "months", "units"):
            if pieces[place].kind == "units":
                unit = pieces[place].entry
            else:
                operands.append(pieces[place])
            place += 1
        if not operands:
            raise UnreadError
        before = pieces[start - 1] if start else None
        mention = before if before and before.kind == "column" and self._comparable(before) else None
        kinds = [operand.kind for operand in operands]
        year = operands[-1].values[0] if kinds[-1] == "number" else 0.0
        is_year = year in _YEARS and not unit
        dates = {place for place, column in enumerate(self.table.columns) if column.kind == "date"}
        if mention and mention.columns & dates:
            dates &= mention.columns
        elif len(dates) == 1 and not set(_DATE_OF_ROW).issuperset(self._column_words[min(dates)]):
            dates = set()  # employees in 2024 were not all hired in 2024
        is_numeric = bool(mention and any(self.table.columns[p].kind == "number" for p in mention.columns))
        is_period = kinds in (["months", "number"], ["date"], ["date", "date"]) or (
            is_year and set(kinds) == {"number"}
        )
        is_bare_year = kinds == ["number"] and operator not in ("", "between") and not dates
        if is_period and not (is_numeric and operator) and not is_bare_year:
            if len(dates) != 1 or (kinds[0] == "months" and not is_year):
                raise UnreadError
            condition = self._in_period(self.table.columns[dates.pop()], operator, operands, pieces[start].raw)
        else:
            condition = self._in_range(mention, operator, operands, unit)
        if mention and condition.column in [self.table.columns[p] for p in mention.columns]:
            used.add(id(mention))
        return place, condition

    def _comparable(self, piece: _Piece) -> bool:
        return any(self.table.columns[place].kind != "text" for place in piece.columns)

    def _in_period(self, column: Column, operator: str, operands: Sequence[_Piece], word: str) -> Condition:
        first, after = _period(operands[:1] if operator == "between" else operands)
        text = " – ".join(operand.raw for operand in operands)
        match operator:
            case "between" if len(operands) == 2:
                first, after = _period(operands[:1])[0], _period(operands[1:])[1]
                return Condition(column, "within", (first, after), f"{column.name}: {text}")
            case ">=":
                return Condition(column, ">=", (first,), f"{column.name} ≥ {first}")
            case "<" if len(operands) == 1 or operands[0].kind == "months":
                return Condition(column, "<", (first,), f"{column.name} < {first}")
            case ">" if word in ("after", "dem", "le", "del"):
                return Condition(column, ">=", (after,), f"{column.name} ≥ {after}")
            case "" if len(operands) == 1 or operands[0].kind == "months":
                return Condition(column, "within", (first, after), f"{column.name}: {first} ≤ … < {after}")
        raise UnreadError

    def _in_range(self, mention: _Piece | None, operator: str, operands: Sequence[_Piece], unit: str) -> Condition:
        numbers = [operand.values[0] for operand in operands if operand.kind == "number"]
        if not operator or len(numbers) != len(operands) or len(numbers) != (2 if operator == "between" else 1):
            raise UnreadError
        places = [place for place, column in enumerate(self.table.columns) if column.kind == "number"]
        if mention and (not mention.is_table or set(places) & mention.columns):
            places = [place for place in places if place in mention.columns]
        elif unit and unit != "%":
            places = [place for place in places if self._is_money(place)]
        else:
            raise UnreadError  # over 40 what?
        if len(places) != 1:
            raise UnreadError
        column = self.table.columns[places[0]]
        units = {phrases("units").get((word,), "") for word in (*words_of(column.unit), *self._column_words[places[0]])}
        own_unit = max(units)
        if (unit and own_unit != unit and (own_unit or unit == "%")) or (not unit and own_unit == "%"):
            raise UnreadError
        if unit and not own_unit and any(_CURRENCIES & set(words) for words in self._values):
            raise UnreadError  # the currency stands in a column of its own
        text = f"{column.name} {operator} {operands[0].raw}"
        if operator == "between":
            text = f"{operands[0].raw} ≤ {column.name} ≤ {operands[1].raw}"
        return Condition(column, cast(Operator, operator), tuple(numbers), text)

    def _is_money(self, place: int) -> bool:
        is_currency = self.table.columns[place].unit.lower() in _CURRENCIES
        return is_currency or not self._column_concepts[place].isdisjoint(_MONEY)

    def _tells_rows(self, place: int) -> bool:
        """Whether a column can say which thing a row is about: an amount or a date cannot."""
        is_number = not set(self._column_words[place]).isdisjoint(_NEVER_COMPUTED)
        return self.table.columns[place].kind == "text" or is_number

    def _is_unique(self, place: int) -> bool:
        return self.table.is_unique(self.table.columns[place])

    def _mixes_currencies(self, query: Query) -> bool:
        """Whether a column of currencies has several in the rows that are computed."""
        for column in self.table.columns:
            if column.kind == "text":
                found = self.table.distinct(column, len(_CURRENCIES) + 1, query.where)
                texts = [folded(str(text)) for text in found]
                if len(texts) > 1 and _CURRENCIES.issuperset(texts):
                    return True
        return False


def _inflected(word: str, other: str) -> bool:
    """Whether two words of one stem are forms of the same word: `offen`, `offene`; not `customs`, `customer`."""
    return word.startswith(other) or other.startswith(word)


def _holds(part: str, stems: set[str]) -> bool:
    """Whether a word of a name is one of the words, or a compound that ends or begins with one: `Einzelpreis`."""
    return stem(part) in stems or any(
        len(s) >= _SHORTEST_PART and (part.startswith(s) or part.endswith(s) or stem(part).endswith(s)) for s in stems
    )


def _is_said(part: str, stems: set[str]) -> bool:
    """Whether a word of a column's name is one of the words, or may be left out."""
    unsaid = vocabulary()["unsaid"]
    prefixes = [prefix for (prefix,) in unsaid["prefixes"] if part.startswith(prefix)]
    rests = [part, *(part.removeprefix(prefix) for prefix in prefixes)]
    return (part,) in unsaid["words"] or any(stem(rest) in stems for rest in rests)


@cache
def _concept_phrases() -> list[tuple[Words, str]]:
    return [(phrase, name) for name, entry in vocabulary()["concepts"].items() for phrase in sorted(entry)]


def _known(phrase: Words) -> _Piece | None:
    """A phrase that means the same to every table."""
    for kind in ("comparisons", "operations", "extremes", "months", "units", "idle"):
        if phrase in phrases(kind):
            return _Piece(kind, phrases(kind)[phrase], raw=phrase[-1])
    return None


def _number(phrase: Words, decimal_mark: str) -> _Piece | None:
    token = phrase[0] if len(phrase) == 1 else ""
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", token):
        return _Piece("date", values=("-".join(match.groups()),), raw=token)
    if match := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", token):
        return _Piece("date", values=(f"{match[3]}-{int(match[2]):02}-{int(match[1]):02}",), raw=token)
    if not token[:1].isdigit():
        return None
    number = number_of(token, decimal_mark)
    if number is None or re.fullmatch(rf"\d{{1,3}}{re.escape(decimal_mark)}\d{{3}}", token):  # 1.000 in English
        raise UnreadError
    return _Piece("number", values=(number,), raw=token)


def _period(operands: Sequence[_Piece]) -> tuple[str, str]:
    """The first day of a year, month or day, and the first one after it."""
    try:
        if operands[0].kind == "date":
            day = dt.date.fromisoformat(str(operands[0].values[0]))
            return day.isoformat(), (day + dt.timedelta(days=1)).isoformat()
        year = int(operands[-1].values[0])
        if operands[0].kind == "months":
            month = int(operands[0].entry)
            return f"{year}-{month:02}-01", f"{year + month // 12}-{month % 12 + 1:02}-01"
    except (ValueError, OverflowError) as error:
        raise UnreadError from error
    return f"{year}-01-01", f"{year + 1}-01-01"
