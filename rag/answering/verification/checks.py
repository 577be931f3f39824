"""One sentence held against its source: which of its numbers, names and words are missing, denied or said of another.

Where a claim comes from is found by the words it shares with the sentences of the source, rare ones counting more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from rag.answering.verification.evidence import AROUND, Source, Word, names_of, words_around, words_of
from rag.answering.verification.negation import denies_in_meaning, negations, opposites
from rag.answering.verification.numbers import Quantity, quantities

_CODE = re.compile(r"(?<![\w-])(?:--[a-z][\w-]+|\w+(?:_\w+)+|[A-Za-z]*[a-z][A-Z]\w*|[A-Z]{1,6}-?\d\w*)(?!\w)")
_NEAR = 0.7  # a sentence is where a claim comes from when it shares this much of what the best one shares
_CLOSE = 0.8  # a claim that shares so many of its words with one sentence keeps to its wording
_BEFORE, _AFTER = 5, 3  # words around another in which a negation is meant for it …
_WIDER = 3  # … and so many more where the wording is another
_REPLACED = 4  # such words at most that are taken for one thing put in the place of another
# How much better another number or name must fit into the place of a claim's own: so many times, and so much more.
_IN_ORDER = 0.5  # … and to its order when so many of its neighbours are neighbours there
_UNLIKE = 0.7  # what the place of a year counts for one of a sum
_ONE_ALONE = 0.5  # what a single word of the context counts
_CLEARLY, _ALONE = (1.3, 1.0), (1e6, 1.8)


class ClaimMatch:
    """A sentence and its source. Each method returns a reason to doubt the sentence, or an empty text."""

    def __init__(self, text: str, source: Source) -> None:
        self._text = text
        self._source = source
        self._words = words_of(text)
        self._lower = [word.lower for word in self._words]
        self._figures = [figure for figure in quantities(text) if not figure.idle]
        self._names = [name for name in names_of(self._words) if name[0] is not self._words[0] or len(name) > 1]
        self._terms = {word.term: word for word in self._words if word.term and not word.term.isdigit()}
        self._kin = {term: source.kin(term) for term in self._terms}
        self._near = self._sentences_near()
        self._close = self._is_close(frozenset())
        self._in_order = self._is_in_order(frozenset())

    @property
    def share(self) -> float:
        """How many of the sentence's words stand in the source, of 1."""
        return sum(map(bool, self._kin.values())) / (len(self._kin) or 1)

    def missing_word(self) -> str:
        """The first word that is not in the source."""
        missing = [self._terms[term] for term, kin in self._kin.items() if not kin]
        return f"{_quoted(missing[0])} is not on the page" if missing else ""

    def missing_number(self) -> str:
        """A number that stands nowhere in the source."""
        for figure in self._figures:
            if not self._source.states(figure):
                return f"“{self._figure(figure)}” is not on the page"
        return ""

    def missing_name(self) -> str:
        """A name or code word that the source does not know."""
        for match in _CODE.finditer(self._text):
            if match[0].lower() not in self._source.lower and not self._is_abbreviation(match[0], match.start()):
                return f"“{match[0]}” is not on the page"
        for name in self._names:
            absent = [word for word in name if not self._is_known(word)]
            if absent and (absent[-1] is name[-1] or 2 * len(absent) > len(name)):
                return f"“{self._text[name[0].start : name[-1].end]}” is not on the page"
        return ""

    def denied(self) -> str:
        """A negation that stands on one side only."""
        near = [self._source.sentences[place] for place in self._near]
        for place in negations(self._lower):
            known = self._known(word.term for word in self._scope(self._words, place))
            places = [[i for i, word in enumerate(words) if word.term in known] for words in near]
            if any(places) and not any(
                self._is_denied(words, i) for words, found in zip(near, places, strict=True) for i in found
            ):
                return f"the page says it without “{self._lower[place]}”"
        if self._close and not negations(self._lower) and not _denying(self._words):
            return self._negation_left_out(near)
        return ""

    def opposed(self) -> str:
        """A word of which the source says the opposite."""
        near = [self._source.sentences[place] for place in self._near]
        for place, word in enumerate(self._words):
            against = opposites(word.lower)
            if not against or any(other.is_like(word) for words in near for other in words):
                continue
            context = self._known(_around(self._words, place))
            for words in near:
                for there, other in enumerate(words):
                    contradicts = other.lower in against and other.lower not in self._lower
                    if contradicts and context & _around(words, there):
                        return f"the page says {_quoted(other)}, not {_quoted(word)}"
        return ""

    def misplaced(self) -> str:
        """A number or name that the source says of something else, where it says another of this."""
        if replaced := self._replaced():
            return replaced
        for figure in self._figures:
            if rival := self._better_number(figure):
                return f"the page says “{rival}” there, not “{self._figure(figure)}”"
        for name in self._names:
            if rival := self._better_name(name):
                return f"the page says “{rival}” there, not “{self._text[name[0].start : name[-1].end]}”"
        return ""

    # ------------------------------------------------------------------------------------------ where it comes from

    def _sentences_near(self) -> list[int]:
        rarity = self._source.rarity
        weights = [
            sum(max(rarity[term] for term in shared) for kin in self._kin.values() if (shared := kin & terms))
            for terms in self._source.sentence_terms
        ]
        best = max(weights, default=0.0)
        return [place for place, weight in enumerate(weights) if best and weight >= _NEAR * best]

    def _is_close(self, without: frozenset[str]) -> bool:
        """Whether the claim keeps to the words of one sentence of the source, some of its own aside."""
        wanted = [kin for term, kin in self._kin.items() if term not in without]
        shared = (sum(1 for kin in wanted if kin & self._source.sentence_terms[place]) for place in self._near)
        return max(shared, default=0) >= _CLOSE * len(wanted)

    def _is_in_order(self, without: frozenset[str]) -> bool:
        """Whether it also keeps to their order: most neighbours in the claim are neighbours there."""
        if not self._is_close(without):
            return False
        mine = [self._kin[word.term] for word in self._words if word.term in self._kin and word.term not in without]
        pairs = list(pairwise(mine))
        best = 0
        for place in self._near:
            theirs = [word.term for word in self._source.sentences[place] if word.term and not word.term.isdigit()]
            there = {pair for step in (1, 2) for pair in zip(theirs, theirs[step:], strict=False)}
            best = max(best, sum(1 for a, b in pairs if any((one, two) in there for one in a for two in b)))
        return best >= _IN_ORDER * len(pairs)

    def _known(self, terms: Iterable[str]) -> set[str]:
        """The source's terms for these terms of the claim."""
        return {kin for term in terms for kin in self._kin.get(term, ())}

    def _figure(self, figure: Quantity) -> str:
        return self._text[figure.start : figure.end].strip()

    def _is_known(self, word: Word) -> bool:
        return (
            len(word.surface) < 2
            or bool(self._kin.get(word.term, True))
            or word.lower in self._source.lower
            or self._source.knows_beginning(word.term)
            or self._is_abbreviation(word.surface, word.start)
        )

    def _is_abbreviation(self, surface: str, start: int) -> bool:
        """Whether it abbreviates what stands before it in the claim, `… (WHO)`, or what the source writes out."""
        letters = "".join(char for char in surface if char.isupper())
        if len(letters) < 2:
            return False
        in_brackets = self._text[start - 1 : start] == "(" and self._text[start + len(surface) :][:1] == ")"
        return in_brackets or letters.lower() in self._source.initials

    # ------------------------------------------------------------------------------------------------------ polarity

    @staticmethod
    def _scope(words: Sequence[Word], place: int) -> list[Word]:
        """What a negation at `place` denies: the next two words that carry meaning."""
        return [word for word in words[place + 1 : place + 1 + _BEFORE] if word.term][:2]

    def _is_denied(self, words: Sequence[Word], place: int) -> bool:
        """Whether the source denies its word at `place`, with a negation or a denying word that the claim has not."""
        wider = 0 if self._close else _WIDER
        window = range(max(0, place - _BEFORE - wider), place + _AFTER + wider + 1)
        return any(there in window for there in negations([word.lower for word in words])) or any(
            there in window and words[there].lower not in self._lower for there in _denying(words)
        )

    def _negation_left_out(self, near: Sequence[Sequence[Word]]) -> str:
        claimed = self._known(self._kin)
        affirmed = [{w.term for w in words} for words in near if not negations([word.lower for word in words])]
        for words in near:
            for place in negations([word.lower for word in words]):
                scope = {word.term for word in self._scope(words, place)}
                if scope and scope <= claimed and not any(scope <= terms for terms in affirmed):
                    return f"the page says {_quoted(words[place])}"
        return ""

    # -------------------------------------------------------------------------------------------------------- places

    def _replaced(self) -> str:
        """Where the claim goes along with a sentence of the source, except that a name or number is another one."""
        if not self._in_order and not any(self._is_in_order(_terms_in(name)) for name in self._names):
            return ""
        mine = [word for word in self._words if word.term]
        for place in self._near:
            theirs = [word for word in self._source.sentences[place] if word.term]
            claim_terms, source_terms = [word.term for word in mine], [word.term for word in theirs]
            for kind, a, b, c, d in SequenceMatcher(None, claim_terms, source_terms, autojunk=False).get_opcodes():
                if kind != "replace" or max(b - a, d - c) > _REPLACED:
                    continue
                claimed = [word for word in mine[a:b] if _is_item(word) and not self._stands_in(word, place)]
                other = [word for word in theirs[c:d] if _is_item(word) and word.lower not in self._lower]
                alike = claimed and other and other[-1].is_name == claimed[-1].is_name
                if alike and _abbreviates(claimed[-1], other[-1]):
                    continue
                if alike and self._known(_terms_in(claimed)).isdisjoint(source_terms[c:d]):
                    start, end = _whole(other, self._source.figures[place])
                    there = self._source.written(place, start, end)
                    start, end = _whole(claimed, self._figures)
                    return f"the page says “{there}” there, not “{self._text[start:end].strip()}”"
        return ""

    def _stands_in(self, word: Word, place: int) -> bool:
        """Whether a word begins the claim, or is of a number that this sentence of the source states in its own way."""
        figures = [figure for figure in self._figures if figure.start <= word.start < figure.end]
        return word is self._words[0] or any(
            figure.equals(other, self._source.scales) for figure in figures for other in self._source.figures[place]
        )

    def _better_number(self, figure: Quantity) -> str:
        fit = _Fit(self._in_order)
        context = self._context(figure.start, figure.end)
        for place, other in self._source.figure_places(_terms_of(context)):
            alike = _is_year(other) == _is_year(figure) and other.percent == figure.percent
            if not (self._in_order or alike):
                continue
            around = self._source.around(place, other.start, other.end)
            agreement = self._agreement(context, around) * (1.0 if alike else _UNLIKE)
            if figure.equals(other, self._source.scales):
                fit.own = max(fit.own, agreement)
            elif not any(mine.equals(other, self._source.scales) for mine in self._figures):
                fit.offer(agreement, self._source.written(place, other.start, other.end))
        return fit.rival()

    def _better_name(self, name: Sequence[Word]) -> str:
        fit = _Fit(self._is_in_order(_terms_in(name)))
        context = self._context(name[0].start, name[-1].end)
        mine = self._known(_terms_in(name))
        claimed = self._known(self._kin)
        for place, other in self._source.name_places(_terms_of(context)):
            agreement = self._agreement(context, self._source.around(place, other[0].start, other[-1].end))
            theirs = _terms_in(other)
            if any(
                their_term.startswith(my_term) or my_term.startswith(their_term)
                for their_term in theirs
                for my_term in mine
            ):
                fit.own = max(fit.own, agreement)
            elif (fit.close and not theirs <= claimed) or (not theirs & claimed and not self._opens(place, other)):
                fit.offer(agreement, self._source.written(place, other[0].start, other[-1].end))
        return fit.rival()

    def _opens(self, place: int, name: Sequence[Word]) -> bool:
        """Whether a single capitalised word begins its sentence, and so need not be a name."""
        return len(name) == 1 and name[0] is self._source.sentences[place][0]

    def _context(self, start: int, end: int) -> list[tuple[int, set[str]]]:
        """What the source calls the words around a place of the claim, each with its distance."""
        around = words_around(self._words, start, end, AROUND)
        return [(away, kin) for term, away in around.items() if (kin := self._kin.get(term))]

    def _agreement(self, context: Sequence[tuple[int, set[str]]], around: Mapping[str, int]) -> float:
        """How much of a claim's context stands around a place of the source; rare and near words count more."""
        shared = [
            max(self._weight(term, away, around[term]) for term in kin if term in around)
            for away, kin in context
            if not kin.isdisjoint(around)
        ]
        alone = len(shared) == 1 and len(context) > 1
        return sum(shared) * (_ONE_ALONE if alone else 1.0)

    def _weight(self, term: str, here: int, there: int) -> float:
        return self._source.rarity.get(term, 1.0) / (1 + abs(here - there) / 2) / (1 + abs(here) / 4)


