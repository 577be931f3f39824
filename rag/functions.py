"""Functions that a client gives for the model to call, and the calls that come of them: OpenAI's function calling.

Nobody calls them here: a call goes back to the client, who sends what came of it with the next request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

ToolChoice = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; `arguments` are JSON as the model wrote it, which may be wrong."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a call. `index` counts the calls of a reply from 0; `id` and `name` come with a call's first
    piece and are empty in the others."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Functions:
    """What the model may call. `definitions` are OpenAI's: `name`, `description`, `parameters` (a JSON schema) and
    `strict`; they reach the model's server as they are.

    `choice` says whether it may or must call one; `only` names the one that it must. `parallel` is whether it may call
    several at once; None leaves that to the server.
    """

    definitions: tuple[Mapping[str, Any], ...] = ()
    choice: ToolChoice = "auto"
    only: str = ""
    parallel: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.definitions)

    @property
    def may_be_called(self) -> bool:
        """Whether the model is free to call one."""
        return bool(self.definitions) and self.choice != "none"

    @property
    def written(self) -> str:
        """The definitions as text, to count them; empty without any."""
        return json.dumps(self.definitions, ensure_ascii=False) if self.definitions else ""

    def options(self) -> dict[str, Any]:
        """The fields of OpenAI's chat request that say all this; none without definitions."""
        if not self.definitions:
            return {}
        only = {"type": "function", "function": {"name": self.only}}
        told: dict[str, Any] = {
            "tools": [{"type": "function", "function": dict(definition)} for definition in self.definitions],
            "tool_choice": only if self.only else self.choice,
        }
        return told if self.parallel is None else {**told, "parallel_tool_calls": self.parallel}


NO_FUNCTIONS = Functions()


def joined(deltas: Iterable[ToolCallDelta]) -> tuple[ToolCall, ...]:
    """The whole calls, in their order."""
    calls: dict[int, ToolCall] = {}
    for delta in deltas:
        call = calls.get(delta.index, ToolCall("", "", ""))
        calls[delta.index] = replace(
            call, id=call.id or delta.id, name=call.name or delta.name, arguments=call.arguments + delta.arguments
        )
    return tuple(calls[index] for index in sorted(calls))
