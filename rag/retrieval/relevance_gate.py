"""How far what was found can answer the question at all; `ChatEngine.find` compares it with the setting.

A chunk's relevance is its cosine similarity to the question plus the share of the question's words that it (with its
title and headings) holds, rare words counting more. Each of the two alone refuses worse: one is blind for names and
numbers, the other for paraphrases. A chunk with the very code that is asked for needs neither. In another language than
the question's no words can be expected: there the similarity counts twice. docs/retrieval.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag.text.analysis import segmented, terms
from rag.types.documents import Embedding, Hit

_WORD = re.compile(r"[^\W\d_]+")
_SHORT = 4  # letters; most of the words that make a language have no more
_FEWEST_SHORT = 2  # else there is nothing to tell the language by
_SAME_LANGUAGE = 0.2  # share of the question's short words that a chunk has
_LOOKED_AT = 10
_HIGHEST = 2.0
_NEAR_THE_BEST = 0.85  # of the best relevance: what else holds as much of the question


def with_relevance(
    hits: Sequence[Hit], question: str, weights: Mapping[str, float], embedding: Embedding
) -> tuple[Hit, ...]:
    """The hits with their relevance, in 0–2; `weights` are the question's terms with their idf weights."""
    is_across = is_across_languages(question, hits, embedding)
    low, high = embedding.scale_across_languages if is_across else embedding.similarity_scale

    def relevance(hit: Hit) -> float:
        if hit.is_exact:
            return _HIGHEST
        similarity = 0.0 if hit.dense_score is None else min(1.0, (hit.dense_score - low) / (high - low))
        return similarity + (similarity if is_across else _share_of_words(hit, weights))

    return tuple(replace(hit, relevance=relevance(hit)) for hit in hits)


def is_across_languages(question: str, hits: Sequence[Hit], embedding: Embedding) -> bool:
    """Whether the question is in another language than what was found for it, by a model that knows many: then hardly
    any of its short words, no names, stands there."""
    if not embedding.is_multilingual or not hits:
        return False
    words = {word for word in _WORD.findall(segmented(question)) if len(word) <= _SHORT and not word[0].isupper()}
    if len(words) < _FEWEST_SHORT:
        return False
    found = [set(_WORD.findall(segmented(hit.chunk.text).lower())) for hit in hits[:_LOOKED_AT]]
    return sum(len(words & of_hit) for of_hit in found) < _SAME_LANGUAGE * len(words) * len(found)


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


def _share_of_words(hit: Hit, weights: Mapping[str, float]) -> float:
    total = sum(weights.values())
    present = set(terms(f"{hit.title} {hit.chunk.heading} {hit.chunk.text}"))
    shared = sum(weight for term, weight in weights.items() if term in present)
    # One more word, half found: a question of a single word is not judged by that word alone.
    average = total / len(weights) if weights else 1.0
    return (shared + average / 2) / (total + average)