@dataclass
class _Fit:
    """How well a claim's number or name fits its place in the source, and which other one fits it best."""

    close: bool
    own: float = 0.0
    best: float = 0.0
    other: str = ""

    def offer(self, agreement: float, other: str) -> None:
        if agreement > self.best:
            self.best, self.other = agreement, other

    def rival(self) -> str:
        """The other one, if it fits clearly better; in another wording, only if the claim's own does not fit at all."""
        times, more = _CLEARLY if self.close else _ALONE
        better = self.best > times * self.own and self.best - self.own > more
        return self.other if better else ""


def _whole(words: Sequence[Word], figures: Iterable[Quantity]) -> tuple[int, int]:
    """Where words begin and end, with the rest of the number that they are a part of."""
    start, end = words[0].start, words[-1].end
    return start, max([end, *(figure.end for figure in figures if figure.start <= words[-1].start < figure.end)])


def _abbreviates(first: Word, second: Word) -> bool:
    """Whether one name is the beginning of the other: Sept, September."""
    shorter, longer = sorted((first.lower, second.lower), key=len)
    return first.is_name and len(shorter) > 2 and longer.startswith(shorter)


def _denying(words: Sequence[Word]) -> list[int]:
    """The places of words that deny in their meaning; a capitalised one inside a sentence is a name (Little Rock)."""
    return [
        place
        for place, word in enumerate(words)
        if denies_in_meaning(word.lower) and not (place and word.surface.istitle())
    ]


def _around(words: Sequence[Word], place: int) -> set[str]:
    return set(words_around(words, words[place].start, words[place].end, AROUND))


def _terms_in(words: Iterable[Word]) -> frozenset[str]:
    return frozenset(word.term for word in words)


def _terms_of(context: Iterable[tuple[int, set[str]]]) -> set[str]:
    return {term for _, kin in context for term in kin}


def _is_item(word: Word) -> bool:
    return word.is_name or word.surface[0].isdigit()


def _is_year(quantity: Quantity) -> bool:
    return 1000 <= quantity.values[0] <= 2100 and quantity.step == 1 and quantity.end - quantity.start == 4


def _quoted(word: Word) -> str:
    return f"“{word.surface}”"
