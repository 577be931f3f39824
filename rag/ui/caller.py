"""Who sends a request to the chat, for what Chainlit calls without saying for whom: the data layer.

A WebSocket's messages, and all tasks begun for them, belong to who opened it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from rag.ui.login import chat_user, principal_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from rag.auth import Principal
    from rag.services import Services

_user: ContextVar[str | None] = ContextVar("chat_user", default=None)


class KnowCaller:
    """ASGI middleware: remembers the name of who is logged in for as long as a request is handled."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] in ("http", "websocket"):
            _user.set(chat_user(HTTPConnection(scope)))
        await self._app(scope, receive, send)


def calling_principal(services: Services) -> Principal:
    """Who sent the request that is being handled; blocking, milliseconds. Raises Unauthorized."""
    return principal_of(services, _user.get())
