"""Which documents a question names: "FY2019 capex of Activision Blizzard" is about ACTIVISIONBLIZZARD_2019_10K.pdf.

A document's names are the words of its title, file name and folder, as the word index knows them, and the parts of
words such as `2021Q1`. The catalog keeps them as a table of token and document; the rest is computed here.
"""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rag.text import terms
from rag.types import Scope

NAMES_VERSION = "1"  # of what `name_tokens` gives; another one makes the catalog note all names anew
_MOST_SHARED = 0.5  # a name that more of the documents share tells nothing
_LEAST_SCORE = 0.7  # the one of two documents that has a word in its name; less is no name at all
_MOST_NAMED = 20  # documents; a name that fits more is a topic
_LONGEST_COMPOUND = 4  # words written as one in a name, as in AMERICANWATERWORKS
_SHORTEST_INITIALS = 3  # letters of a short form in capitals, as JPM of JPMORGAN
_NUMBER_WEIGHT = 0.5  # years and quarters tell documents apart that a word has named, and are in many questions
_EARLIER_YEAR_WEIGHT = 0.5  # of several years the last counts: a report has the years before it for comparison

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"(?:19|20)\d\d|q[1-4]|[^\W\d_]+|\d+", re.IGNORECASE)
_FISCAL_YEAR = re.compile(r"\bFY\W?(\d\d)\b", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_NUMBER = re.compile(r"q?\d+")
_POSSESSIVE = re.compile(r"['’]s?\b")

Read = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]  # a query and its values → rows


def put_names(connection: sqlite3.Connection, document_id: str, title: str, source: str) -> None:
    """Note the names of a document instead of those it had."""
    connection.execute("DELETE FROM names WHERE document_id = ?", (document_id,))
    connection.executemany(
        "INSERT INTO names VALUES (?, ?)", [(token, document_id) for token in name_tokens(title, source)]
    )


def named_documents(read: Read, question: str, scope: Scope) -> frozenset[str]:
    """The ids of the documents in the scope that the question names."""
    within = f"documents d WHERE d.version > 0 AND d.collection_id IN ({_marks(scope.collection_ids)})"
    documents = int(read(f"SELECT count(*) FROM {within}", scope.collection_ids)[0][0])
    asked = sorted(_asked_tokens(question))
    prefixes = [(word, f"{word}\U0010ffff") for word in sorted(_initials(question))]
    counts = read(
        "SELECT token, count(*) FROM names WHERE "
        + " OR ".join([f"token IN ({_marks(asked)})", *["token BETWEEN ? AND ?"] * len(prefixes)])
        + " GROUP BY token",
        [*asked, *itertools.chain.from_iterable(prefixes)],
    )
    rare = [token for token, count in counts if count <= _MOST_SHARED * documents]
    matches: dict[str, set[str]] = defaultdict(set)
    frequency = Counter[str]()
    for token, document_id in read(
        f"SELECT n.token, d.id FROM names n CROSS JOIN {within} AND d.id = n.document_id "
        f"AND n.token IN ({_marks(rare)})",
        [*scope.collection_ids, *rare],
    ):
        frequency[token] += 1
        if scope.document_ids is None or document_id in scope.document_ids:
            matches[document_id].add(token)
    return best_named(matches, frequency, documents)


def name_tokens(title: str, source: str) -> frozenset[str]:
    """The tokens of a document's names."""
    path = PurePath(source)
    return frozenset(_tokens(_WORD.findall(f"{title} {path.stem} {path.parent.name}")))


def _asked_tokens(question: str) -> frozenset[str]:
    """The tokens of a question that may be in a name, neighbouring words written as one included."""
    words = _WORD.findall(_POSSESSIVE.sub("", question))
    years = [f"20{match}" for match in _FISCAL_YEAR.findall(question)]
    compounds = (
        "".join(words[start : start + size])
        for size in range(2, _LONGEST_COMPOUND + 1)
        for start in range(len(words) - size + 1)
    )
    return frozenset([*_tokens([*words, *years]), *terms(" ".join(compounds))])


def _initials(question: str) -> frozenset[str]:
    """Words in capitals, in small letters: a name may begin with one of them."""
    words = _WORD.findall(question)
    if all(word.isupper() for word in words if word.isalpha()):  # somebody who shouts
        return frozenset()
    return frozenset(
        word.lower() for word in words if word.isalpha() and word.isupper() and len(word) >= _SHORTEST_INITIALS
    )


def best_named(matches: Mapping[str, Collection[str]], frequency: Mapping[str, int], documents: int) -> frozenset[str]:
    """The ids of the documents whose names fit best; empty when no name is told apart from the others.

    `matches` has for each document the tokens that are in its names and in the question, `frequency` in how many of all
    `documents` each token is. A token weighs its inverse document frequency, as in BM25.
    """
    years = {token for token in frequency if _YEAR.fullmatch(token)}
    last = max(years, default="")

    def weight(token: str) -> float:
        rarity = math.log(1 + (documents - frequency[token] + 0.5) / (frequency[token] + 0.5))
        numeric = _NUMBER_WEIGHT if _NUMBER.fullmatch(token) else 1.0
        return rarity * numeric * (_EARLIER_YEAR_WEIGHT if token in years and token != last else 1.0)

    scores = {document: math.fsum(map(weight, sorted(tokens))) for document, tokens in matches.items()}
    best = max(scores.values(), default=0.0)
    named = frozenset(document for document, score in scores.items() if math.isclose(score, best))
    return named if best >= _LEAST_SCORE and len(named) <= _MOST_NAMED else frozenset()


def _tokens(words: Sequence[str]) -> list[str]:
    """Words and the parts of those that mix letters and digits, in the form of the word index."""
    parts = [part for word in words for part in _PART.findall(word)]
    return terms(" ".join([*words, *parts]))


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
