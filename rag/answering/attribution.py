"""Footnotes that do not hang on the model's obedience: a sentence without a marker gets that of its passage.

A small model often answers rightly and cites nothing, or cites the wrong source. While an answer streams, each sentence
is held against the passages (see verification/) as soon as it has ended, and before what follows is passed on: if it
has no marker and a passage bears it out, that passage's marker is put behind it; if the markers at its end are wrong
and another passage bears it out, they are replaced. A sentence that no passage bears out is left as it is, and so are
code, tables and data.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import cached_property

from rag.answering.verification.claims import Sources, better_source, sources_by_number
from rag.text.analysis import sentence_spans
from rag.text.markers import SHAPE, cited_numbers, find_markers
from rag.types.documents import Passage

_TERMINAL = ".!?…。！？"
_WIDE = frozenset("。！？")  # no space follows them
_CLOSING = "\"'”’»)*_"
_STARTS_TAIL = re.compile(rf"[\n\[{_TERMINAL}]")
_OF_TAIL = frozenset(f" \t\n[]{_TERMINAL}{_CLOSING}")
_TAIL = re.compile(
    rf"(?P<before>(?:{SHAPE}[ \t]*)*)(?P<end>[{_TERMINAL}]*[{_CLOSING}]*)"
    rf"(?P<behind>(?:[ \t]*{SHAPE})*)"
)
_LONGEST_TAIL = 200  # characters
_LONGEST_SENTENCE = 2_000  # characters; what is longer is no sentence
_LOOKED_BACK = 120  # characters, for where a sentence ended
_FENCE = "```"
_DATA = re.compile(r"\s*(?:[{<]|\[(?!\d{1,3}\]))")  # JSON or markup: the answer begins with it
_NO_PROSE = re.compile(r"\s*[|{}<]|.*(?: \| |\":)", re.DOTALL)


class Attribution:
    """Passes an answer's text on, with the markers put right; `found` has the offsets (in what was passed on) of those
    that Footnote put in.

    Text comes in with markers written `[n]`. From where a sentence may have ended, it is held back until it is clear
    whether it has. When it has, comparing takes some milliseconds a passage, in a thread.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._sentence: list[str] = []  # what was passed on since the last one ended
        self._tail = ""  # held: marks of the end and markers, perhaps
        self._in_code = False
        self._is_data: bool | None = None  # nobody knows before the first sentence has ended
        self._length = 0
        self.found: list[int] = []

    async def feed(self, text: str) -> str:
        """The text that can be shown after this piece."""
        if not self._tail and not _STARTS_TAIL.search(text):
            self._sentence.extend(text)
            return self._passed(text)
        return "".join([await self._next(character) for character in text])

    async def flush(self, *, is_cut_off: bool = False) -> str:
        """What is still held at the end of the answer; half a sentence, where that is cut off, gets no marker."""
        return self._tail if is_cut_off else await asyncio.to_thread(self._end_sentence)

    async def _next(self, character: str) -> str:
        if not self._tail:
            return self._within(character)
        # A digit is held within brackets alone: it is one of a marker.
        is_held = self._tail.rfind("[") > self._tail.rfind("]") if character.isdigit() else character in _OF_TAIL
        if is_held and len(self._tail) < _LONGEST_TAIL:
            self._tail += character
            return ""
        if self._has_ended(character):
            return await asyncio.to_thread(self._end_sentence, character) + self._within(character)
        tail, self._tail = self._tail, ""  # as in "e.g. this", "3.5", "items[i]"
        self._sentence.append(tail)
        return self._passed(tail) + self._within(character)

    def _within(self, character: str) -> str:
        if _STARTS_TAIL.match(character) and (character != "\n" or self._sentence):
            self._tail = character
            return ""
        self._sentence.append(character)
        return self._passed(character)

    def _has_ended(self, following: str) -> bool:
        """Whether the sentence ends in the tail that is held, seen that `following` comes behind."""
        parts = _parts(self._tail)
        has_mark = any(mark in parts["end"] for mark in _TERMINAL)
        rest = self._tail[parts.end() :]
        if "\n" in rest:
            return has_mark or "\n\n" in rest or not following.islower()
        if not has_mark or parts["behind"] or not _WIDE.isdisjoint(parts["end"]):
            return has_mark
        text = "".join(self._sentence[-_LOOKED_BACK:]) + parts["end"].rstrip("*_") + rest + following
        return bool(rest) and len(sentence_spans(text)) > 1

    def _end_sentence(self, following: str = "") -> str:
        """What was held at the end of the sentence, markers put right; what follows begins the next one."""
        parts = _parts(self._tail)
        rest = self._tail[parts.end() :]
        sentence = "".join(self._sentence)
        before = parts["before"]
        if before and not find_markers(sentence + before):  # as in `items[1].`
            sentence, before = sentence + before, ""
        sentence += parts["end"]
        if self._is_data is None:
            self._is_data = bool(_DATA.match(sentence + self._tail))
        is_fence = _FENCE in sentence
        self._in_code ^= sentence.count(_FENCE) % 2 == 1
        is_prose = not (self._in_code or self._is_data or is_fence or _NO_PROSE.match(sentence))
        number = None
        if is_prose and len(sentence) <= _LONGEST_SENTENCE and not find_markers(sentence):
            cited = cited_numbers(before + parts["behind"])
            number = better_source(sentence, cited, self._sources)
        self._sentence, self._tail = list(rest), ""
        if number is None or not find_markers(f"{sentence} [{number}]{rest}{following}"):
            return self._passed(parts[0] + rest)
        if before:
            self.found.append(self._length)
            return self._passed(f"[{number}]{before[len(before.rstrip()) :]}{parts['end']}{rest}")
        kept = parts["before"] + parts["end"]
        self.found.append(self._length + len(kept))
        return self._passed(f"{kept} [{number}]{rest}")

    @cached_property
    def _sources(self) -> Sources:
        return sources_by_number(self._passages)

    def _passed(self, text: str) -> str:
        self._length += len(text)
        return text


def _parts(tail: str) -> re.Match[str]:
    """The tail's markers and marks; it always matches, if only the empty beginning."""
    match = _TAIL.match(tail)
    assert match is not None
    return match
