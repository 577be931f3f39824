"""How far what was found can answer the question at all; `ChatEngine.find` compares it with the setting.

A chunk's relevance is its cosine similarity to the question plus the share of the question's words that it (with its
title and headings) holds, rare words counting more. Each of the two alone refuses worse: one is blind for names and
numbers, the other for paraphrases. A chunk with the very code that is asked for needs neither. In another language than
the question's no words can be expected: there the similarity counts twice. docs/retrieval.md has the measurements.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from rag.text.analysis import segmented, terms
from rag.types.documents import Hit
from rag.types.models import Embedding

_WORD = re.compile(r"[^\W\d_]+")
_SAME_LANGUAGE = 0.16  # share of the question's words that a chunk has, names and words at a beginning left out
_FEWEST_LOOKS = 4  # such words times chunks, else there is nothing to tell the language by …
_SHORT = 4  # letters; … nor in keywords without any so short a word, which may stand nowhere
_LOOKED_AT = 10
_HIGHEST = 2.0
_KEPT = 1_000  # chunks whose words are: ten kilobytes each
_NEAR_THE_BEST = 0.85  # of the best relevance: what else holds as much of the question


def with_relevance(
    hits: Sequence[Hit], question: str, weights: Mapping[str, float], embedding: Embedding
) -> tuple[Hit, ...]:
    """The hits with their relevance, in 0–2; `weights` are the question's terms with their idf weights."""
    foreign = foreign_documents(question, hits, embedding)

    def relevance(hit: Hit) -> float:
        if hit.is_exact:
            return _HIGHEST
        is_foreign = hit.chunk.document_id in foreign
        low, high = embedding.scale_across_languages if is_foreign else embedding.similarity_scale
        similarity = 0.0 if hit.dense_score is None else min(1.0, (hit.dense_score - low) / (high - low))
        return similarity + (similarity if is_foreign else _share_of_words(hit, weights))

    return tuple(replace(hit, relevance=relevance(hit)) for hit in hits)


def foreign_documents(question: str, hits: Sequence[Hit], embedding: Embedding) -> frozenset[str]:
    """The ids of the documents in another language than the question, for a model that knows many: hardly any of the
    question's words stands in what was found there, not even those of which a language is made."""
    words = {word for word in _WORD.findall(segmented(question)) if not word[0].isupper()}
    if not embedding.is_multilingual or all(len(word) > _SHORT for word in words):
        return frozenset()
    looks, found = Counter[str](), Counter[str]()
    for hit in hits:
        looks[hit.chunk.document_id] += len(words)
        found[hit.chunk.document_id] += len(words.intersection(_WORD.findall(segmented(hit.chunk.text).lower())))
    return frozenset(
        document_id
        for document_id, count in looks.items()
        if count >= _FEWEST_LOOKS and found[document_id] < _SAME_LANGUAGE * count
    )


def is_foreign(question: str, hits: Sequence[Hit], embedding: Embedding) -> bool:
    """Whether what speaks most to the question is in another language."""
    best = max(hits, key=lambda hit: hit.relevance, default=None)
    return best is not None and best.chunk.document_id in foreign_documents(question, hits, embedding)


def best_relevance(hits: Sequence[Hit]) -> float:
    """The best relevance among the first hits, in 0–2."""
    return max((hit.relevance for hit in hits[:_LOOKED_AT]), default=0.0)


def matching_documents(hits: Sequence[Hit], least: float) -> dict[str, Hit]:
    """The best hit of each document that speaks to the question, best first: `least` as far, and about as far as that
    which does most."""
    floor = max(least, _NEAR_THE_BEST * max((hit.relevance for hit in hits), default=0.0))
    best: dict[str, Hit] = {}
    for hit in hits:
        if hit.relevance >= floor:
            best.setdefault(hit.chunk.document_id, hit)
    return best


@lru_cache(maxsize=_KEPT)
def _words_of(title: str, heading: str, text: str) -> frozenset[str]:
    return frozenset(map(sys.intern, terms(f"{title} {heading} {text}")))


def _share_of_words(hit: Hit, weights: Mapping[str, float]) -> float:
    total = sum(weights.values())
    present = _words_of(hit.title, hit.chunk.heading, hit.chunk.text)
    shared = sum(weight for term, weight in weights.items() if term in present)
    # One more word, half found: a question of a single word is not judged by that word alone.
    average = total / len(weights) if weights else 1.0
    return (shared + average / 2) / (total + average)
