"""Which documents a question names: "FY2019 capex of Activision Blizzard" is about ACTIVISIONBLIZZARD_2019_10K.pdf.

A document's names are the words of its title, file name and folder, as the word index knows them, and the parts of
words such as `2021Q1`. The catalog keeps them as a table of token and document (rag/storage/name_tokens.py); the
rest is computed here.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from rag.storage.database import Database
from rag.storage.name_tokens import PART, WORD, names_of, tokens_of
from rag.text.analysis import terms
from rag.text.codes import code_words
from rag.types.documents import Scope

_MOST_SHARED = 0.5  # a name that more of the documents share tells nothing
_LEAST_SCORE = 0.7  # the one of two documents that has a word in its name; less is no name at all
_LOOKED_AT = 50  # documents whose names are compared
_MOST_COUNTED = 5_000  # documents of all collections: a word in more names is not looked at
_MOST_WORDS = 400  # of a question
_MOST_NAMED = 20  # documents; a name that fits more is a topic
_LONGEST_COMPOUND = 4  # words written as one in a name, as in AMERICANWATERWORKS
_SHORTEST_INITIALS = 3  # letters of a short form in capitals, as JPM of JPMORGAN
_NUMBER_WEIGHT = 0.5  # years and quarters tell documents apart that a word has named, and are in many questions
_EARLIER_YEAR_WEIGHT = 0.5  # of several years the last counts: a report has the years before it for comparison

_FISCAL_YEAR = re.compile(r"\bFY\W?(\d\d)\b", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_NUMBER = re.compile(r"q?\d+")
_PERIOD = re.compile(r"(?:19|20)\d\d|q?\d\d?")
_POSSESSIVE = re.compile(r"['’]s\b")
_EMPHATIC = frozenset({"must", "only", "never", "always", "please", "none", "every", "shall"})  # beside function words

_LAST_CHARACTER = "\U0010ffff"
_WITHIN = "documents d WHERE d.version > 0 AND d.collection_id IN (SELECT value FROM json_each(:collections))"


@dataclass(frozen=True, slots=True)
class NamedDocuments:
    """The documents that a question names, by id; how much of their name it says, in 0–1; and by which tokens."""

    documents: frozenset[str] = frozenset()
    coverage: float = 0.0
    tokens: frozenset[str] = frozenset()

    def words_of(self, question: str) -> frozenset[str]:
        """The words of the question that name the documents."""
        return frozenset(word for word in WORD.findall(question) if not self.tokens.isdisjoint(tokens_of([word])))


@dataclass(frozen=True, slots=True)
class Names:
    """The tokens of each name of some documents, by id; and in how many of all documents each token is."""

    of_document: Mapping[str, Sequence[frozenset[str]]]
    frequency: Mapping[str, int]


def named_documents(database: Database, question: str, scope: Scope) -> NamedDocuments:
    """The documents in the scope that the question names."""
    question_tokens = sorted(_asked_tokens(question))
    prefixes = sorted(_initials(question))
    tokens = [
        token
        for token, count in database.read(
            "SELECT token, count(*) FROM names WHERE token IN (SELECT value FROM json_each(:tokens)) GROUP BY token "
            "UNION SELECT token, count(*) FROM json_each(:prefixes) prefix "
            "JOIN names ON token BETWEEN prefix.value AND prefix.value || :last GROUP BY token",
            tokens=json.dumps(question_tokens),
            prefixes=json.dumps(prefixes),
            last=_LAST_CHARACTER,
        )
        if count <= _MOST_COUNTED
    ]
    collections = json.dumps(scope.collection_ids)
    documents = int(database.read(f"SELECT count(*) FROM {_WITHIN}", collections=collections)[0][0])
    holders: dict[str, list[str]] = defaultdict(list)
    for token, document_id in database.read(
        f"SELECT n.token, d.id FROM json_each(:tokens) asked JOIN names n ON n.token = asked.value CROSS JOIN "
        f"{_WITHIN} AND d.id = n.document_id",
        tokens=json.dumps(tokens),
        collections=collections,
    ):
        holders[token].append(document_id)
    frequency = {token: len(ids) for token, ids in holders.items() if len(ids) <= _MOST_SHARED * documents}
    matches: dict[str, set[str]] = defaultdict(set)
    for token in frequency:
        for document_id in holders[token]:
            if scope.document_ids is None or document_id in scope.document_ids:
                matches[document_id].add(token)
    weight = _weights(frequency, documents, frequency)
    scores = {document_id: math.fsum(map(weight, sorted(found))) for document_id, found in matches.items()}
    likely = sorted(scores, key=lambda document_id: (-scores[document_id], document_id))[:_LOOKED_AT]
    names = _names(database, likely, collections)
    return best_named({document_id: matches[document_id] for document_id in likely}, names, documents)


def that_may_name(database: Database, texts: Sequence[str]) -> list[str]:
    """In one look, those of the texts that have words of a document's name, beside years and quarters."""
    tokens = {text: {token for token in _asked_tokens(text) if not _PERIOD.fullmatch(token)} for text in texts}
    rows = database.read(
        "SELECT DISTINCT token FROM names WHERE token IN (SELECT value FROM json_each(:tokens))",
        tokens=json.dumps(sorted(frozenset[str]().union(*tokens.values()))),
    )
    known = {row.token for row in rows}
    return [text for text in texts if not known.isdisjoint(tokens[text]) or _initials(text)]


