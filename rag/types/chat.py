"""Turns of a conversation, the functions that were called in it, and how a model is to pick its words.

Sampling parameters are OpenAI's, and those that local servers add. Functions are OpenAI's too, and nobody calls them
here: a call goes back to the client, who sends what came of it with the next request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, in the OpenAI shape; the caller owns the history.

    `images` are their addresses; a model is shown those that hold the image itself (`data:image/png;base64,…`).
    `tool_calls` are the functions that the assistant called; a message of the role `tool` has what came of the one that
    `tool_call_id` names.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    images: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """All of it as text, the calls too."""
        return "\n".join(filter(None, [self.content, *(f"{call.name}({call.arguments})" for call in self.tool_calls)]))


DEFAULT_MAX_TOKENS = 1024  # of a reply, where nobody says


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of one request; None leaves one to whoever has a default: the settings, then the server.

    `max_tokens` is the longest reply, `stop` texts that end it (they are not part of it), `seed` makes it repeatable
    where the model can. `repetition_penalty` is above 1 to discourage words that were used; the other two penalties are
    OpenAI's, -2 to 2. `top_k` and `repetition_penalty` are unknown to OpenAI itself. `response_format` is OpenAI's:
    `{"type": "json_object"}`, or `json_schema` with a name and a schema; the reply is JSON then. `extra_body` are
    further fields, which only the model's server knows: `reasoning_effort`, `chat_template_kwargs` …
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: Mapping[str, Any] | None = None
    extra_body: Mapping[str, Any] | None = None

    def over(self, defaults: Sampling) -> Sampling:
        """These parameters, and those of `defaults` where there is none."""
        extra_body = {**(defaults.extra_body or {}), **(self.extra_body or {})}
        return replace(defaults, **self.given() | {"extra_body": extra_body or None})

    def given(self) -> dict[str, Any]:
        """Name → value of those that are set."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


UNSPECIFIED = Sampling()

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
