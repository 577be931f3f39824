"""Reads server-sent events as model servers stream them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from rag.models.openai.errors import NoJson, ServerError

_DONE = b"[DONE]"
_LONGEST_LINE = 32 << 20  # bytes: an answer in one event, with its log probabilities, has a few
_FIELDS = (b":", b"data", b"event", b"id", b"retry")  # how a line of an event begins


class EventReader:
    """Makes chunks of a reply from the bytes in which they come, however these are cut. `read` makes a chunk of an
    event's data and of its name, if it has one."""

    def __init__(self, read: Callable[[bytes, str], dict[str, Any]]) -> None:
        self.is_done = False  # the server said so
        self._read = read
        self._name = ""  # of the event that has begun
        self._line = bytearray()  # begun
        self._data: list[bytes] = []  # of the event that has begun

    def feed(self, received: bytes) -> Iterator[dict[str, Any]]:
        """The chunks that are whole now. Raises ServerError for what the server reports, NoJson for what is none."""
        self._line += received
        if len(self._line) > _LONGEST_LINE:
            raise NoJson(f"{self._line[:100].decode(errors='replace')}… (a line of more than {_LONGEST_LINE} bytes)")
        if b"\n" not in received:
            return
        *lines, begun = bytes(self._line).split(b"\n")
        self._line = bytearray(begun)
        for place, line in enumerate(lines):
            stripped = line.rstrip(b"\r")
            if stripped.startswith(b"data:"):
                self._data.append(stripped[5:].lstrip(b" "))
            elif stripped.startswith(b"event:"):
                self._name = stripped[6:].strip().decode(errors="replace")
            elif not stripped and self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                self.is_done = self.is_done or data.startswith(_DONE)
                if self.is_done:
                    return
                chunk = self._read(data, self._name)
                self._name = ""
                if chunk:
                    yield chunk
            elif stripped and not stripped.startswith(_FIELDS):
                raise NoJson(b"\n".join([*lines[place:], self._line]).decode(errors="replace"))

    def end(self) -> None:
        """All has come. Raises NoJson where what was left is no line of an event."""
        if not self.is_done and self._line.strip() and not self._line.startswith(_FIELDS):
            raise NoJson(self._line.decode(errors="replace"))


def read_chunk(data: bytes) -> dict[str, Any]:
    """A chunk of a reply, or a whole one; empty for JSON that is no object. Raises ServerError for what the server
    reports, NoJson for what is none."""
    try:
        chunk = orjson.loads(data)
    except ValueError:  # servers send what is none by the letter: NaN, half a character, bytes that are no UTF-8
        chunk = _lenient(data)
    if not isinstance(chunk, dict):
        return {}
    if chunk.get("error"):
        raise ServerError(data.decode(errors="replace"))
    choices = chunk.get("choices")
    if choices and not (isinstance(choices, list) and isinstance(choices[0], dict)):
        raise NoJson(data.decode(errors="replace"))
    return chunk


def _lenient(data: bytes) -> object:
    text = data.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoJson(text) from error
