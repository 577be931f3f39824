"""What a reasoning model thinks before its answer: told apart from the answer, and turned off for helper calls.

Thoughts come in fields of their own (rag/models/openai/chunks.py), or in the text, in tags whose opening one may lack
because the chat template has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from rag.models.chat_template import template_tokens
from rag.types.documents import Message
from rag.types.models import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Iterable

_END = "</think>"
_TAGS = {
    "<think>": _END,
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",  # Magistral
}
# How models begin to think whose chat template has opened the thoughts already, in lower case.
_OPENINGS = (
    *("okay", "ok, ", "ok so ", "alright", "hmm", "let me ", "let's ", "we need to ", "i need to ", "we are asked"),
    *("we are given", "first, i ", "wait, "),
)

# Ways to have a reply without thoughts, in the order in which they are tried; at last the thoughts get room.
NO_THINKING: Mapping[str, Any] = {  # Qwen's word for it and DeepSeek's; OpenAI's and Ollama's
    "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
    "reasoning_effort": "none",
}
_SOFT_SWITCH = "/no_think"  # Qwen 3, SmolLM 3
WAYS = 2
_LONGEST_MARGIN = 1_000  # characters of white space before a reply's first word
_ROOM = 2048  # tokens


def without_thinking(
    model: LanguageModel, messages: Sequence[Message], options: Mapping[str, Any]
) -> tuple[list[Message], dict[str, Any]]:
    """The request as it asks for a reply without thoughts, in the first way that has not failed with this model; where
    all have, with room for the thoughts as far as the model's window has it."""
    given = options.get("extra_body") or {}
    template = {**(given.get("chat_template_kwargs") or {}), **NO_THINKING["chat_template_kwargs"]}
    changed = {**options, "extra_body": {**given, **NO_THINKING, "chat_template_kwargs": template}}
    turns = list(messages)
    failed = model.thoughts.failed_ways
    if failed == 1 and turns[-1].role == "user":
        turns[-1] = replace(turns[-1], content=f"{turns[-1].content}\n\n{_SOFT_SWITCH}")
    elif failed >= WAYS and "max_tokens" in options:
        taken = sum(model.count_tokens(message.written) for message in turns) + template_tokens(len(turns))
        left = model.context_window - taken - options["max_tokens"]
        changed["max_tokens"] += max(min(_ROOM, left), 0)
    return turns, changed


def note_thoughts(model: LanguageModel, failed_ways: int) -> None:
    """The model has thought though it was asked not to, in the way that comes after so many which had failed."""
    model.thoughts.failed_ways = max(model.thoughts.failed_ways, min(failed_ways + 1, WAYS))


def after_thoughts(text: str) -> str:
    """A whole reply, or a message that a client sends back, without the thoughts before it, though nobody saw them
    begin."""
    leading = LeadingThoughts(are_unopened=False)
    shown = leading.feed(text)[1] + leading.flush()[1]
    return shown if any(tag in shown for tag in _TAGS) else shown.rpartition(_END)[2].lstrip()


class LeadingThoughts:
    """Takes the thoughts from the beginning of a reply, however it is cut into pieces.

    `are_unopened` says whether the thoughts come without the opening tag: of the model as far as that is known before,
    then of this reply, where it tells. `retracts` is whether the piece that was fed last has shown that all text
    before it was thoughts."""

    def __init__(self, are_unopened: bool | None) -> None:
        self.are_unopened = are_unopened
        self.retracts = False
        self._held = ""  # not told yet: what may become a tag, or thoughts
        self._pieces: list[str] = []  # before it, of what may be thoughts
        self._end = _END
        self._place: Literal["start", "inside", "perhaps inside", "behind", "reply"] = "start"
        self._is_watched = True  # a reply that has no thoughts as yet
        self._last = ""  # of that reply, where a tag may have begun

    def feed(self, text: str) -> tuple[str, str]:
        """The thoughts and the text that can be told now that `text` has come."""
        self.retracts = False
        if self._place == "reply":
            return self._watched(text)
        self._held += text
        thoughts = ""
        if self._place == "perhaps inside" and self._end not in self._held:  # of which only the end may become a tag
            self._pieces.append(self._held[: -len(self._end)])
            self._held = self._held[-len(self._end) :]
            return "", ""
        if self._place == "start":
            self._begin(self._held.lstrip())
        if self._place in ("inside", "perhaps inside"):
            before, end, behind = self._held.partition(self._end)
            if end:
                before, self._pieces = "".join([*self._pieces, before]), []
                self.are_unopened = True if self._place == "perhaps inside" else self.are_unopened
                thoughts, self._held, self._place = before, behind, "behind"
            elif self._place == "inside":
                thoughts, self._held = self._held[: 1 - len(self._end)], self._held[1 - len(self._end) :]
        if self._place == "behind":
            return thoughts, self._behind()
        if self._place in ("start", "inside", "perhaps inside"):
            return thoughts, ""
        return self._watched(self._release())

    def flush(self, *, is_cut_off: bool = False) -> tuple[str, str]:
        """Thoughts and text that were held back; call it when the reply has ended. A reply that was cut off tells
        nothing of the model: it may have been within its thoughts."""
        if self._place == "perhaps inside" and (self._held or self._pieces):
            if is_cut_off and self.are_unopened:
                self._place = "inside"
            elif not is_cut_off:
                self.are_unopened = False
        held = self._release()
        if self._place == "inside":
            return held, ""
        self._place = "reply" if held else self._place  # what comes yet, if anything
        return "", held

    def _begin(self, begun: str) -> None:
        if not begun and len(self._held) > _LONGEST_MARGIN:
            self._place = "reply"
            return
        opening = next((tag for tag in _TAGS if begun.startswith(tag)), "")
        if opening:
            self._place, self._held, self._end = "inside", begun.removeprefix(opening), _TAGS[opening]
        elif not _may_become(begun, _TAGS):
            words = begun.lower().replace("’", "'")
            if self.are_unopened or (self.are_unopened is None and words.startswith(_OPENINGS)):
                self._place = "perhaps inside"
            elif self.are_unopened is not None or not _may_become(words, _OPENINGS):
                self._place = "reply"

    def _behind(self) -> str:
        """What can be told of what is held, which comes after the thoughts."""
        self._held = self._held.lstrip()
        if not self._held:
            return ""
        self._place, self._is_watched = "reply", False
        return self._release()

    def _watched(self, text: str) -> tuple[str, str]:
        """A piece of a reply without thoughts; where a line of it is the closing tag, all before that was thoughts."""
        watched = self._last + text
        before, end, behind = watched.partition(f"\n{_END}") if self._is_watched else (text, "", "")
        if not end or behind[:1].strip():
            self._last = watched[-len(_END) :]
            return "", text
        self.retracts = self.are_unopened = True
        self._place, self._held = "behind", behind
        return before[len(self._last) :], self._behind()

    def _release(self) -> str:
        released, self._held, self._pieces = "".join([*self._pieces, self._held]), "", []
        return released


def _may_become(begun: str, wholes: Iterable[str]) -> bool:
    return any(whole.startswith(begun) for whole in wholes)
