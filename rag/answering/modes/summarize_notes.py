"""Notes that a model takes of documents too long for its window, each with the pages it rests on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag.answering.generation import PreparedQuestion, longest_reply, reply
from rag.answering.modes.plan import Numbering
from rag.answering.prompt_budget import Prompt, fit_prompt
from rag.answering.prompts import FROM_NOTES, FROM_SOURCES, NOTES, SHORTER_NOTES, SUMMARIZE
from rag.errors import InvalidRequest
from rag.text.analysis import sentence_spans, terms
from rag.text.markers import MarkerFilter, cited_numbers
from rag.types.documents import Message, Passage, Usage
from rag.types.models import LanguageModel

_NOTHING = "NOTHING"
_MOST_SOURCES = 999  # of a prompt: a footnote's number has three digits
_SHARE = 12  # a note is at most this part of the window: the notes of nine full windows fit into one
_SHORTEST, _LONGEST = 32, 1024  # tokens of a note
_WORDS_PER_TOKEN = 0.6
_BORNE_OUT = 0.5  # share of a sentence's words that a passage must have to be cited for it
_ROOMY = 3  # a prompt is fitted from so many windows of text, as `count_tokens` counts: too much, and not far too much


@dataclass(frozen=True, slots=True)
class Note:
    """A text whose markers `[n]` cite `passages` by their numbers, and what it cost; empty if there was nothing."""

    text: str
    passages: tuple[Passage, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class NoteTaker:
    """Makes the prompts of a summary, each as full as the window allows, and has notes taken.

    `prepared` has the model and the caller's instructions, `question` is what is to be written. Methods that make
    prompts block, and raise InvalidRequest where the window is too small for any.
    """

    prepared: PreparedQuestion
    question: str

    def last_prompt_of_pages(self, passages: Sequence[Passage]) -> Prompt | None:
        """What has the text written from all pages at once; None where they do not fit."""
        some = self._first(deque(passages))
        if len(some) < len(passages):
            return None
        try:
            prompt = self._fit(self._last_rules(FROM_SOURCES), some, self._longest_answer)
        except InvalidRequest:
            return None
        return prompt if prompt.passages == tuple(some) else None

    def batches(self, passages: Sequence[Passage]) -> list[Prompt]:
        """What has notes taken of all passages, in their order; a passage that does not fit is cut in two."""
        rules = NOTES.format(words=self._words, nothing=_NOTHING)
        prompts = []
        left = deque(passages)
        while left:
            some = self._first(left)
            prompts.append(self._fit(rules, some, self._note_tokens))
            for packed in prompts[-1].passages:
                passage = left.popleft()
                if packed.end < passage.end:
                    left.appendleft(replace(passage, start=packed.end, text=passage.text[len(packed.text) :]))
        return prompts

    def last_prompt_of_notes(self, notes: Sequence[Note]) -> Prompt | None:
        """What has the text written from all notes; None where they do not fit."""
        return self._of_notes(self._last_rules(FROM_NOTES), notes, self._longest_answer)

    def groups(self, notes: Sequence[Note]) -> list[Prompt | Note]:
        """What has the notes made shorter, as many as fit at a time; a note that is left over stays as it is.

        Raises InvalidRequest when no two fit."""
        grouped: list[Prompt | Note] = []
        left = list(notes)
        while left:
            taken, prompt = 1, None
            while taken < len(left) and (more := self._shortening(left[: taken + 1])):
                taken, prompt = taken + 1, more
            grouped.append(prompt or replace(left[0], usage=Usage(0, 0)))
            left = left[taken:]
        if len(grouped) == len(notes):
            model = self.model
            raise InvalidRequest(
                f"There is too much to read for {model.name}, which reads {model.context_window} tokens at once.",
                hint="Summarise fewer documents or pages, or use a model with a larger context window.",
                param="messages",
            )
        return grouped

    async def take(self, prompt: Prompt | Note) -> Note:
        """The note that the model takes; one that is there already comes as it is. Raises BackendError."""
        if isinstance(prompt, Note):
            return prompt
        written = await reply(self.model, prompt.messages, prompt.max_tokens)
        return _note(written.text, prompt.passages, written.usage)

    @property
    def model(self) -> LanguageModel:
        """Who takes the notes."""
        return self.prepared.model

    @property
    def _longest_answer(self) -> int:
        return longest_reply(self.model, self.prepared.sampling)

    @property
    def _note_tokens(self) -> int:
        return min(max(self.model.context_window // _SHARE, _SHORTEST), _LONGEST)

    @property
    def _words(self) -> int:
        return int(self._note_tokens * _WORDS_PER_TOKEN)

    def _last_rules(self, material: str) -> str:
        return "\n\n".join(filter(None, [self.prepared.instructions, SUMMARIZE.format(material=material)]))

    def _shortening(self, notes: Sequence[Note]) -> Prompt | None:
        return self._of_notes(SHORTER_NOTES.format(words=self._words), notes, self._note_tokens)

    def _of_notes(self, rules: str, notes: Sequence[Note], max_tokens: int) -> Prompt | None:
        joined, passages = _joined(notes)
        if len(passages) > _MOST_SOURCES:
            return None
        try:
            prompt = self._fit(f"{rules}\n\n{joined}", (), max_tokens)
        except InvalidRequest:
            return None
        return replace(prompt, passages=passages)

    def _first(self, passages: deque[Passage]) -> list[Passage]:
        """More of the first passages than fit into a prompt, or all of them; numbered from 1."""
        some: list[Passage] = []
        tokens = 0
        for passage in passages:
            if len(some) == _MOST_SOURCES or tokens > _ROOMY * self.model.context_window:
                break
            some.append(replace(passage, number=len(some) + 1))
            tokens += self.model.count_tokens(passage.text)
        return some

    def _fit(self, rules: str, passages: Sequence[Passage], max_tokens: int) -> Prompt:
        return fit_prompt(self.model, rules, [Message("user", self.question)], passages, max_tokens)


def _note(text: str, passages: Sequence[Passage], usage: Usage) -> Note:
    """What a model wrote of these passages: with those it cites."""
    markers = MarkerFilter([passage.number for passage in passages])
    text = (markers.feed(text) + markers.flush()).strip()
    if text.strip(".*\"'").upper() == _NOTHING:
        return Note("", (), usage)
    if not cited_numbers(text):
        text = _cited(text, passages)
    cited = set(cited_numbers(text))
    return Note(text, tuple(passage for passage in passages if passage.number in cited), usage)


def _cited(text: str, passages: Sequence[Passage]) -> str:
    """The text of a model that forgot to cite: behind each sentence the passage that has most of its words."""
    words = {passage.number: set(terms(passage.text)) for passage in passages}
    parts, last = [], 0
    for start, end in sentence_spans(text):
        claimed = set(terms(text[start:end]))
        number = max(words, key=lambda number: len(claimed & words[number]))
        marker = f" [{number}]" if len(claimed & words[number]) > len(claimed) * _BORNE_OUT else ""
        parts.append(text[last:end] + marker)
        last = end
    return "".join(parts) + text[last:]


def _joined(notes: Sequence[Note]) -> tuple[str, tuple[Passage, ...]]:
    """The notes as one text, and its passages, numbered from 1 in the order in which it cites them."""
    numbering = Numbering()
    texts = [numbering.renumbered(note.text, note.passages) for note in notes]
    return "\n\n".join(texts), numbering.passages
