"""Admits requests that mean work (rag/api/route_policy.py) a few at a time: see rag/concurrency.py."""

from __future__ import annotations

import asyncio
import os

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.route_policy import policy_of
from rag.concurrency import ConcurrencySlot
from rag.telemetry.spans import span

MAX_CONCURRENT = 2 * (os.cpu_count() or 1)  # one is computed while another one waits for a thread, or for the disk


class ConcurrencyLimit:
    """ASGI middleware for HTTP requests.

    A slot is acquired when the whole of the body has come, so that a slow sender keeps nobody waiting, and released
    when a model is asked, or the answer is ready to be sent: a slow reader keeps nobody waiting either.
    """

    def __init__(self, app: ASGIApp, max_concurrent: int = MAX_CONCURRENT) -> None:
        self._app = app
        self._semaphore = asyncio.Semaphore(max_concurrent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; what reads the body gets the last of it when its turn comes."""
        if scope["type"] != "http" or scope["method"] != "POST" or not policy_of(scope).is_limited:
            await self._app(scope, receive, send)
            return
        slot = ConcurrencySlot(self._semaphore)
        has_body = False

        async def receive_in_turn() -> Message:
            nonlocal has_body
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not has_body:
                has_body = True
                with span("admission"):
                    await slot.acquire()
            return message

        async def send_outside(message: Message) -> None:
            if message["type"] == "http.response.start" and not _is_stream(message):
                slot.release()
            await send(message)

        try:
            await self._app(scope, receive_in_turn, send_outside)
        finally:
            slot.release()


def _is_stream(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
