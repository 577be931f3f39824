"""Admits requests to the API that mean work, those with a body, a few at a time: see rag/concurrency.py."""

from __future__ import annotations

import asyncio
import os
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.concurrency import ConcurrencySlot
from rag.telemetry.spans import span

AT_ONCE = 2 * (os.cpu_count() or 1)  # one is computed while another one waits for a thread, or for the disk
_WORK = re.compile(r"/(v1|api)/(?!files$).*")  # an upload takes as long as who sends it; pages never wait in line
_EVENTS = b"text/event-stream"


class ConcurrencyLimit:
    """ASGI middleware for HTTP requests.

    A place is taken when the whole of the body has come, so that who sends slowly keeps nobody waiting, and given up
    when a model is asked, or the answer is ready to be sent: who reads slowly keeps nobody waiting either.
    """

    def __init__(self, app: ASGIApp, at_once: int = AT_ONCE) -> None:
        self._app = app
        self._places = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; what reads the body gets the last of it when its turn comes."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _WORK.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        place = ConcurrencySlot(self._places)
        is_whole = False

        async def received() -> Message:
            nonlocal is_whole
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not is_whole:
                is_whole = True
                with span("admission"):
                    await place.take()
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and not _is_stream(message):
                place.give_up()
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            place.give_up()


def _is_stream(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(_EVENTS) for name, value in message["headers"])
