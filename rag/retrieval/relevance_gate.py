"""How far what was found can answer the question at all; `ChatEngine.find` compares it with the setting.

A chunk's relevance is its cosine similarity to the question plus the share of the question's words that it (with its
title and headings) holds, rare words counting more. Each of the two alone refuses worse: one is blind for names and
numbers, the other for paraphrases. A chunk with the very code that is asked for needs neither. docs/retrieval.md has
the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag.text.analysis import terms
from rag.types.documents import Hit

_LOOKED_AT = 10
_HIGHEST = 2.0
_NEAR_THE_BEST = 0.85  # of the best relevance: what else holds as much of the question


def with_relevance(hits: Sequence[Hit], weights: Mapping[str, float]) -> tuple[Hit, ...]:
    """The hits with their relevance, in 0–2; `weights` are the question's terms with their idf weights."""
    return tuple(replace(hit, relevance=_relevance(hit, weights)) for hit in hits)


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


def _relevance(hit: Hit, weights: Mapping[str, float]) -> float:
    if hit.is_exact:
        return _HIGHEST
    total = sum(weights.values())
    present = set(terms(f"{hit.title} {hit.chunk.heading} {hit.chunk.text}"))
    shared = sum(weight for term, weight in weights.items() if term in present)
    # One more word, half found: a question of a single word is not judged by that word alone.
    average = total / len(weights) if weights else 1.0
    return (hit.dense_score or 0.0) + (shared + average / 2) / (total + average)
