"""Conversations for chat templates that want strictly alternating turns, or that know no system message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.types.documents import Message

Turn = dict[str, Any]
_ABOUT_ROLES = re.compile(
    r"roles must alternate|only user and assistant roles|system role not supported", re.IGNORECASE
)
_SINGLE = re.compile(r"[\x00-\x08\x0e-\x1b\x21-\x40\x5b-\x60\x7b-\x7f]")  # ASCII, neither letter nor space
TURN_TOKENS = 8  # what a chat template adds around every earlier turn, however short


def template_tokens(messages: int) -> int:
    """What a chat template adds at most to a conversation of so many messages, where nobody can be asked."""
    return 64 + TURN_TOKENS * max(messages - 2, 0)


def estimate_tokens(text: str) -> int:
    """Tokens of `text`, where nobody can be asked, rather too many than too few: some models spend one on each digit
    and sign, and one on three bytes of anything else."""
    single = len(_SINGLE.findall(text))
    return (len(text.encode(errors="replace")) - single) // 3 + single + 1


def to_turns(messages: Sequence[Message]) -> list[Turn]:
    """Messages as OpenAI's protocol has them: text, calls of functions, and what came of them."""
    return [_turn(message) for message in messages]


def _turn(message: Message) -> Turn:
    turn: Turn = {"role": message.role, "content": message.content}
    if message.images:
        shown = [{"type": "image_url", "image_url": {"url": address}} for address in message.images]
        turn["content"] = [{"type": "text", "text": message.content}, *shown]
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def merge_turns(turns: Sequence[Turn]) -> list[Turn]:
    """Neighbouring turns of the same role as one, a blank line between them; calls and their results stay apart."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].keys() == turn.keys() == {"role", "content"} and merged[-1]["role"] == turn["role"]:
            merged[-1] = {"role": turn["role"], "content": _merged(merged[-1]["content"], turn["content"])}
        else:
            merged.append(dict(turn))
    return merged


def _merged(first: str | list[Turn], second: str | list[Turn]) -> str | list[Turn]:
    """Two contents as one: a text, or parts where images are among them."""
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    parts = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in (first, second)]
    return [*parts[0], *parts[1]]


def is_about_roles(text: str) -> bool:
    """Whether a chat template, or who uses it, refuses a conversation for its system message."""
    return bool(_ABOUT_ROLES.search(text))


def fold_system(turns: Sequence[Turn]) -> list[Turn]:
    """The same conversation without a system turn: its text stands at the head of the first user turn."""
    return merge_turns([{**turn, "role": "user"} if turn["role"] == "system" else turn for turn in turns])
