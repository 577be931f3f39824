"""Which kind of message it is (a question to the documents, small talk, work on the conversation …) and its language.

Both are learnt from message_examples.toml, in a second, by whoever first wants to know: by ridge regression (Hoerl and
Kennard: "Ridge Regression", Technometrics 1970) on a message's words, pairs of words and runs of letters, hashed
(Weinberger et al.: "Feature Hashing for Large Scale Multitask Learning", ICML 2009). Words that stand in no example but
in questions speak for a question. benchmarks/routing.py has the measurements.
"""

from __future__ import annotations

import math
import re
import tomllib
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from rag.types.documents import MessageKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Language = Literal["en", "de", "fr", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)  # the first one is for all others

_EXAMPLES = Path(__file__).with_name("message_examples.toml")
_TOKEN = re.compile(r"\w+|[?!]")
_NAME = "documentname"  # how the name of a document is read
_LONGEST = 400  # characters: of a longer message the beginning is looked at
_RUNS = (3, 4, 5)  # letters
_PLACES = 1 << 14  # of hashed features
_MOST_UNKNOWN = 4  # words
_KNOWN = 3  # examples of other kinds than a question that have a word
_UNKNOWN_WEIGHT = 0.3
_RIDGE = 0.3
_LEAST_LANGUAGE = 0.45  # a language that is none of ours scores less


@dataclass(frozen=True, slots=True)
class Guess:
    """The likeliest kind but a question, and by how much it is likelier than one: −1 to 1, about."""

    kind: MessageKind
    lead: float


def learn() -> None:
    """Learn now, what else the first message waits for. Blocking: a second of arithmetic."""
    _classifier()


def classify(message: str, names: Collection[str] = (), *, has_history: bool) -> Guess:
    """What kind of message it may be; `names` are the words of it that name a document. Without a history it is no work
    on one. Blocking."""
    classifier = _classifier()
    scores = classifier.scores(_tokens(message[:_LONGEST], {name for name in names if not classifier.knows(name)}))
    kinds: list[MessageKind] = ["small_talk", "collection", "document"]
    if has_history:
        kinds.append("conversation")
    likeliest = max(kinds, key=lambda kind: scores[kind])
    return Guess(likeliest, scores[likeliest] - scores["question"])


@lru_cache(maxsize=256)
def language_of(message: str) -> Language:
    """The language of a message; English for those that are not known. Blocking."""
    scores = _classifier().scores(_tokens(message[:_LONGEST]))
    likeliest = max(LANGUAGES, key=lambda language: scores[language])
    return likeliest if scores[likeliest] >= _LEAST_LANGUAGE else LANGUAGES[0]


def _tokens(message: str, names: Collection[str] = ()) -> list[str]:
    """Words in small letters and marks; words that name a document, one after the other, as one."""
    tokens: list[str] = []
    for word in _TOKEN.findall(message):
        token = _NAME if word in names else word.lower()
        if token != _NAME or tokens[-1:] != [_NAME]:
            tokens.append(token)
    return tokens


def _features(tokens: Sequence[str]) -> Iterator[str]:
    yield from tokens
    yield from (f"{first} {second}" for first, second in zip(["", *tokens], [*tokens, ""], strict=True))
    text = f" {' '.join(tokens)} "
    yield from (f"…{text[start : start + size]}" for size in _RUNS for start in range(len(text) - size + 1))
    yield f"length {min(len(tokens) // 3, 6)}"


def _places(tokens: Sequence[str]) -> list[int]:
    return list({zlib.crc32(feature.encode()) % _PLACES for feature in _features(tokens)})


@cache
def _classifier() -> _Classifier:
    return _Classifier(tomllib.loads(_EXAMPLES.read_text(encoding="utf-8")))


class _Classifier:
    """A weight for each feature and each label: languages and kinds."""

    def __init__(self, examples: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        import numpy as np

        labelled = [
            (_tokens(text.replace("DOCUMENT", _NAME)), language, kind)
            for language, kinds in examples.items()
            for kind, texts in kinds.items()
            for text in texts
        ]
        self._labels = [*examples, *next(iter(examples.values()))]
        self._word_counts = Counter(word for words, _, kind in labelled if kind != "question" for word in set(words))
        holders: list[list[int]] = [[] for _ in range(_PLACES)]  # of each feature, the examples
        for row, (words, *_) in enumerate(labelled):
            for place in _places(words):
                holders[place].append(row)
        self._idf = np.array([math.log(1 + len(labelled) / (1 + len(rows))) for rows in holders], np.float32)
        # An example has few of the features: their products with one another are summed feature by feature.
        products = np.zeros((len(labelled), len(labelled)), np.float32)
        for rows, idf in zip(holders, self._idf, strict=True):
            products[np.ix_(rows, rows)] += idf * idf
        norms = np.sqrt(products.diagonal())
        unknown = np.stack([self._unknown(words, own=int(kind != "question")) for words, _, kind in labelled])
        products = products / np.outer(norms, norms) + unknown @ unknown.T
        wanted = np.array([[label in labels for label in self._labels] for _, *labels in labelled], np.float32)
        self._mean = wanted.mean(axis=0)
        dual = np.linalg.solve(products + _RIDGE * np.eye(len(labelled), dtype=np.float32), wanted - self._mean)
        scaled = dual / norms[:, None]
        self._weights = np.stack([idf * scaled[rows].sum(axis=0) for rows, idf in zip(holders, self._idf, strict=True)])
        self._weights_of_unknown = unknown.T @ dual

    def knows(self, word: str) -> bool:
        """Whether the word says something of the kind: it is none of a name's, though a document may have it there."""
        return self._word_counts[word.lower()] >= _KNOWN

    def scores(self, tokens: Sequence[str]) -> dict[str, float]:
        """How well each label fits, about 0 to 1."""
        import numpy as np

        places = _places(tokens)
        idf = self._idf[places]
        scores = self._mean + idf @ self._weights[places] / np.linalg.norm(idf)
        scores += self._unknown(tokens) @ self._weights_of_unknown
        return dict(zip(self._labels, scores.tolist(), strict=True))

    def _unknown(self, tokens: Sequence[str], own: int = 0) -> NDArray[np.float32]:
        """How many words are unknown, and whether all are; `own` times an example has its words itself."""
        import numpy as np

        is_unknown = [self._word_counts[word] <= own for word in tokens if word.isalnum()]
        features = [sum(is_unknown) > count for count in range(_MOST_UNKNOWN)]
        return _UNKNOWN_WEIGHT * np.array([*features, all(is_unknown)], np.float32)
