"""Words of a question that the index does not know are read as words that it knows, where one is a slip away.

All spellings that one slip of the finger gives (a letter left out, added or mistaken, two swapped) are looked up in the
index, as words and not as their stems: `governemnt` has no ending that a stemmer knows (Norvig: "How to Write a
Spelling Corrector", 2007). Stems of eight letters and more may be two slips apart. What the index knows stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from rag.index.index import Index
from rag.text.analysis import analyzer, terms
from rag.types.documents import Scope

_WORD = re.compile(r"(?<![\w-])[^\W\d_]+(?![\w-])")  # no part of a code, as `Embr-140` is one
_SHORTEST = 5  # letters; a slip in a shorter word makes too many others
_TWO_SLIPS = 8  # letters of a stem from which two are allowed
_BEGINNING = 2  # letters in which no second slip is looked for
_MOST_UNKNOWN = 0.8  # of a question's words
_MOST_WORDS = 12  # of a question, that are looked up
_MOST_CANDIDATES = 3  # for a word, that are looked for in the scope
_LOOKED_AT = 20  # chunks with a candidate
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# For each letter those that are typed or heard in its place: beside it on a keyboard, the vowels, and sounds alike. Any
# other letter makes another word: `spare` is no slip in `space`.
_ALIKE = {
    "a": "eiousq", "b": "pvn", "c": "kszxv", "d": "tsf", "e": "aiouywr", "f": "vwdg", "g": "jkfh", "h": "gj",
    "i": "aeouy", "j": "ghk", "k": "cqgjl", "l": "kr", "m": "n", "n": "mb", "o": "aeuip", "p": "bo", "q": "kwa",
    "r": "etl", "s": "czad", "t": "dryz", "u": "aeioyz", "v": "wfbc", "w": "vfqe", "x": "zcsy", "y": "ieutxz",
    "z": "scxtu",
}  # fmt: skip
_OPENS_SENTENCE = re.compile(r"(?:^|[.!?:\n])[^\w.!?:\n]*$")


def corrected(question: str, index: Index, scope: Scope) -> str:
    """The question with the nearest words that documents in the scope have, instead of those that the index does not
    know. Where these are most, the question is in another language or about something else, and stays."""
    known = index.frequencies(set(terms(question)))
    unknown = {term for term, frequency in known.items() if not frequency}
    if not unknown or len(unknown) > max(2, _MOST_UNKNOWN * len(known)):
        return question
    words = [match for match in _WORD.finditer(question) if len(match[0]) >= _SHORTEST]
    slips = [match for match in words if not unknown.isdisjoint(terms(match[0]))][:_MOST_WORDS]
    for match in reversed(slips):
        start, end = match.span()
        is_name = match[0][0].isupper() and not _OPENS_SENTENCE.search(question[:start])
        question = question[:start] + _nearest(match[0], index, scope, is_name=is_name) + question[end:]
    return question


def _nearest(word: str, index: Index, scope: Scope, *, is_name: bool) -> str:
    """The likeliest word that was meant; the word itself where there is none."""
    for spellings in (_one_slip_away, _two_slips_away):
        for term, spelt in list(spellings(word.lower(), index))[:_MOST_CANDIDATES]:
            if found := _as_written(term, spelt, index, scope, is_name=is_name):
                return found.capitalize() if word[0].isupper() else found
    return word


def _as_written(term: str, spelt: Collection[str], index: Index, scope: Scope, *, is_name: bool) -> str:
    """The word that documents in the scope have most often, a name as a name; one of those that it may be `spelt` as,
    where there are any: `clause` is no slip in `class`, though `classe` is. Empty where there is none."""
    words = " ".join(spelt) or term  # not all stems are their own
    chunk_ids = [chunk_id for chunk_id, _ in index.search_lexical(words, scope, _LOOKED_AT)]
    live = index.live_chunks(chunk_ids, scope).values()
    text = " ".join(f"{stored.title} {stored.chunk.heading} {stored.chunk.text}" for stored in live)
    counts = Counter(word.lower() for word in _WORD.findall(text) if word[0].isupper() or not is_name)
    likely = [word for word in counts if (word in spelt if spelt else analyzer().analyze(word) == [term])]
    return max(likely, key=lambda word: (counts[word], word), default="")


def _one_slip_away(word: str, index: Index) -> Iterator[tuple[str, Collection[str]]]:
    """Terms that the index knows with their spellings, the most frequent first."""
    spellings: dict[str, list[str]] = {}
    for spelling in dict.fromkeys(_slips(word)):
        for term in analyzer().analyze(spelling):
            spellings.setdefault(term, []).append(spelling)
    for term in _by_frequency(index.frequencies(spellings)):
        yield term, spellings[term]


def _slips(word: str) -> Iterator[str]:
    """All words that one slip makes of this one; the first letter stays, or is swapped with the second. In a short word
    no letter is too much but a doubled one: `cape` is no slip in `capex`."""
    for place in range(len(word) - 1):
        yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    for place in range(1, len(word) + 1):
        yield from (word[:place] + letter + word[place:] for letter in _LETTERS)
    for place in range(1, len(word)):
        if len(word) > _SHORTEST or word[place] == word[place - 1]:
            yield word[:place] + word[place + 1 :]
        yield from (word[:place] + letter + word[place + 1 :] for letter in _ALIKE.get(word[place], ""))


def _two_slips_away(word: str, index: Index) -> Iterator[tuple[str, Collection[str]]]:
    """Terms that the index knows, as far from the word's own, the most frequent first; long ones only."""
    for own in analyzer().analyze(word):
        if len(own) < _TWO_SLIPS:
            return
        near = {
            term: frequency
            for term, frequency in index.terms_with_prefix(own[:_BEGINNING]).items()
            if len(term) >= _TWO_SLIPS and abs(len(term) - len(own)) <= 2 and _distance(own, term) <= 2
        }
        yield from ((term, ()) for term in _by_frequency(near))


def _by_frequency(frequencies: Mapping[str, int]) -> list[str]:
    return sorted((term for term in frequencies if frequencies[term]), key=lambda term: (-frequencies[term], term))


def _distance(first: str, second: str) -> int:
    """Letters to leave out, add, change or swap with the next one (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        above, before, row = before, row, [i]
        for j, other in enumerate(second, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
