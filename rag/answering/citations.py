"""Citations: markers such as `[1]` while the answer streams, and after it the exact words each one rests on."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

from rag.text.analysis import sentence_spans, terms
from rag.types.documents import Citation, Passage

_ONE = r"[ \t]*(?:sources?[ \t]+)?\d{1,3}[ \t]*"
_MARKER = re.compile(rf"([ \t]*)[\[【]({_ONE}(?:[,;&]{_ONE})*)[\]】]", re.IGNORECASE)
_UNDECIDED = re.compile(r"[ \t]*(?:[\[【][\w,;& \t]*)?\Z")  # whatever may still become a marker
_LEADING = re.compile(rf"(?:{_MARKER.pattern})+", re.IGNORECASE)
_ROUND = str.maketrans("[]【】", "()()")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class MarkerFilter:
    """Passes an answer's text on while it streams; markers come out as `[1][2]`, those of unknown sources not at all.

    An open bracket (and the space before it) is held back until it is decided.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = frozenset(numbers)
        self._held = ""

    def feed(self, delta: str) -> str:
        """The text that can be shown after this piece."""
        text = self._held + delta
        undecided = _UNDECIDED.search(text)
        border = undecided.start() if undecided else len(text)
        self._held = text[border:]
        return self._rewrite(text[:border])

    def flush(self) -> str:
        """What is still held at the end of the answer."""
        held, self._held = self._held, ""
        return self._rewrite(held)

    def _rewrite(self, text: str) -> str:
        return _MARKER.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        known = [number for number in cited_numbers(match[0]) if number in self._numbers]
        return match[1] + "".join(f"[{number}]" for number in known) if known else ""


def without_markers(text: str) -> str:
    """Text of a document whose own `[2]` would pass for one of our footnotes: `(2)`."""
    return _MARKER.sub(lambda match: match[0].translate(_ROUND), text)


def cited_numbers(text: str) -> list[int]:
    """The source numbers that `text` cites, in order of first mention."""
    numbers = [int(number) for match in _MARKER.finditer(text) for number in re.findall(r"\d+", match[2])]
    return list(dict.fromkeys(numbers))


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
        leading = _LEADING.match(claim) if joined else None
        if leading:
            joined[-1] += " " + leading[0]
        rest = claim[leading.end() :] if leading else claim
        if rest.strip():
            joined.append(rest)
    return joined


def cite(passage: Passage, claim: str) -> Citation:
    """The passage's sentence that shares most with the claim, as a citation; numbers count double."""
    wanted = set(terms(_MARKER.sub("", claim)))
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
