"""Lets in who may come in: finds the principal of every request to the API, and counts it.

What the chat serves has a log-in of its own (rag/ui/login.py), and the command line's routes a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.errors import error_response
from rag.auth.authenticator import Authenticator
from rag.auth.principals import LOCAL, Principal
from rag.errors import RagError, RateLimited, Unauthorized

_API = ("/v1", "/mcp", "/docs", "/openapi.json", "/documents", "/library/", "/api", "/metrics", "/project/file")
_FOR_BROWSERS = ("/documents/", "/library/", "/project/file")  # what pages of ours ask for
_LOGIN = "/login"  # the chat's own, which answers a wrong password with 401
_PRINCIPAL = "principal"

# The session of the chat that the request's cookies name; None for none.
ChatSession = Callable[[HTTPConnection], str | None]


class Authentication:
    """ASGI middleware for HTTP and WebSocket requests to the API."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator
        # its own threads: those of the searches may all be busy for long
        self._threads = ThreadPoolExecutor(2, "authentication")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the principal, or refuse with 401 or 429."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["path"] == _LOGIN and scope.get("method") == "POST":
            await self._log_in(scope, receive, send)
            return
        if not scope["path"].startswith(_API):
            if self._authenticator.user_header:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, self._drop_foreign_session, scope)
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._principal(HTTPConnection(scope))
        except RagError as error:
            await _refuse(error, scope, receive, send)
            return
        scope.setdefault("state", {})[_PRINCIPAL] = principal
        await self._app(scope, receive, _unshared(send) if self._authenticator.is_closed else send)

    async def _principal(self, connection: HTTPConnection) -> Principal:
        authorization = connection.headers.get("authorization", "")
        if not authorization and not self._authenticator.is_closed:
            return LOCAL
        loop = asyncio.get_running_loop()
        header = self._authenticator.user_header
        if not authorization and header and (name := connection.headers.get(header)):
            return await loop.run_in_executor(self._threads, self._vouched, name)
        if not authorization and connection.scope["path"].startswith(_FOR_BROWSERS):
            return await loop.run_in_executor(self._threads, self._by_cookie, connection)
        return await loop.run_in_executor(
            self._threads, self._authenticator.by_header, authorization, _address(connection)
        )

    def _vouched(self, name: str) -> Principal:
        principal = self._authenticator.vouched(name)
        if principal is None:
            raise Unauthorized(f"There is no user {name!r} here.", hint="`rag users add NAME` adds one.")
        self._authenticator.count(principal)
        return principal

    async def _log_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._authenticator.count_attempt(_address(HTTPConnection(scope)))
        except RateLimited as error:
            await _refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _drop_foreign_session(self, scope: Scope) -> None:
        """Where a proxy names the user, a cookie of somebody else, who used this browser before, counts for nothing."""
        connection = HTTPConnection(scope)
        principal = self._of_session(connection)
        if principal is not None and principal.name != connection.headers.get(self._authenticator.user_header):
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]

    def _of_session(self, connection: HTTPConnection) -> Principal | None:
        chat_session: ChatSession | None = getattr(connection.app.state, "chat_session", None)
        session = chat_session(connection) if chat_session is not None else None
        return self._authenticator.by_session(session) if session else None

    def _by_cookie(self, connection: HTTPConnection) -> Principal:
        principal = self._of_session(connection)
        if principal is None:
            raise Unauthorized("Nobody is logged in here.", hint="Log in to the chat first.")
        self._authenticator.count(principal)
        return principal


async def authenticate_again(connection: HTTPConnection) -> None:
    """For a connection that stays: look whether its key still holds, and count what it asks. Raises Unauthorized,
    RateLimited."""
    authenticator: Authenticator = connection.app.state.authenticator
    authorization = connection.headers.get("authorization", "")
    if authenticator.is_closed and authorization:
        await asyncio.to_thread(authenticator.by_header, authorization, _address(connection))


def principal_of(connection: HTTPConnection) -> Principal:
    """Who sent the request."""
    found = getattr(connection.state, _PRINCIPAL)
    assert isinstance(found, Principal)
    return found


def _unshared(send: Send) -> Send:
    """No cache between here and the user may keep what is only for them."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private, no-store")
        await send(message)

    return sent


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


async def _refuse(error: RagError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.message})
        return
    await error_response(error)(scope, receive, send)
