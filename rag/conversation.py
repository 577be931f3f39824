"""A conversation taken apart: what was said before, the question, and the functions called for it so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import InvalidRequest
from rag.functions import Functions
from rag.types import LanguageModel, Message


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns without system messages. `steps` come after the question: the model's calls, and what they gave."""

    history: tuple[Message, ...]
    question: Message
    steps: tuple[Message, ...] = ()


def taken_apart(messages: Sequence[Message]) -> Conversation:
    """Raises InvalidRequest when there is no question, or when calls of functions and what they gave do not match."""
    turns = [message for message in messages if message.role != "system"]
    _check_calls(turns)
    place = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=-1)
    history, steps = turns[:place], turns[place + 1 :]
    if place < 0 or not turns[place].content.strip() or (steps and steps[-1].role != "tool"):
        raise InvalidRequest(
            "There is no question.",
            hint="The last message must be the user's and hold text, or be what a function gave.",
            param="messages",
        )
    return Conversation(tuple(history), turns[place], tuple(steps))


def require_functions(model: LanguageModel, messages: Sequence[Message], functions: Functions) -> None:
    """Raises InvalidRequest where functions are given, or were called, and the model knows of none."""
    was_called = any(message.tool_calls or message.role == "tool" for message in messages)
    if model.calls_functions or not (functions or was_called):
        return
    raise InvalidRequest(
        f"{model.name} cannot call functions.",
        hint="Leave them out, or ask a model that can, behind an OpenAI-compatible server (vLLM, Ollama …).",
        param="tools" if functions else "messages",
    )


def _check_calls(turns: Sequence[Message]) -> None:
    """Whether every call is followed by what it gave, before anybody says anything else."""
    waiting: list[str] = []
    for turn in turns:
        if turn.role == "tool":
            if turn.tool_call_id not in waiting:
                raise InvalidRequest(
                    f"What a function gave answers no call: {turn.tool_call_id!r}.",
                    hint="Send the assistant's message with its calls, then one message a call with its id.",
                    param="messages",
                )
            waiting.remove(turn.tool_call_id)
        elif waiting:
            break
        waiting += [call.id for call in turn.tool_calls]
    if waiting:
        raise InvalidRequest(
            f"It is missing what these calls of functions gave: {', '.join(waiting)}.",
            hint="After the assistant's calls comes one message of the role `tool` for each.",
            param="messages",
        )
