"""Citations: the exact words that each footnote of an answer rests on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rag.text.analysis import sentence_spans, terms
from rag.text.markers import cited_numbers, leading_markers, without_markers
from rag.types.documents import Citation, Passage

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
    spans = sentence_spans(passage.text) or [(0, len(passage.text))]

    def fit(span: tuple[int, int]) -> float:
        words = set(terms(passage.text[span[0] : span[1]]))
        shared = wanted & words
        numbers = sum(1 for word in shared if _NUMBER.fullmatch(word))
        return (len(shared) + numbers) / math.sqrt(len(words) + 8)

    start, end = max(spans, key=fit)
    return citation(passage, start, end)


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
