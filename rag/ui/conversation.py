"""What was said in one chat: turns of question and answer, and the messages the engine is given of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.types import Message

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer (what there was of it, if it was stopped); `id` is that of the user's message."""

    id: str
    question: str
    answer: str


def before(turns: Sequence[Turn], message_id: str) -> list[Turn]:
    """The turns before that message: all, unless it is an earlier question that was edited."""
    ids = [turn.id for turn in turns]
    return list(turns[: ids.index(message_id)] if message_id in ids else turns)


def messages(turns: Sequence[Turn], question: str) -> list[Message]:
    """The conversation in the OpenAI shape, ending with `question`; a turn that was stopped before its first word is
    left out."""
    history = [
        message
        for turn in turns
        if turn.answer
        for message in (Message("user", turn.question), Message("assistant", turn.answer))
    ]
    return [*history, Message("user", question)]
