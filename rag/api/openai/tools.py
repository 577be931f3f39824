"""Functions and their calls on the wire: as chat completions write them, and as responses do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from rag.errors import InvalidRequest
from rag.types.chat import NO_FUNCTIONS, Functions, ToolCall, ToolCallDelta

MOST_TOOLS = 128


class FunctionDefinition(BaseModel):
    """A function that the model may call; `parameters` is a JSON schema. It reaches the model's server as it is."""

    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(BaseModel):
    """A tool of a chat completion."""

    type: Literal["function"]
    function: FunctionDefinition


class CalledFunction(BaseModel):
    """What is called, with its arguments as JSON."""

    name: str = Field(min_length=1)
    arguments: str = ""


class ChatToolCall(BaseModel):
    """A call in an assistant's message, as it is sent back."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction

    @classmethod
    def of(cls, call: ToolCall) -> ChatToolCall:
        """The call on the wire."""
        return cls(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))

    def to_call(self) -> ToolCall:
        """The call as the engine knows it."""
        return ToolCall(self.id, self.function.name, self.function.arguments)


def functions_of(tools: Sequence[ChatTool] | None, choice: object, parallel: bool | None) -> Functions:
    """What a request says of functions. Raises InvalidRequest for a choice that is none."""
    kind, names = _choice(choice)
    given = {tool.function.name: tool.function.model_dump(exclude_none=True) for tool in tools or ()}
    if names is not None:
        _require(names, given)
    elif kind == "required":
        _require((), given)
    if not given:
        return NO_FUNCTIONS
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        given = {name: given[name] for name in names or ()}
        return Functions(tuple(given.values()), kind, "", parallel)
    return Functions(tuple(given.values()), kind, names[0] if names else "", parallel)


def chat_tools(tools: Iterable[Mapping[str, Any]]) -> list[ChatTool]:
    """The functions among a response's tools, as those of a chat. Raises InvalidRequest where one is not valid."""
    try:
        return [
            ChatTool(type="function", function=FunctionDefinition.model_validate(tool))
            for tool in tools
            if tool.get("type") == "function"
        ]
    except ValueError as error:
        raise InvalidRequest(f"A tool of the type function is not valid: {error}", param="tools") from error


def chat_choice(choice: object) -> object:
    """A response's `tool_choice` as that of a chat: whether the documents are searched is no matter of the model."""
    if not isinstance(choice, Mapping):
        return choice
    if choice.get("type") == "file_search":
        return "none"
    if choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if choice.get("type") == "allowed_tools" and isinstance(choice.get("tools"), list):
        named = [chat_choice(tool) for tool in choice["tools"]]
        functions = [tool for tool in named if tool != "none"]
        allowed = {"mode": choice.get("mode"), "tools": functions}
        return {"type": "allowed_tools", "allowed_tools": allowed} if functions else "none"
    return choice


def called(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """`tool_calls` of a chat's message."""
    return [ChatToolCall.of(call).model_dump() for call in calls]


def called_piece(delta: ToolCallDelta) -> dict[str, Any]:
    """A piece of `tool_calls` in a chunk: id and name come once, the arguments bit by bit."""
    if not delta.id:
        return {"index": delta.index, "function": {"arguments": delta.arguments}}
    function = {"name": delta.name, "arguments": delta.arguments}
    return {"index": delta.index, "id": delta.id, "type": "function", "function": function}


def _choice(choice: object) -> tuple[Literal["auto", "none", "required"], list[str] | None]:
    """How a chat's `tool_choice` leaves the model free, and the names that it mentions, if it does."""
    match choice:
        case None | "auto":
            return "auto", None
        case "none" | "required":
            return choice, None
        case {"type": "function", "function": {"name": str(name)}}:
            return "required", [name]
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [*tools]}}:
            named = [_choice(tool)[1] for tool in tools]
            names = [name for mentioned in named for name in mentioned or ()]
            if names and len(names) == len(tools):
                return mode, names
    raise InvalidRequest(
        "This is no choice of a tool.",
        hint='There are "none", "auto", "required", and one function by its name, among those in `tools`.',
        param="tool_choice",
    )


def _require(names: Sequence[str], given: Mapping[str, Any]) -> None:
    missing = [name for name in names if name not in given]
    if missing or not given:
        what = f"the function {missing[0]!r}" if missing else "a function"
        raise InvalidRequest(
            f"`tool_choice` wants {what}, which is not given.", hint="Add it to `tools`.", param="tool_choice"
        )
