"""Numbers for the sources of several answers: each source has one that is its own in all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.types import Passage

_MARKER = re.compile(r"\[(\d{1,3})\]")


class Numbering:
    """Numbers passages from 1, in the order in which it is told of them; the same piece of a page only once."""

    def __init__(self) -> None:
        self._passages: dict[tuple[str, int | None, int, int], Passage] = {}

    @property
    def passages(self) -> tuple[Passage, ...]:
        """All of them, by number."""
        return tuple(self._passages.values())

    def number(self, passage: Passage) -> int:
        """Its number here, whatever it had before."""
        place = (passage.document_id, passage.page_index, passage.start, passage.end)
        if place not in self._passages:
            self._passages[place] = replace(passage, number=len(self._passages) + 1)
        return self._passages[place].number

    def renumbered(self, text: str, passages: Sequence[Passage]) -> str:
        """The text with its markers `[n]`, which cite these passages by their own numbers, as they are here."""
        numbers = {passage.number: passage for passage in passages}

        def renumber(marker: re.Match[str]) -> str:
            passage = numbers.get(int(marker[1]))
            return marker[0] if passage is None else f"[{self.number(passage)}]"

        return _MARKER.sub(renumber, text)