def _names(database: Database, document_ids: Sequence[str], collections: str) -> Names:
    """The tokens of each name of the documents, and in how many documents of the collections each of them is."""
    rows = database.read(
        "SELECT id, title, source FROM documents WHERE id IN (SELECT value FROM json_each(:ids))",
        ids=json.dumps(document_ids),
    )
    names = {row.id: [_divided(name) for name in names_of(row.title, row.source)] for row in rows}
    tokens = sorted({token for parts in names.values() for name in parts for token in name})
    counts = database.read(
        f"SELECT n.token, count(*) FROM json_each(:tokens) said JOIN names n ON n.token = said.value CROSS JOIN "
        f"{_WITHIN} AND d.id = n.document_id GROUP BY n.token",
        tokens=json.dumps(tokens),
        collections=collections,
    )
    return Names(names, dict(counts))


def _asked_tokens(question: str) -> frozenset[str]:
    """The tokens of a question that may be in a name, neighbouring words written as one included."""
    words = WORD.findall(_POSSESSIVE.sub("", question))[:_MOST_WORDS]
    years = [f"20{match}" for match in _FISCAL_YEAR.findall(question)]
    compounds = (
        "".join(words[start : start + size])
        for size in range(2, _LONGEST_COMPOUND + 1)
        for start in range(len(words) - size + 1)
    )
    return frozenset([*tokens_of([*words, *years]), *terms(" ".join(compounds))])


def _initials(question: str) -> frozenset[str]:
    """Words in capitals, in small letters: a name may begin with one of them."""
    words = [word for word in WORD.findall(question)[:_MOST_WORDS] if word.isalpha()]
    if all(word.isupper() for word in words):  # somebody who shouts
        return frozenset()
    capitals = {word.lower() for word in words if word.isupper() and len(word) >= _SHORTEST_INITIALS}
    return frozenset(word for word in capitals - _EMPHATIC if terms(word))


def best_named(matches: Mapping[str, Collection[str]], names: Names, documents: int) -> NamedDocuments:
    """The documents one of whose names fits best; none when no name is told apart from the others.

    `matches` has for each document the tokens that are in its names and in the question. A token weighs its inverse
    document frequency, as in BM25; a name fits by the weight that the question has of it, less if that is not even a
    third of the name: one word of a title of ten is less of a name than both words of a file name.
    """
    frequency = {token: min(count, documents) for token, count in names.frequency.items()}
    weight = _weights(frequency, documents, {token for tokens in matches.values() for token in tokens})
    fits: dict[str, tuple[float, float, frozenset[str]]] = {}  # how well, coverage, tokens
    for document_id, tokens in matches.items():
        for name in names.of_document[document_id]:
            said = name & frozenset(tokens)
            matched = math.fsum(weight(token) for token in sorted(said))
            total = math.fsum(weight(token) for token in sorted(name))
            if matched >= _LEAST_SCORE:
                fit = (matched * min(1.0, 3 * matched / total), matched / total, said)
                fits[document_id] = max(fits.get(document_id, fit), fit, key=lambda fit: fit[:2])
    best, coverage, said = max(fits.values(), default=(0.0, 0.0, frozenset()), key=lambda fit: fit[:2])
    named = frozenset(document_id for document_id, (other, *_) in fits.items() if math.isclose(other, best))
    return NamedDocuments(named, coverage, said) if named and len(named) <= _MOST_NAMED else NamedDocuments()


def _weights(frequency: Mapping[str, int], documents: int, tokens: Collection[str]) -> Callable[[str], float]:
    years = {token for token in tokens if _YEAR.fullmatch(token)}
    last = max(years, default="")

    def weight(token: str) -> float:
        rarity = math.log(1 + (documents - frequency[token] + 0.5) / (frequency[token] + 0.5))
        numeric = _NUMBER_WEIGHT if _NUMBER.fullmatch(token) else 1.0
        return rarity * numeric * (_EARLIER_YEAR_WEIGHT if token in years and token != last else 1.0)

    return weight


def _divided(name: str) -> frozenset[str]:
    """The tokens of a name; of words that mix letters and digits only the parts, as a question may have them apart."""
    parts = " ".join(part for word in WORD.findall(name) for part in PART.findall(word))
    codes = {word for word in code_words(parts) if not word.isdigit()}  # parts that were put side by side are no code
    return frozenset(terms(parts)) - codes
