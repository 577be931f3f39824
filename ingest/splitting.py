"""Splitting: a document's sections become chunks that the embedding model reads to their last token.

Chunks are made of whole sentences and never cross a section. A sentence longer than a chunk is cut between words. The
length is counted by the embedding model's own tokenizer, with the title and heading that are embedded along.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence

from rag.index import contextual_text
from rag.text import Span, sentence_spans, trim
from rag.types import Chunk, Embedding, Section

SPLITTER_VERSION = "1"
_SPECIAL_TOKENS = 2  # what the model puts around every text
_BLOCK = 50_000  # characters tokenised at once: the tokens of a whole book would take gigabytes


def split(
    document_id: str, version: int, title: str, sections: Sequence[Section], embedding: Embedding, limit: int
) -> list[Chunk]:
    """The chunks of a document, in order, numbered from 0; with title and heading none has more than `limit` tokens
    (or than the model reads, if that is less). `title` must leave room for text: see `fitting_title`."""
    limit = _room(embedding, limit)
    chunks: list[Chunk] = []
    offsets: dict[int | None, int] = {}
    for section in sections:
        page_index = section.page_index
        heading = _fitting_heading(title, section.heading, embedding, limit // 2)
        offset = offsets.get(page_index, 0)
        budget = limit - len(embedding.token_spans(contextual_text(title, heading, "")))
        for start, end in chunk_spans(section.text, embedding, budget):
            number = len(chunks)
            chunks.append(
                Chunk(
                    id=f"{document_id}:{version}:{number}",
                    document_id=document_id,
                    number=number,
                    page_index=page_index,
                    page_label=section.page_label,
                    heading=heading,
                    record_id=section.record_id,
                    start=offset + start,
                    end=offset + end,
                    text=section.text[start:end],
                )
            )
        offsets[page_index] = offset + len(section.text)
    return chunks


def fitting_title(title: str, embedding: Embedding, limit: int) -> str:
    """`title`, cut at the end until it takes at most half of a chunk of `limit` tokens."""
    while len(embedding.token_spans(title)) > _room(embedding, limit) // 2:
        title = title[: len(title) * 3 // 4].strip()
    return title


def _room(embedding: Embedding, limit: int) -> int:
    """The tokens of a chunk that are ours to use."""
    return min(limit, embedding.max_tokens) - _SPECIAL_TOKENS


def _fitting_heading(title: str, heading: str, embedding: Embedding, limit: int) -> str:
    """`heading`, cut from the front until it and the title leave room for the text."""
    while heading and len(embedding.token_spans(contextual_text(title, heading, ""))) > limit:
        heading = heading[len(heading) // 4 + 1 :].strip()
    return heading


def chunk_spans(text: str, embedding: Embedding, budget: int) -> list[Span]:
    """Spans of at most `budget` tokens that together hold every sentence of `text`."""
    spans: list[Span] = []
    sizes: list[int] = []
    for (start, end), size in _measured_pieces(text, embedding, budget):
        if spans and sizes[-1] + size <= budget:
            spans[-1] = (spans[-1][0], end)
            sizes[-1] += size
        else:
            spans.append((start, end))
            sizes.append(size)
    return spans


def _measured_pieces(text: str, embedding: Embedding, budget: int) -> Iterator[tuple[Span, int]]:
    """The sentences, or the parts of one that is too long, each with its number of tokens."""
    for block in _blocks(text, sentence_spans(text)):
        offset = block[0][0]
        starts = [offset + start for start, _ in embedding.token_spans(text[offset : block[-1][1]])]
        for start, end in _pieces(text, block, starts, budget):
            yield (start, end), bisect.bisect_left(starts, end) - bisect.bisect_left(starts, start)


def _blocks(text: str, sentences: Iterable[Span]) -> Iterator[list[Span]]:
    """Neighbouring sentences of at most `_BLOCK` characters together; a longer sentence is cut."""
    block: list[Span] = []
    for sentence in (part for whole in sentences for part in _cut(text, whole)):
        if block and sentence[1] - block[0][0] > _BLOCK:
            yield block
            block = []
        block.append(sentence)
    if block:
        yield block


def _cut(text: str, sentence: Span) -> Iterator[Span]:
    start, end = sentence
    while end - start > _BLOCK:
        border = text.rfind(" ", start + 1, start + _BLOCK)
        border = border if border > 0 else start + _BLOCK
        yield trim(text, (start, border))
        start = border
    yield trim(text, (start, end))


def _pieces(text: str, sentences: Sequence[Span], starts: Sequence[int], budget: int) -> Iterator[Span]:
    """The sentences; one of more than `budget` tokens in parts, cut before a word."""
    for start, end in sentences:
        first, last = bisect.bisect_left(starts, start), bisect.bisect_left(starts, end)
        rest = start
        while last - first > budget:
            cut = first + budget
            while cut > first + 1 and not text[starts[cut] - 1].isspace():
                cut -= 1
            if cut == first + 1:  # one word longer than a chunk
                cut = first + budget
            yield trim(text, (rest, starts[cut]))
            rest, first = starts[cut], cut
        yield trim(text, (rest, end))
