"""Footnotes that do not hang on the model's obedience: a sentence without a marker gets that of its passage.

A small model often answers rightly and cites nothing, or cites the wrong source. While an answer streams, each sentence
is held against the passages (see verification/) as soon as it has ended, and before what follows is passed on: if it
has no marker and a passage bears it out, that passage's marker is put behind it; if its markers are wrong and another
passage bears it out, they are replaced. A sentence that no passage bears out is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from rag.answering.verification.checks import ClaimMatch
from rag.answering.verification.claims import claimed, judge
from rag.answering.verification.evidence import Source
from rag.text.analysis import sentence_spans
from rag.types.documents import Passage

_MARKER = re.compile(r"\[(\d{1,3})\]")
_TERMINAL = frozenset(".!?…。！？")
_WIDE = frozenset("。！？")  # no space follows them
_CLOSING = frozenset("\"'”’»)*_")
_BEHIND = frozenset(" \t[]0123456789")  # what markers and the space around them are made of
_LONGEST = 2_000  # characters; what is longer is no sentence
_LOOKED_BACK = 120  # characters, for where a sentence ended
_FENCE, _TABLE_ROW = "```", "|"


class Attribution:
    """Passes an answer's text on, with the markers put right; `found` has the offsets (in what was passed on) of those
    that Footnote put in.

    Text comes in with markers written `[n]`. What stands behind the end of a sentence is held back until the next one
    begins. A sentence takes some milliseconds a passage when it ends; else `feed` is quick.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._sentence: list[str] = []  # its characters, passed on, since the last end of one
        self._behind: str | None = None  # held, since the sentence may have ended; None within it
        self._in_code = False
        self._length = 0
        self.found: list[int] = []

    def feed(self, text: str) -> str:
        """The text that can be shown after this piece."""
        return "".join(map(self._next, text))

    def flush(self) -> str:
        """What is still held at the end of the answer."""
        return self._ended()

    def _next(self, character: str) -> str:
        behind = self._behind
        if behind is None:
            return self._within(character)
        if character in _BEHIND and (behind or not character.isdigit()):
            self._behind = behind + character
            return ""
        if not behind and (character in _CLOSING or character in _TERMINAL):
            self._sentence.append(character)
            return self._passed(character)
        if character != "\n" and not self._has_ended(f"{behind}{character}"):
            self._sentence.extend(behind)  # as in "e.g. this", "3.5"
            self._behind = None
            return self._passed(behind) + self._within(character)
        return self._ended() + self._within(character)

    def _has_ended(self, following: str) -> bool:
        if not following[0].isspace() and self._sentence[-1] not in _WIDE:
            return following[0] == "["
        return len(sentence_spans("".join(self._sentence[-_LOOKED_BACK:]) + following)) > 1

    def _within(self, character: str) -> str:
        if character == "\n":
            ended = self._ended()
            return ended + self._passed(character)
        self._sentence.append(character)
        self._behind = "" if character in _TERMINAL else None
        return self._passed(character)

    def _ended(self) -> str:
        """What stands behind the sentence that has ended, markers put right."""
        sentence, behind = "".join(self._sentence), self._behind or ""
        self._sentence, self._behind = [], None
        if sentence.lstrip().startswith(_FENCE):
            self._in_code = not self._in_code
        if not self._in_code and not sentence.lstrip().startswith((_TABLE_ROW, _FENCE)):
            number = self._better(sentence, behind)
            if number is not None:
                self.found.append(self._length)
                behind = f" [{number}]{behind[len(behind.rstrip()) :]}"
        return self._passed(behind)

    def _better(self, sentence: str, behind: str) -> int | None:
        """The passage to cite instead of those cited; None where these are right, or no other bears it out."""
        if len(sentence) > _LONGEST:
            return None
        own = [int(number) for number in _MARKER.findall(behind)]
        claim = claimed(sentence, bool(own))
        if not claim or _MARKER.search(sentence):
            return None
        if any(judge(claim, self._sources[number])[0] != "unsupported" for number in own if number in self._sources):
            return None
        supporting = [number for number, source in self._sources.items() if judge(claim, source)[0] == "supported"]
        return max(supporting, key=lambda n: ClaimMatch(claim, self._sources[n]).share, default=None)

    @cached_property
    def _sources(self) -> dict[int, Source]:
        return {passage.number: Source([passage]) for passage in self._passages}

    def _passed(self, text: str) -> str:
        self._length += len(text)
        return text
