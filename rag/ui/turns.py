"""The turns of one chat, a question and its answer each: kept with the messages, and as the engine is given them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag.storage.feedback import passage_id
from rag.types.documents import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.storage.conversations import Step
    from rag.types.documents import Citation, Passage


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer (what there was of it, if it was stopped); `id` is that of the user's message."""

    id: str
    question: str
    answer: str


def turns_before(turns: Sequence[Turn], message_id: str) -> list[Turn]:
    """The turns before that message: all, unless it is an earlier question that was edited."""
    ids = [turn.id for turn in turns]
    return list(turns[: ids.index(message_id)] if message_id in ids else turns)


def conversation_messages(turns: Sequence[Turn], question: str) -> list[Message]:
    """The conversation in the OpenAI shape, ending with `question`; a turn that was stopped before its first word is
    left out."""
    history = [
        message
        for turn in turns
        if turn.answer
        for message in (Message("user", turn.question), Message("assistant", turn.answer))
    ]
    return [*history, Message("user", question)]


def turn_metadata(question_id: str, answer: str | None, passages: Iterable[Passage | Citation]) -> dict[str, Any]:
    """What is kept with a message of the answer: its text as the engine is to be given it (None where another message
    of the turn has that), and the ids of the passages that were read for it."""
    metadata = {"question": question_id, "passages": [passage_id(passage) for passage in passages]}
    return metadata if answer is None else {**metadata, "answer": answer}


def documents_read(metadata: Mapping[str, Any]) -> list[str]:
    """The ids of the documents that a message with this metadata may quote."""
    return sorted({passage.partition(":")[0] for passage in metadata.get("passages", [])})


def turns_of(steps: Iterable[Step]) -> list[Turn]:
    """The turns of a kept conversation; of several answers to a question the last one counts."""
    turns: dict[str, Turn] = {}
    for step in steps:
        metadata = step.body.get("metadata") or {}
        if step.type == "user_message":
            turns[step.id] = Turn(step.id, step.text, "")
        elif "answer" in metadata and metadata.get("question") in turns:
            question_id = metadata["question"]
            turns[question_id] = replace(turns[question_id], answer=metadata["answer"])
    return list(turns.values())


def nested(steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chainlit's steps, each with those that are parts of it, as the page shows them. The page would nest them by
    itself, but in a time that grows with the third power of their number."""
    by_id: dict[str, dict[str, Any]] = {step["id"]: {**step} for step in steps}
    roots: list[dict[str, Any]] = []
    for step in by_id.values():
        parent = by_id.get(step.get("parentId") or "")
        (roots if parent is None else parent.setdefault("steps", [])).append(step)
    return roots
