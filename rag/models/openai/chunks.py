"""Reads the chunks of a streamed reply as OpenAI's protocol has them; servers number and name calls of functions
differently, and put thoughts into fields of different names."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rag.types.chat import ToolCallDelta
from rag.types.documents import FinishReason, Usage
from rag.types.models import ModelDelta

_THOUGHTS = ("reasoning_content", "reasoning")  # the fields that have them, of which some servers give both
_OF_TEXT = {"content", "role"}
_REASONS: Mapping[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}  # all else is the end


def model_delta(chunk: Mapping[str, Any], text: str | None, calls: ToolCallReader | None) -> ModelDelta:
    """What a chunk (or a whole reply that is not streamed) says, with the `text` that it brings (None: its own).
    `calls` reads the functions called, where the model was given some."""
    choices, counts = chunk.get("choices"), chunk.get("usage")
    choice = choices[0] if choices else {}
    delta = choice.get("delta") or choice.get("message") or {}
    reason = choice.get("finish_reason")
    content, thoughts = _parts(delta.get("content"))
    return ModelDelta(
        content if text is None else text,
        _REASONS.get(reason, "stop") if reason else None,
        Usage(counts.get("prompt_tokens") or 0, counts.get("completion_tokens") or 0) if counts else None,
        calls=calls.feed(delta.get("tool_calls")) if calls else (),
        thoughts=next((value for name in _THOUGHTS if isinstance(value := delta.get(name), str) and value), thoughts),
    )


def plain_text(chunk: Mapping[str, Any]) -> str:
    """The text of a chunk that brings nothing but text, as most do; empty for any other."""
    choices = chunk.get("choices")
    choice = choices[0] if choices and not chunk.get("usage") else {}
    delta = choice.get("delta") or {}
    content = delta.get("content")
    if (
        not isinstance(content, str)
        or choice.get("finish_reason")
        or any(delta[name] for name in delta.keys() - _OF_TEXT)
    ):
        return ""
    return content


def _parts(content: object) -> tuple[str, str]:
    """The text and the thoughts of a delta's `content`; Mistral's server gives both as a list of parts."""
    if not isinstance(content, list):
        return str(content or ""), ""
    texts, thoughts = [], []
    for part in content:
        if not isinstance(part, Mapping):
            continue
        if part.get("type") == "thinking":
            thoughts += [str(inner.get("text") or "") for inner in part.get("thinking") or ()]
        else:
            texts.append(str(part.get("text") or ""))
    return "".join(texts), "".join(thoughts)


class ToolCallReader:
    """Makes the pieces of one reply uniform: calls are numbered from 0 without gaps, each has an id, and id and name
    come once.

    Some servers repeat both in every piece, some give no id, and some give every call the same number.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []  # as the client sees them
        self._server_ids: list[str] = []  # as the server told them
        self._places: dict[int, int] = {}  # the server's number → ours

    def feed(self, pieces: object) -> tuple[ToolCallDelta, ...]:
        """The pieces in `delta.tool_calls` of a chunk; what is none is passed over."""
        if not isinstance(pieces, Sequence):
            return ()
        return tuple(self._piece(piece) for piece in pieces if isinstance(piece, Mapping))

    def _piece(self, piece: Mapping[str, Any]) -> ToolCallDelta:
        function = piece.get("function")
        fields = function if isinstance(function, Mapping) else {}
        name, arguments, call_id = (
            str(value or "") for value in (fields.get("name"), fields.get("arguments"), piece.get("id"))
        )
        index = piece.get("index")
        number = index if isinstance(index, int) else self._without_number(call_id, name)
        place = self._places.get(number)
        if place is not None and not (call_id and self._server_ids[place] and call_id != self._server_ids[place]):
            return ToolCallDelta(place, arguments=arguments)
        self._places[number] = len(self._ids)
        self._server_ids.append(call_id)
        self._ids.append(call_id or f"call_{uuid.uuid4().hex[:24]}")
        return ToolCallDelta(len(self._ids) - 1, self._ids[-1], name, arguments)

    def _without_number(self, call_id: str, name: str) -> int:
        """A piece without a number begins a call when it has an id or a name, else it goes on with the last one."""
        last = max(self._places, default=-1)
        return last + 1 if call_id or name or last < 0 else last
