"""Packing the context: hits become numbered passages that fit the model's real token budget.

Neighbouring chunks of one page become one passage; the text between them is read back from the catalog, so a passage is
always an exact piece of its page. Passages are fenced as data in the prompt; the fence cannot be closed from inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rag.types import Hit, Passage

_FENCE = re.compile(r"[<＜﹤](?=\W{0,20}source)", re.IGNORECASE)  # also with what is invisible, or looks like it

_HARMLESS = str.maketrans({'"': "'", "<": "‹", "＜": "‹", "﹤": "‹"})

PageText = Callable[[str, int | None], str]  # (document id, page index) → the page's extracted text


@dataclass
class _Group:
    """Hits of one page that touch or overlap, growing while passages are collected."""

    hits: list[Hit]

    @property
    def numbers(self) -> set[int]:
        return {hit.chunk.number for hit in self.hits}

    def touches(self, hit: Hit) -> bool:
        mine = self.hits[0].chunk
        same_page = (mine.document_id, mine.page_index) == (hit.chunk.document_id, hit.chunk.page_index)
        return same_page and bool({hit.chunk.number - 1, hit.chunk.number, hit.chunk.number + 1} & self.numbers)


def collect_passages(hits: Sequence[Hit], page_text: PageText, limit: int) -> tuple[Passage, ...]:
    """At most `limit` passages from the best hits, numbered from 1 by their best hit's rank; equal texts only once."""
    groups: list[_Group] = []
    texts: set[str] = set()
    for hit in hits:
        if hit.chunk.text in texts:
            continue
        touching = [group for group in groups if group.touches(hit)]
        if not touching and len(groups) == limit:
            continue
        texts.add(hit.chunk.text)
        if touching:
            touching[0].hits += [hit, *(other for group in touching[1:] for other in group.hits)]
            groups = [group for group in groups if group not in touching[1:]]
        else:
            groups.append(_Group([hit]))
    return tuple(_passage(number, group, page_text) for number, group in enumerate(groups, start=1))


def _passage(number: int, group: _Group, page_text: PageText) -> Passage:
    first = min((hit.chunk for hit in group.hits), key=lambda chunk: chunk.start)
    end = max(hit.chunk.end for hit in group.hits)
    text = first.text
    if len(group.hits) > 1:
        text = page_text(first.document_id, first.page_index)[first.start : end]
        if not text.startswith(first.text):  # the document was replaced a moment ago: its page is another one now
            text = first.text
    best = max(group.hits, key=lambda hit: hit.score)
    return Passage(
        number=number,
        document_id=first.document_id,
        title=best.title,
        source=best.source,
        page_index=first.page_index,
        page_label=first.page_label,
        heading=first.heading,
        start=first.start,
        end=first.start + len(text),
        text=text,
        score=best.score,
    )


def pack_context(
    passages: Sequence[Passage], count_tokens: Callable[[str], int], budget: int
) -> tuple[tuple[Passage, ...], str]:
    """The leading passages that fit into `budget` tokens, and the text that presents them to the model.

    A passage that does not fit whole is left out, with all after it, except the first: that one is cut.
    """
    packed: list[Passage] = []
    blocks: list[str] = []
    for passage in passages:
        block = _fenced(passage)
        cost = count_tokens("\n".join([*blocks, block]))
        if cost > budget:
            break
        packed.append(passage)
        blocks.append(block)
    if passages and not packed:
        beginning = _cut(passages[0], count_tokens, budget)
        if beginning.text:
            return (beginning,), _fenced(beginning)
    return tuple(packed), "\n".join(blocks)


def _fenced(passage: Passage) -> str:
    """The passage between fence lines; what looks like a fence inside is made harmless."""
    place = f", page {passage.page_label}" if passage.page_label else ""
    heading = f", {passage.heading}" if passage.heading else ""
    title = " ".join(f"{passage.title}{place}{heading}".translate(_HARMLESS).split())
    return f'<source {passage.number}: "{title}">\n{_unfence(passage.text)}\n</source {passage.number}>'


def _unfence(text: str) -> str:
    return _FENCE.sub("‹", text)


def _cut(passage: Passage, count_tokens: Callable[[str], int], budget: int) -> Passage:
    """The longest beginning of the passage whose block fits, by bisection; empty if nothing does."""
    low, high = 0, len(passage.text)
    while low < high:
        middle = (low + high + 1) // 2
        if count_tokens(_fenced(replace(passage, text=passage.text[:middle]))) <= budget:
            low = middle
        else:
            high = middle - 1
    return replace(passage, text=passage.text[:low], end=passage.start + low)
