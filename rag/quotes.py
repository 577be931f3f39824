"""Answering without a language model: the sentences that come closest to the question, quoted and cited."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag.citations import citation
from rag.text import sentence_spans, terms
from rag.types import Citation, Embedding, Passage

LEAD = "Quoted from your documents:"

_SENTENCES = 3
_RELATIVE_WEAKNESS = 0.75  # a further sentence must reach this share of the best one's score
_PASSAGE_WEIGHT = 0.3  # how much of a sentence's score is that of its passage
_LONGEST = 400  # characters shown of one sentence


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: Passage
    start: int
    end: int

    @property
    def text(self) -> str:
        return " ".join(self.passage.text[self.start : self.end].split())

    @property
    def is_heading(self) -> bool:
        """Whether it only repeats the heading or the title, as a page's running header does: that answers nothing."""
        known = set(terms(f"{self.passage.title} {self.passage.heading}"))
        words = terms(self.text)
        new = [word for word in words if word not in known]
        return self.text[-1] not in ".!?;:。！？" and (not new or (len(new) < len(words) - len(new) and len(new) <= 3))


def best_sentences(question: str, passages: Sequence[Passage], embedding: Embedding) -> list[Citation]:
    """Up to three sentences of the passages, best first and numbered from 1; empty when there are none.

    Blocking: every sentence is embedded.
    """
    candidates = [
        candidate
        for passage in passages
        for start, end in sentence_spans(passage.text)
        if not (candidate := _Candidate(passage, start, end)).is_heading
    ]
    if not candidates:
        return []
    scores = _scores(question, candidates, embedding)
    chosen: list[_Candidate] = []
    for place in sorted(range(len(candidates)), key=lambda place: -scores[place]):
        weak = chosen and scores[place] < _RELATIVE_WEAKNESS * max(scores)
        if weak or len(chosen) == _SENTENCES:
            break
        if all(candidates[place].text != other.text for other in chosen):
            chosen.append(candidates[place])
    return [
        replace(citation(candidate.passage, candidate.start, candidate.end), number=number)
        for number, candidate in enumerate(chosen, start=1)
    ]


def _scores(question: str, candidates: Sequence[_Candidate], embedding: Embedding) -> list[float]:
    """Half meaning (cosine), half words (share of the question's words, rare ones counting more), and the passage's."""
    texts = [candidate.text for candidate in candidates]
    cosines = embedding.embed_passages(texts) @ embedding.embed_query(question)
    words = [set(terms(text)) for text in texts]
    frequency = Counter(word for sentence in words for word in sentence)
    weights = {word: math.log(1 + len(texts) / (1 + frequency[word])) for word in set(terms(question))}
    whole = sum(weights.values()) or 1.0
    return [
        (1 - _PASSAGE_WEIGHT) * (float(cosine) + sum(weights[word] for word in weights.keys() & sentence) / whole) / 2
        + _PASSAGE_WEIGHT * candidate.passage.score
        for candidate, cosine, sentence in zip(candidates, cosines, words, strict=True)
    ]


def compose(quotes: Sequence[Citation]) -> str:
    """The answer's text: a lead that says what follows, then one quoted sentence a paragraph, each with its marker."""
    return "\n\n".join([LEAD, *(f"“{_shown(quote.quote)}” [{quote.number}]" for quote in quotes)])


def _shown(quote: str) -> str:
    text = " ".join(quote.split())
    return text if len(text) <= _LONGEST else text[: text.rfind(" ", 0, _LONGEST)] + " …"
