"""Splitting: a document's sections become chunks that the embedding model reads to their last token.

Chunks are made of whole sentences and never cross a section; one that begins within a table has the names of its
columns with its heading. A sentence longer than a chunk is cut between words. Who wants chunks that overlap gets the
last sentences of one again in the next, as many as fit. The length is counted by the embedding model's own tokenizer,
with the title and heading that are embedded along. This is done where the file was read, in a child process: it takes
the interpreter for long.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.table_columns import tables_of
from rag.text.analysis import Span, contextual_text, sentence_spans, trim
from rag.text.tokenizers import TokenSpans
from rag.types.documents import Chunk, ChunkId, Chunking, Section
from rag.types.models import Embedding

HEADING_SEPARATOR = " › "
SPLITTER_VERSION = "3"
_SPECIAL_TOKENS = 2  # what the model puts around every text
_BLOCK = 50_000  # characters tokenised at once: the tokens of a whole book would take gigabytes


@dataclass(frozen=True, slots=True)
class ChunkLimit:
    """The longest chunk: so many tokens, special ones included, as this tokenizer counts (text/tokenizers.py), and how
    many of them it may repeat of the one before."""

    tokenizer: str
    tokens: int
    overlap: int = 0


def limit_of(embedding: Embedding, chunk_tokens: int, chunking: Chunking | None) -> ChunkLimit:
    """The limit that a document's own chunking sets, else `chunk_tokens`; never more than the model reads."""
    if chunking is None:
        return ChunkLimit(embedding.tokenizer, min(chunk_tokens, embedding.max_tokens))
    tokens = min(chunking.tokens, embedding.max_tokens)
    return ChunkLimit(embedding.tokenizer, tokens, min(chunking.overlap, tokens // 2))


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a chunk lies: the place of its section in the document, and its characters there. `heading` is as much of
    the section's as is embedded with it."""

    section: int
    start: int
    end: int
    heading: str


class ChunkSpans(Protocol):
    """Spans of at most `budget` tokens of a text: `chunk_spans`, or those of a node parser."""

    def __call__(self, text: str, token_spans: TokenSpans, budget: int, overlap: int, /) -> list[Span]: ...


def split(
    title: str,
    sections: Sequence[Section],
    token_spans: TokenSpans,
    limit: int,
    overlap: int = 0,
    spans_of: ChunkSpans | None = None,
) -> Iterator[Piece]:
    """The pieces of a document, in order; with title, heading and special tokens none has more than `limit` tokens, of
    which at most `overlap` are those that the one before ends with. `title` must leave room for text: see
    `fitting_title`. `spans_of` cuts a section's text, by default `chunk_spans`."""
    spans_of = spans_of or chunk_spans
    room = limit - _SPECIAL_TOKENS
    columns_before = ""
    for place, section in enumerate(sections):
        tables = tables_of(section.text, columns_before)
        columns_before = tables[-1].columns if tables and tables[-1].is_last else ""
        headings = {
            columns: _fitting_heading(title, _joined(section.heading, columns), token_spans, room // 2)
            for columns in ("", *(table.columns for table in tables))
        }
        budget = room - max(len(token_spans(contextual_text(title, heading, ""))) for heading in headings.values())
        for start, end in spans_of(section.text, token_spans, budget, overlap):
            columns = next((table.columns for table in tables if table.start <= start < table.end), "")
            yield Piece(place, start, end, headings[columns])


def _joined(heading: str, columns: str) -> str:
    return HEADING_SEPARATOR.join(filter(None, (heading, columns)))


def chunks_of(document_id: str, version: int, sections: Sequence[Section], pieces: Iterable[Piece]) -> list[Chunk]:
    """The chunks of one version of a document, numbered from 0."""
    offsets: list[int] = []
    ends: dict[int | None, int] = {}
    for section in sections:
        offsets.append(ends.get(section.page_index, 0))
        ends[section.page_index] = offsets[-1] + len(section.text)
    return [
        Chunk(
            id=ChunkId.of(document_id, version, number),
            document_id=document_id,
            number=number,
            page_index=sections[piece.section].page_index,
            page_label=sections[piece.section].page_label,
            heading=piece.heading,
            record_id=sections[piece.section].record_id,
            start=offsets[piece.section] + piece.start,
            end=offsets[piece.section] + piece.end,
            text=sections[piece.section].text[piece.start : piece.end],
        )
        for number, piece in enumerate(pieces)
    ]


def fitting_title(title: str, token_spans: TokenSpans, limit: int) -> str:
    """`title`, cut at the end until it takes at most half of a chunk of `limit` tokens."""
    while len(token_spans(title)) > (limit - _SPECIAL_TOKENS) // 2:
        title = title[: len(title) * 3 // 4].strip()
    return title


def _fitting_heading(title: str, heading: str, token_spans: TokenSpans, limit: int) -> str:
    """`heading`, cut from the front until it and the title leave room for the text."""
    while heading and len(token_spans(contextual_text(title, heading, ""))) > limit:
        heading = heading[len(heading) // 4 + 1 :].strip()
    return heading


def chunk_spans(text: str, token_spans: TokenSpans, budget: int, overlap: int = 0) -> list[Span]:
    """Spans of at most `budget` tokens that together hold every sentence of `text`; each begins with the last sentences
    of the one before, as many as have at most `overlap` tokens, or with the end of a longer sentence."""
    spans: list[Span] = []
    pieces: list[tuple[Span, int]] = []  # of the last span
    total = 0  # of their tokens
    overlap = min(overlap, budget // 2)
    for span, size in _measured_pieces(text, token_spans, budget, budget - overlap):
        if pieces and total + size <= budget:
            pieces.append((span, size))
            spans[-1] = (spans[-1][0], span[1])
            total += size
        else:
            pieces = [*_repeated(text, pieces, token_spans, min(overlap, budget - size)), (span, size)]
            spans.append((pieces[0][0][0], span[1]))
            total = sum(tokens for _, tokens in pieces)
    return spans


def _repeated(
    text: str, pieces: Sequence[tuple[Span, int]], token_spans: TokenSpans, room: int
) -> list[tuple[Span, int]]:
    """What the next span begins with: the last of these pieces that have at most `room` tokens together."""
    repeated: list[tuple[Span, int]] = []
    for span, size in reversed(pieces):
        if size > room:
            break
        repeated.insert(0, (span, size))
        room -= size
    if pieces and not repeated and room > 0:
        start, end = pieces[-1][0]
        words = [first for first, _ in token_spans(text[start:end])]
        words = [first for first in words[-room:] if text[start + first - 1].isspace()]
        repeated = [((start + words[0], end), room)] if words else []
    return repeated


def _measured_pieces(text: str, token_spans: TokenSpans, budget: int, part: int) -> Iterator[tuple[Span, int]]:
    """The sentences, or parts of at most `part` tokens of one that is too long, each with its number of tokens."""
    for block in _blocks(text, sentence_spans(text)):
        offset = block[0][0]
        starts = [offset + start for start, _ in token_spans(text[offset : block[-1][1]])]
        for start, end in _pieces(text, block, starts, budget, part):
            yield (start, end), bisect.bisect_left(starts, end) - bisect.bisect_left(starts, start)


def _blocks(text: str, sentences: Iterable[Span]) -> Iterator[list[Span]]:
    """Neighbouring sentences of at most `_BLOCK` characters together; a longer sentence is cut."""
    block: list[Span] = []
    for sentence in (part for span in sentences for part in _cut(text, span)):
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
        part = trim(text, (start, border))
        if part[0] < part[1]:
            yield part
        start = border
    yield trim(text, (start, end))


def _pieces(text: str, sentences: Sequence[Span], starts: Sequence[int], budget: int, part: int) -> Iterator[Span]:
    """The sentences; one of more than `budget` tokens in parts of at most `part`, cut before a word."""
    for start, end in sentences:
        first, last = bisect.bisect_left(starts, start), bisect.bisect_left(starts, end)
        rest = start
        while last - first > budget:
            cut = first + part
            while cut > first + 1 and not text[starts[cut] - 1].isspace():
                cut -= 1
            if cut == first + 1:  # one word longer than a chunk
                cut = first + part
            yield trim(text, (rest, starts[cut]))
            rest, first = starts[cut], cut
        yield trim(text, (rest, end))
