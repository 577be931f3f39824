"""Answering without a language model: the sentences that come closest to the question, quoted and cited."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from rag.answering.citations import citation
from rag.text.analysis import sentence_spans, terms
from rag.text.markers import round_markers
from rag.types.documents import Citation, Passage
from rag.types.models import Embedding

# Chosen by the measurements in docs/retrieval.md: the first quote of 88 % of XQuAD questions holds the answer.
_QUOTES = 3
_MOST_QUOTES = 12  # of several documents, one of each
_SHORTEST = 16  # words that carry meaning: a shorter sentence is quoted with those that follow it
_RELATIVE_WEAKNESS = 0.75  # a further quote must reach this share of the best one's score
_WORDS_WEIGHT = 0.6  # against meaning
_PASSAGE_WEIGHT = 0.2  # how much of a quote's score is that of its passage
_LONGEST = 400  # characters shown of one quote


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: Passage
    start: int
    end: int
    terms: tuple[str, ...]

    @property
    def is_heading(self) -> bool:
        """Whether it says little but the heading or the title again: that answers nothing."""
        known = set(terms(f"{self.passage.title} {self.passage.heading}"))
        new = [term for term in self.terms if term not in known]
        return not self.is_finished and (not new or (len(new) <= 3 and 2 * len(new) < len(self.terms)))

    @property
    def is_finished(self) -> bool:
        """Whether it ends as a sentence does; headings and rows of tables do not."""
        return self.passage.text[self.end - 1] in ".!?。！？"

    def goes_on_with(self, other: _Sentence) -> bool:
        """Whether `other` may be quoted with it: same passage, and not the heading of what follows."""
        return other.passage is self.passage and (other.is_finished or not self.is_finished)


@dataclass(frozen=True, slots=True)
class _Quote:
    """Sentences that can be quoted together, from `first` to `last`: the `window` of all of them."""

    first: _Sentence
    last: _Sentence
    window: range
    score: float

    def overlaps(self, other: _Quote) -> bool:
        """Whether both have a sentence."""
        return bool(set(self.window) & set(other.window))


def best_sentences(
    question: str, passages: Sequence[Passage], embedding: Embedding, groups: Iterable[Collection[str]] = ()
) -> list[Citation]:
    """Up to three quotes from the passages, best first and numbered from 1; empty when there are none. Of each of the
    `groups` of documents, by id, one comes before all others, and there may be twelve.

    Blocking: every sentence is embedded.
    """
    quotes = best_quotes(question, passages, embedding, groups)
    return [replace(quote, number=number) for number, quote in enumerate(quotes, start=1)]


def best_quotes(
    question: str, passages: Sequence[Passage], embedding: Embedding, groups: Iterable[Collection[str]] = ()
) -> list[Citation]:
    """As `best_sentences`, with the numbers of their passages, which several may have in common."""
    ranked = _ranked(question, passages, embedding)
    firsts = (next((q for q in ranked if q.first.passage.document_id in group), None) for group in groups)
    chosen = [quote for quote in firsts if quote is not None][:_MOST_QUOTES]
    for quote in ranked:
        if len(chosen) >= _QUOTES or quote.score < _RELATIVE_WEAKNESS * ranked[0].score:
            break
        if not any(quote.overlaps(other) for other in chosen):
            chosen.append(quote)
    return [citation(quote.first.passage, quote.first.start, quote.last.end) for quote in chosen]


def _ranked(question: str, passages: Sequence[Passage], embedding: Embedding) -> list[_Quote]:
    """What could be quoted, best first."""
    sentences = [
        _Sentence(passage, start, end, tuple(terms(passage.text[start:end])))
        for passage in passages
        for start, end in sentence_spans(passage.text)
    ]
    if not sentences:
        return []
    windows = [_window(sentences, first) for first in range(len(sentences))]
    scores = _scores(question, sentences, windows, embedding)
    quotes = [
        _Quote(sentences[window[0]], sentences[window[-1]], window, score)
        for window, score in zip(windows, scores, strict=True)
    ]
    return sorted(quotes, key=lambda quote: -quote.score)


def _window(sentences: Sequence[_Sentence], first: int) -> range:
    """The sentence at `first`, and if it is short those after it in the same passage."""
    end = first + 1
    length = len(sentences[first].terms)
    while end < len(sentences) and length < _SHORTEST and sentences[first].goes_on_with(sentences[end]):
        length += len(sentences[end].terms)
        end += 1
    return range(first, end)


def _scores(
    question: str, sentences: Sequence[_Sentence], windows: Sequence[range], embedding: Embedding
) -> list[float]:
    """For each window: meaning (similarity), words (share of the question's, rare ones counting more), its passage."""
    texts = [" ".join(s.passage.text[s.start : s.end].split()) for s in sentences]
    low, high = embedding.similarity_scale
    similarities = (embedding.embed_passages(texts) @ embedding.embed_query(question) - low) / (high - low)
    frequency = Counter(term for sentence in sentences for term in set(sentence.terms))
    weights = {term: math.log(1 + len(texts) / (1 + frequency[term])) for term in set(terms(question))}
    total = sum(weights.values()) or 1.0
    context = {id(s.passage): set(terms(f"{s.passage.title} {s.passage.heading}")) for s in sentences}

    def score(window: range) -> float:
        if len(window) == 1 and sentences[window[0]].is_heading:
            return -1.0
        lengths = [len(sentences[place].terms) + 1 for place in window]
        mean = sum(n * float(similarities[place]) for n, place in zip(lengths, window, strict=True)) / sum(lengths)
        meaning = (mean + max(float(similarities[place]) for place in window)) / 2
        # Title and heading go without saying: they speak for every sentence below, not for one that repeats them.
        present = context[id(sentences[window[0]].passage)].union(*(sentences[place].terms for place in window))
        words = sum(weights[term] for term in weights.keys() & present) / total
        of_window = _WORDS_WEIGHT * words + (1 - _WORDS_WEIGHT) * meaning
        return (1 - _PASSAGE_WEIGHT) * of_window + _PASSAGE_WEIGHT * sentences[window[0]].passage.score

    return [score(window) for window in windows]


def compose(lead: str, quotes: Sequence[Citation]) -> str:
    """The answer's text: a lead that says what follows, then one quote a paragraph, each with its marker."""
    return "\n\n".join([lead, *(f"“{_shown(quote.quote)}” [{quote.number}]" for quote in quotes)])


def _shown(quote: str) -> str:
    text = round_markers(" ".join(quote.split()))
    return text if len(text) <= _LONGEST else text[: text.rfind(" ", 0, _LONGEST)] + " …"
