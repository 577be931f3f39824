"""Reads server-sent events as OpenAI-compatible servers stream them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rag.models.openai.errors import ServerError

_DONE = b"[DONE]"


class EventReader:
    """Makes chunks of a reply from the bytes in which they come, however these are cut."""

    def __init__(self) -> None:
        self.is_done = False  # the server said so
        self._line = b""  # begun
        self._data: list[bytes] = []  # of the event that has begun

    def feed(self, received: bytes) -> Iterator[dict[str, Any]]:
        """The chunks that are whole now. Raises ServerError for what the server reports, ValueError for what is no
        JSON."""
        *lines, self._line = (self._line + received).split(b"\n")
        for line in lines:
            stripped = line.rstrip(b"\r")
            if stripped.startswith(b"data:"):
                self._data.append(stripped[5:].lstrip(b" "))
            elif not stripped and self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                self.is_done = self.is_done or data.startswith(_DONE)
                if self.is_done:
                    return
                chunk = json.loads(data)
                if isinstance(chunk, dict):
                    if chunk.get("error"):
                        raise ServerError(data.decode(errors="replace"))
                    yield chunk
