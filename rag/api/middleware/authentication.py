"""Lets in who may come in: finds the principal of every request, and counts it.

Only routes that are declared public (rag/api/route_policy.py) are left to themselves: what the chat serves has a log-in
of its own (rag/ui/login.py), and the command line's routes a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.errors import error_response, refuse
from rag.api.route_policy import policy_of
from rag.auth.authenticator import Authenticator
from rag.auth.principals import LOCAL, Principal
from rag.errors import RagError, Unauthorized, set_caller

_LOGIN = "/login"  # the chat's own, which answers a wrong password with 401
_PRINCIPAL = "principal"

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

# The session of the chat that the request's cookies name; None for none.
ChatSession = Callable[[HTTPConnection], str | None]


class Authentication:
    """ASGI middleware for HTTP and WebSocket requests."""

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
        connection = HTTPConnection(scope)
        access = policy_of(scope).access
        is_closed = self._authenticator.is_closed
        set_caller(runs_footnote=not is_closed)
        try:
            if access == "public":
                await self._prepare_public(connection)
            else:
                principal = await self._principal(connection, with_session=access == "session")
                scope["state"][_PRINCIPAL] = principal
                if is_closed:
                    set_caller(runs_footnote=principal.runs_footnote)
                    send = _uncached(send)
        except RagError as error:
            await refuse(error_response(error), error.message, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _prepare_public(self, connection: HTTPConnection) -> None:
        if connection.scope["path"] == _LOGIN and connection.scope.get("method") == "POST":
            self._authenticator.count_attempt(_address(connection))
        elif self._authenticator.user_header:
            await self._in_thread(self._drop_foreign_session, connection)

    async def _principal(self, connection: HTTPConnection, *, with_session: bool) -> Principal:
        authorization = connection.headers.get("authorization", "")
        if not authorization and not self._authenticator.is_closed:
            return LOCAL
        header = self._authenticator.user_header
        if not authorization and header and (name := connection.headers.get(header)):
            return await self._in_thread(self._by_trusted_name, name)
        if not authorization and with_session:
            return await self._in_thread(self._by_cookie, connection)
        return await self._in_thread(self._authenticator.by_header, authorization, _address(connection))

    async def _in_thread(self, work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _by_trusted_name(self, name: str) -> Principal:
        principal = self._authenticator.by_trusted_name(name)
        if principal is None:
            raise Unauthorized(f"There is no user {name!r} here.", hint="`rag users add NAME` adds one.")
        return self._authenticator.counted(principal)

    def _drop_foreign_session(self, connection: HTTPConnection) -> None:
        """Where a proxy names the user, a cookie of somebody else, who used this browser before, counts for nothing."""
        principal = self._principal_of_session(connection)
        if principal is not None and principal.name != connection.headers.get(self._authenticator.user_header):
            headers = connection.scope["headers"]
            connection.scope["headers"] = [(name, value) for name, value in headers if name != b"cookie"]

    def _principal_of_session(self, connection: HTTPConnection) -> Principal | None:
        chat_session: ChatSession | None = getattr(connection.app.state, "chat_session", None)
        session = chat_session(connection) if chat_session is not None else None
        return self._authenticator.sessions.principal(session) if session else None

    def _by_cookie(self, connection: HTTPConnection) -> Principal:
        principal = self._principal_of_session(connection)
        if principal is None:
            raise Unauthorized("Nobody is logged in here.", hint="Log in to the chat first.")
        return self._authenticator.counted(principal)


async def authenticate_again(connection: HTTPConnection) -> None:
    """For a connection that stays: look whether its key still holds, and count what it asks. Raises Unauthorized,
    RateLimited."""
    authenticator: Authenticator = connection.app.state.authenticator
    authorization = connection.headers.get("authorization", "")
    if authenticator.is_closed and authorization:
        await asyncio.to_thread(authenticator.by_header, authorization, _address(connection))


def principal_of(connection: HTTPConnection) -> Principal:
    """Who sent the request."""
    principal = getattr(connection.state, _PRINCIPAL)
    assert isinstance(principal, Principal)
    return principal


def _uncached(send: Send) -> Send:
    """No cache between here and the user may keep what is only for them."""

    async def send_uncached(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private, no-store")
        await send(message)

    return send_uncached


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""
