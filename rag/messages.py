"""One turn of a conversation, with the functions that were called in it or what one of them gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rag.functions import ToolCall


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, in the OpenAI shape; the caller owns the history.

    `tool_calls` are the functions that the assistant called; a message of the role `tool` has what came of the one that
    `tool_call_id` names.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def written(self) -> str:
        """All of it as text, the calls too."""
        return "\n".join(filter(None, [self.content, *(f"{call.name}({call.arguments})" for call in self.tool_calls)]))
