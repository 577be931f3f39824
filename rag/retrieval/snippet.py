"""The part of a chunk that speaks to the question: what a search shows, and what is read first."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rag.text.analysis import Span, sentence_spans, terms

_PRICE = 0.1  # of a whole chunk's length, in shares of the question's words
_STEEPNESS = 3  # how much dearer text is in a hit of half the best score: 2 ** 3 times


def snippet(text: str, weights: Mapping[str, float], standing: float) -> Span:
    """The span of neighbouring sentences that hold the most of the question's words for their length.

    `weights` are the question's terms with their idf weights, `standing` the hit's score as a share of the best hit's:
    the lower it is, the less text it is worth. Each sentence is worth the share of the question's words that it holds,
    and costs its share of the text; the best run of sentences is found by Kadane's algorithm (Bentley, "Programming
    Pearls: Algorithm design techniques", CACM 1984). The whole text where no sentence holds a word.
    """
    total = sum(weights.values())
    price = _PRICE / max(standing, 0.01) ** _STEEPNESS
    best_gain, best = -math.inf, (0, len(text))
    gain, start = 0.0, 0
    for sentence in sentence_spans(text):
        if gain <= 0:
            gain, start = 0.0, sentence[0]
        present = set(terms(text[slice(*sentence)]))
        shared = sum(weight for term, weight in weights.items() if term in present)
        gain += shared / total - price * (sentence[1] - sentence[0]) / len(text) if total else 0.0
        if shared and gain > best_gain:
            best_gain, best = gain, (start, sentence[1])
    return best
