"""A name for every request: the header `x-request-id` of the answer, under which a log line can be found."""

from __future__ import annotations

import contextvars
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"
_current: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class RequestId:
    """ASGI middleware: gives every HTTP request an id that nobody can guess."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its id back with the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        token = _current.set(request_id)
        try:
            await self._app(scope, receive, named)
        finally:
            _current.reset(token)


def current_request_id() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _current.get()
