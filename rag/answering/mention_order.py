"""Footnotes numbered as they are read: the passage that an answer mentions first becomes `[1]`, the next one `[2]`.

A model is given its passages by relevance and cites them as it needs them: `[4]`, then `[2]`. Read in that order, the
numbers look as if some were missing. Whenever the answer mentions a passage for the first time, that one and the
passage which has the next number exchange theirs, so that at any moment each passage has one number, and none that was
shown changes: whoever stops reading, or the answer, holds a text that fits the passages told last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from rag.text.markers import MarkerFilter
from rag.types.documents import Passage


class MentionOrder(MarkerFilter):
    """Passes an answer's text on with its markers renumbered; `renumbered` is called with the passages in their new
    order before text is given back whose markers need it."""

    def __init__(self, passages: Sequence[Passage], renumbered: Callable[[tuple[Passage, ...]], None]) -> None:
        self._given = {passage.number: passage for passage in passages}
        super().__init__(list(self._given))
        self._order = sorted(self._given)
        self._mentioned: set[int] = set()
        self._renumbered = renumbered
        self._changes: list[tuple[int, int]] = []  # offsets of groups of markers and how many characters each gained

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages by their present numbers."""
        shown = [replace(passage, number=self.numbers[number]) for number, passage in self._given.items()]
        return tuple(sorted(shown, key=lambda passage: passage.number))

    def shown_offset(self, offset: int) -> int:
        """Where in the text that was passed on stands what came in at `offset`."""
        return offset + sum(gained for start, gained in self._changes if start < offset)

    def _written(self, gap: str, items: list[re.Match[str]], after: str, offset: int) -> str:
        written = super()._written(gap, items, after, offset)
        if gained := len(written) - len(gap) - sum(len(item[0]) for item in items):
            self._changes.append((offset, gained))
        return written

    def _shown(self, numbers: Collection[int]) -> str:
        before = dict(self.numbers)
        for number in numbers:
            if number not in self._mentioned:
                following = self._order[len(self._mentioned)]
                holder = next(other for other, shown in self.numbers.items() if shown == following)
                self.numbers[holder], self.numbers[number] = self.numbers[number], following
                self._mentioned.add(number)
        if self.numbers != before:
            self._renumbered(self.passages)
        return super()._shown(numbers)
