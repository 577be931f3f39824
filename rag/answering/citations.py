"""Citations: the exact words that each footnote of an answer rests on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from rag.text.analysis import Span, sentence_spans, terms
from rag.text.markers import cited_numbers, leading_markers, without_markers
from rag.types.documents import Citation, Passage

_KEPT = 256  # passages: each is asked for once for every number that an answer cites
_SHORTEST_VALUE = 2  # characters
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def collect_citations(answer: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """One citation for each source that the answer cites, in order of mention, with the sentence that fits it best."""
    by_number = {passage.number: passage for passage in passages}
    claims = [answer[start:end] for start, end in sentence_spans(answer)]
    citations = []
    for number in cited_numbers(answer):
        if number in by_number:
            claim = next((claim for claim in _with_trailing_markers(claims) if number in cited_numbers(claim)), answer)
            citations.append(cite(by_number[number], claim))
    return tuple(citations)


def citations_of_values(text: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """One citation for each passage that has a value of the JSON `text`, in its words, with the sentence that has most
    of them. Empty where the text is no JSON."""
    try:
        values = [value for value in _leaves(json.loads(text)) if len(value) >= _SHORTEST_VALUE or value.isdigit()]
    except (ValueError, RecursionError):
        return ()
    found = ((passage, [value for value in values if value.lower() in passage.text.lower()]) for passage in passages)
    return tuple(cite(passage, " ".join(values)) for passage, values in found if values)


def _leaves(value: Any) -> Iterator[str]:
    """The words and numbers in JSON, not its names."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    elif not isinstance(value, bool) and value is not None and str(value).strip():
        yield str(value).strip()


def _with_trailing_markers(claims: Sequence[str]) -> list[str]:
    """Sentences; one that is nothing but markers (`… end. [1]`) belongs to the sentence before it."""
    joined: list[str] = []
    for claim in claims:
        leading = leading_markers(claim) if joined else ""
        if leading:
            joined[-1] += " " + leading
        rest = claim[len(leading) :]
        if rest.strip():
            joined.append(rest)
    return joined


def cite(passage: Passage, claim: str) -> Citation:
    """The passage's sentence that shares most with the claim, as a citation; numbers count double."""
    wanted = set(terms(without_markers(claim)))

    def fit(sentence: tuple[Span, frozenset[str]]) -> float:
        shared = wanted & sentence[1]
        numbers = sum(1 for word in shared if _NUMBER.fullmatch(word))
        return (len(shared) + numbers) / math.sqrt(len(sentence[1]) + 8)

    (start, end), _ = max(_sentences(passage.text), key=fit)
    return citation(passage, start, end)


@lru_cache(maxsize=_KEPT)
def _sentences(text: str) -> list[tuple[Span, frozenset[str]]]:
    """The sentences of a passage, or all of it, each with its words."""
    spans = sentence_spans(text) or [(0, len(text))]
    return [((start, end), frozenset(terms(text[start:end]))) for start, end in spans]


def citation(passage: Passage, start: int, end: int) -> Citation:
    """A citation of `passage.text[start:end]`."""
    return Citation(
        number=passage.number,
        document_id=passage.document_id,
        title=passage.title,
        source=passage.source,
        page_index=passage.page_index,
        page_label=passage.page_label,
        heading=passage.heading,
        quote=passage.text[start:end],
        start=passage.start + start,
        end=passage.start + end,
        addresses_assistant=passage.addresses_assistant,
    )
