"""The cited passages as the check of a claim reads them: sentences of words, the terms and the numbers they hold."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from functools import cached_property, lru_cache
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from rag.answering.verification.numbers import Quantity, stated, table_scales
from rag.text.analysis import sentence_spans, terms
from rag.types.documents import Passage

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)*")
_GENITIVE = re.compile(r"['’]s?$")
_KEPT = 256  # sources: those of popular pages are asked for again and again, and take milliseconds each
_SHARED = 5  # words of other endings are taken for one when they begin with as many letters in common

_ROOT = 4
AROUND = 4  # words that carry meaning, on either side, that tell what a number or name is said of
_START = attrgetter("start")


class Word(NamedTuple):
    """A word of a sentence: as it stands, lower-cased, and as the index knows it (empty for a function word)."""

    surface: str
    lower: str
    term: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends in its sentence."""
        return self.start + len(self.surface)

    def is_like(self, other: Word) -> bool:
        """Whether it is the same word, perhaps in another form."""
        return self.lower == other.lower or (self.term == other.term != "")

    @property
    def is_name(self) -> bool:
        """Whether it is written as a name is."""
        return self.surface[0].isupper()


@lru_cache(maxsize=20_000)
def _forms(surface: str) -> tuple[tuple[str, str], ...]:
    """A word lower-cased, with its term; one that the index cuts (as in Chinese) with each of its terms."""
    lower = surface.lower()
    return tuple((lower, term) for term in terms(_GENITIVE.sub("", surface))) or ((lower, ""),)


def words_of(text: str) -> list[Word]:
    """The words of a text, in order."""
    return [
        Word(match[0], lower, term, match.start()) for match in _WORD.finditer(text) for lower, term in _forms(match[0])
    ]


def names_of(words: Sequence[Word]) -> list[list[Word]]:
    """The runs of capitalised words."""
    return [list(run) for is_name, run in groupby(words, key=lambda word: bool(word.term) and word.is_name) if is_name]


def words_around(words: Sequence[Word], start: int, end: int, count: int) -> dict[str, int]:
    """The next words that carry meaning before `start` and after `end`, each with its distance (negative before)."""
    found: dict[str, int] = {}
    away = 0
    for word in reversed(words[: bisect_left(words, start, key=_START)]):
        if word.term:
            away -= 1
            found.setdefault(word.term, away)
            if away == -count:
                break
    away = 0
    for word in words[bisect_left(words, end, key=_START) :]:
        if word.term:
            away += 1
            if abs(found.get(word.term, count)) >= away:
                found[word.term] = away
            if away == count:
                break
    return found


def source_of(passages: Sequence[Passage]) -> Source:
    """The source that these passages are together; the last ones are kept, for all threads."""
    labels = "\n".join(f"{shown.title} {shown.heading} {shown.page_label or ''}" for shown in passages)
    return _kept_source(tuple(passage.text for passage in passages), labels)


class Source:
    """The passages that one sentence cites: their texts, and what stands above them. See `source_of`."""

    def __init__(self, texts: Sequence[str], labels: str) -> None:
        self.texts, self.labels = texts, labels
        self._written = [text[start:end] for text in self.texts for start, end in sentence_spans(text)]
        self.sentences = [words_of(sentence) for sentence in self._written]
        self.figures = [stated(sentence) for sentence in self._written]
        self.stated = [figure for figures in (*self.figures, stated(self.labels)) for figure in figures]
        text = "\n".join([self.labels, *self.texts])
        self.scales = table_scales(text)
        self.label_terms = {word.term for word in words_of(self.labels)} - {""}
        self.sentence_terms = [frozenset(word.term for word in sentence) - {""} for sentence in self.sentences]
        frequency = Counter(term for found in self.sentence_terms for term in found)
        self.rarity = {term: math.log(1 + len(self.sentences) / count) for term, count in frequency.items()}
        self.vocabulary = self.label_terms.union(*self.sentence_terms)
        self.lower = text.lower()
        self.initials = "".join(word.lower[0] for sentence in self.sentences for word in sentence)
        self._around: dict[tuple[int, int], dict[str, int]] = {}
        self._beginnings: dict[str, list[str]] = {}
        for term in self.vocabulary:
            self._beginnings.setdefault(term[:_SHARED], []).append(term)

    @cached_property
    def _names(self) -> list[list[list[Word]]]:
        return [names_of(sentence) for sentence in self.sentences]

    def name_places(self, context: Set[str]) -> Iterator[tuple[int, list[Word]]]:
        """The names in those sentences that have a word of the context: (number of the sentence, name)."""
        for place, terms_there in enumerate(self.sentence_terms):
            if not terms_there.isdisjoint(context):
                for name in self._names[place]:
                    yield place, name

    def figure_places(self, context: Set[str]) -> Iterator[tuple[int, Quantity]]:
        """The numbers in those sentences that have a word of the context: (number of the sentence, number)."""
        for place, terms_there in enumerate(self.sentence_terms):
            if not terms_there.isdisjoint(context):
                for figure in self.figures[place]:
                    if not figure.idle:
                        yield place, figure

    def written(self, place: int, start: int, end: int) -> str:
        """A part of a sentence as it stands there."""
        return " ".join(self._written[place][start:end].split())

    def around(self, place: int, start: int, end: int) -> dict[str, int]:
        """The words around a part of a sentence."""
        key = (place, start)
        if key not in self._around:
            self._around[key] = words_around(self.sentences[place], start, end, AROUND)
        return self._around[key]

    def states(self, quantity: Quantity) -> bool:
        """Whether the number stands anywhere in it."""
        return any(quantity.equals(other, self.scales) for other in self.stated)

    def knows_beginning(self, term: str) -> bool:
        """Whether a name's first four letters are those of a word here, as in Britain and British."""
        return len(term) >= _ROOT and any(other.startswith(term[:_ROOT]) for other in self.vocabulary)

    def kin(self, term: str) -> set[str]:
        """The source's terms that are this one, or differ in their endings only."""
        if term in self.vocabulary:
            return {term}
        return {other for other in self._beginnings.get(term[:_SHARED], []) if _akin(term, other)}


_kept_source = lru_cache(_KEPT)(Source)


def _akin(first: str, second: str) -> bool:
    shorter, longer = sorted((first, second), key=len)
    shared = next((place for place, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    return shared >= _SHARED and len(longer) - shared <= 4 and len(shorter) - shared <= 3
