"""Who a browser's session belongs to: the principal behind its cookies, and whose requests and messages come with it.

For the data layer, which Chainlit calls without saying for whom, a WebSocket's messages, and all tasks begun for them,
belong to who opened it.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from rag.auth.principals import LOCAL, Principal
from rag.auth.sessions import Sessions
from rag.errors import Unauthorized

if TYPE_CHECKING:
    from chainlit.user import PersistedUser
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
    """Who is behind a session. Raises Unauthorized when it has ended. Blocking, milliseconds."""
    if not services.settings.is_closed:
        return LOCAL
    principal = Sessions(services.catalog.database).principal(session) if session else None
    if principal is None:
        raise Unauthorized("You are not logged in any more.", hint="Reload the page and log in again.")
    return principal


async def current_user(connection: HTTPConnection) -> PersistedUser:
    """The user whom the request's cookies name, as Chainlit knows users: its own look at them asks no row whether the
    session has ended. Raises Unauthorized."""
    from chainlit.user import PersistedUser

    session = chat_session(connection)
    if session is None:
        raise Unauthorized("Nobody is logged in here.", hint="Log in to the chat first.")
    principal = await asyncio.to_thread(principal_of, connection.app.state.services, session)
    return PersistedUser(id=principal.id, createdAt="", identifier=session, display_name=principal.name)


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
