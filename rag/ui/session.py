"""Who a browser's session belongs to: the principal behind its cookies, and whose requests and messages come with it.

Chainlit makes a folder of a session's name, and removes that when the session ends. A name such as `../..` would remove
another one, so only those are let in that the page really makes. For the data layer, which Chainlit calls without
saying for whom, a WebSocket's messages, and all tasks begun for them, belong to who opened it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.requests import HTTPConnection

from rag.auth.principals import LOCAL, Principal
from rag.auth.users import Users
from rag.errors import Unauthorized

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from rag.operations.services import Services


def chat_session(connection: HTTPConnection) -> str | None:
    """The session that the request's cookies name; None for none."""
    from chainlit.auth import decode_jwt, get_token_from_cookies
    from jwt import InvalidTokenError

    token = get_token_from_cookies(connection.cookies)
    try:
        return str(decode_jwt(token).identifier) if token else None
    except InvalidTokenError:
        return None


def principal_of(services: Services, session: str | None) -> Principal:
    """Who is behind a session. Raises Unauthorized when there is no such user any more, or the password was changed."""
    if not services.settings.is_closed:
        return LOCAL
    principal = Users(services.catalog.database).of_session(session) if session else None
    if principal is None:
        raise Unauthorized("You are not logged in any more.", hint="Reload the page and log in again.")
    return principal


_session: ContextVar[str | None] = ContextVar("chat_session", default=None)


class CallerContext:
    """ASGI middleware: remembers the session of who is logged in for as long as a request is handled."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] in ("http", "websocket"):
            _session.set(chat_session(HTTPConnection(scope)))
        await self._app(scope, receive, send)


def calling_session() -> str:
    """The session that sent the request; empty for none."""
    return _session.get() or ""


def calling_principal(services: Services) -> Principal:
    """Who sent the request that is being handled; blocking, milliseconds. Raises Unauthorized."""
    return principal_of(services, _session.get())


def refuse_odd_sessions() -> None:
    """Put a look at the session's name before Chainlit's own handler of new connections. Call it once Chainlit may be
    imported."""
    import chainlit.socket  # noqa: F401  (adds the handlers)
    from chainlit.server import sio
    from socketio.exceptions import ConnectionRefusedError as Refused

    connect = sio.handlers["/"]["connect"]

    async def connect_if_named(sid: str, environ: dict[str, Any], auth: dict[str, Any]) -> Any:
        if not _is_uuid(auth.get("sessionId") if isinstance(auth, dict) else None):
            raise Refused("the session's name is none of the page's")
        return await connect(sid, environ, auth)

    sio.on("connect", connect_if_named)


def _is_uuid(name: object) -> bool:
    try:
        return str(UUID(str(name))) == name
    except ValueError:
        return False
