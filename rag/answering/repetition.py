"""Loops: a model that writes the same again and again is stopped, and the third time is not shown.

Two signs: a sentence that was written twice before, wherever (so a run of several sentences, too); and a run of words
that comes three times without anything between. Code, tables and data repeat rightly, and are not looked at.
"""

from __future__ import annotations

import re
from collections import Counter

from rag.text.marker_context import extended_line

_FEWEST_WORDS = 4  # of a sentence: a shorter one may be said often
_TIMES = 3
_GRAM = 5  # words by which a run is known again
_SHORT_RUN = 20  # words that a run of fewer than _GRAM must have repeated
_LONGEST_RUN = 300  # words, and of a sentence
_IDEOGRAPH = "\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af"  # a word each
_WORD = rf"[^\W{_IDEOGRAPH}]+"
_TOKEN = re.compile(rf"[{_IDEOGRAPH}]|{_WORD}|(?<![.!?…])[.!?…]++(?=\s)|[。！？]+|\n|[^\w\n]")
_ENDS = frozenset(".!?…。！？")
_UNDECIDED = re.compile(rf"(?:{_WORD}|[.!?…]+)\Z")  # the next piece may go on with it
_NO_PROSE = re.compile(r"\s*(?:\||[{}\[<]|[\"'][^\"'\n]{1,80}[\"']\s*:)|.* \| ", re.DOTALL)
_FENCE = re.compile(r"\s*(?:```|~~~)")
_MARKER = re.compile(r"\[\d{1,3}\]")


class RepetitionGuard:
    """Passes a text on while it streams, until it repeats itself for the third time: then `is_loop` is True, and
    nothing more is passed on. What may become the third time is held back."""

    def __init__(self) -> None:
        self.is_loop = False
        self._piece = ""  # what the next piece may go on with
        self._shown = 0  # characters of it that are passed on already
        self._held: list[str] = []
        self._line = ""
        self._in_code = False
        self._sentence: list[str] = []  # words
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._begun: set[tuple[str, ...]] = set()  # beginnings of sentences that came twice
        self._words: list[str] = []
        self._places: dict[tuple[str, ...], int] = {}  # of the last word of a run of _GRAM words
        self._period = 0
        self._repeated = 0  # words that are those of one period before

    def feed(self, text: str) -> str:
        """The text that can be shown after this piece."""
        if self.is_loop:
            return ""
        text = self._piece + text
        undecided = _UNDECIDED.search(text, max(0, len(text) - 80))
        border = undecided.start() if undecided else len(text)
        shown = self._passed(text[:border])
        self._piece = text[border:]
        if not self._piece or self.is_loop or self._may_repeat or self._next_may_repeat:
            return shown
        begun, self._shown = self._piece[self._shown :], len(self._piece)
        return shown + begun

    def flush(self) -> str:
        """What is still held at the end of the text."""
        if self.is_loop:
            return ""
        shown = self._passed(self._piece + "\n")[:-1] if self._piece else ""
        shown += "".join(self._held).removesuffix("\n")
        self._held.clear()
        return "" if self.is_loop else shown

    def _passed(self, text: str) -> str:
        parts: list[str] = []
        for token in _TOKEN.findall(text):
            self._held.append(token[self._shown :])
            self._shown = max(0, self._shown - len(token))
            self._take(token)
            if self.is_loop:
                break
            if not self._may_repeat:
                parts += self._held
                self._held.clear()
        return "".join(parts)

    @property
    def _may_repeat(self) -> bool:
        in_sentence = 0 < len(self._sentence) <= _LONGEST_RUN and tuple(self._sentence) in self._begun
        return in_sentence or (self._period > 0 and self._repeated > self._wanted // 2)

    @property
    def _next_may_repeat(self) -> bool:
        return bool(self._begun and not self._sentence) or (self._period > 0 and self._repeated >= self._wanted // 2)

    @property
    def _wanted(self) -> int:
        """How many words must be those of one period before, for a third time."""
        wanted = (_TIMES - 1) * self._period
        return wanted if self._period >= _GRAM else max(wanted, _SHORT_RUN)

    def _take(self, part: str) -> None:
        if part == "\n":
            self._end_line()
        elif part[0].isalnum() or part[0] == "_":
            self._line = extended_line(self._line, part)
            self._take_word(part.casefold())
        else:
            self._line = extended_line(self._line, part)
            if part[0] in _ENDS:
                self._end_sentence()

    def _end_line(self) -> None:
        if _FENCE.match(self._line):
            self._in_code = not self._in_code
            self._start_anew()
        elif self._in_code or _NO_PROSE.match(self._line):
            self._start_anew()
        else:
            is_heading = bool(self._sentence)  # no mark has ended it
            self._end_sentence()
            if is_heading and not self.is_loop:  # under another one the same may rightly be said
                self._counts.clear()
                self._begun.clear()
        self._line = ""

    def _start_anew(self) -> None:
        self._sentence, self._words, self._period, self._repeated = [], [], 0, 0
        self._places.clear()

    def _take_word(self, word: str) -> None:
        if self._in_code or self._line.lstrip().startswith(("|", "{", "```", "~~~")):
            return
        is_list_mark = not self._sentence and len(word) <= 2  # a year is none
        if word.isdigit() and (is_list_mark or _MARKER.search(f"{self._line[-4:]}]")):
            return  # of a list or a marker
        self._sentence.append(word)
        self._words.append(word)
        place = len(self._words) - 1
        if self._period and word == self._words[place - self._period]:
            self._repeated += 1
        else:
            self._period = self._repeated = 0
        gram = tuple(self._words[-_GRAM:])
        if not self._period and place - self._places.get(gram, -_LONGEST_RUN) < _LONGEST_RUN:
            self._period, self._repeated = place - self._places[gram], _GRAM
        self._places[gram] = place
        has_letters = any(part.isalpha() for part in gram)
        self.is_loop = self._period > 0 and has_letters and self._repeated >= self._wanted

    def _end_sentence(self) -> None:
        sentence, self._sentence = tuple(self._sentence), []
        if not _FEWEST_WORDS <= len(sentence) <= _LONGEST_RUN or self._in_code or _NO_PROSE.match(self._line):
            return
        self._counts[sentence] += 1
        if self._counts[sentence] == _TIMES - 1:
            self._begun.update(sentence[:length] for length in range(1, len(sentence) + 1))
        self.is_loop = self.is_loop or self._counts[sentence] >= _TIMES
