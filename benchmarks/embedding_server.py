"""An embedding server that embeds nothing and takes its time over it, for the measurement of who asks it.

    python -m benchmarks.embedding_server PORT TEXTS_A_SECOND     0: as fast as it can

It works on one request after the other, as a GPU does, and gives each text the same vector of 384 numbers.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from typing import Any

import numpy as np
import uvicorn

DIMENSION = 384
_VECTOR = base64.b64encode(np.full(DIMENSION, DIMENSION**-0.5, dtype="<f4").tobytes()).decode()


class Server:
    """Answers `/v1/embeddings`, and says of everything else that it is not there."""

    def __init__(self, texts_a_second: float) -> None:
        self._seconds_a_text = 1 / texts_a_second if texts_a_second else 0.0
        self._is_free_at = 0.0
        self._replies: dict[int, bytes] = {}  # by the number of texts

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """An ASGI application."""
        body, is_whole = b"", False
        while not is_whole:
            message = await receive()
            body += message.get("body", b"")
            is_whole = not message.get("more_body")
        status, reply = 404, b"{}"
        if scope["path"] == "/v1/embeddings":
            count = len(json.loads(body)["input"])
            self._is_free_at = max(self._is_free_at, time.monotonic()) + count * self._seconds_a_text
            await asyncio.sleep(self._is_free_at - time.monotonic())
            status, reply = 200, self._replies.setdefault(count, _reply(count))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": reply})


def _reply(count: int) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": _VECTOR} for index in range(count)]
    return json.dumps({"object": "list", "data": data, "model": "steady"}).encode()


if __name__ == "__main__":
    uvicorn.run(
        Server(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", lifespan="off"
    )
