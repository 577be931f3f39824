"""Who may knock: requests must name this machine, browsers must come from our own pages, bodies must be small.

A page on the web can make a visitor's browser send requests to 127.0.0.1 (cross-site requests, DNS rebinding). Both
betray themselves by a foreign `Host` or `Origin`, so these are refused before anything reads the request.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.errors import refuse, status_response
from rag.api.route_policy import policy_of
from rag.settings import LOOPBACK, Settings


class OriginCheck:
    """ASGI middleware for HTTP and WebSocket requests."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        server = settings.server
        self._host_names = LOOPBACK | {server.host, *server.allowed_hosts}
        # Where a key or a log-in is asked for, a foreign name betrays nothing: it comes without them. But a page under
        # a foreign name could send the header in which a proxy names the user.
        self._has_any_host_name = settings.is_closed and not server.allowed_hosts and not settings.auth.user_header
        self._origins = frozenset(origin.rstrip("/") for origin in server.allowed_origins)
        self._request_bytes = server.max_request_kb * 1024
        self._upload_bytes = server.max_upload_mb * 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403 or 413, or pass on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if not self._has_any_host_name and _hostname("//" + headers.get("host", "")) not in self._host_names:
            reason = "This server answers under its own name only. RAG_SERVER__ALLOWED_HOSTS gives it more."
            await _refuse(scope, receive, send, 403, reason)
        elif origin is not None and not self._is_own(origin, headers.get("host", "")):
            await _refuse(scope, receive, send, 403, "This server does not answer to pages of other sites.")
        elif scope["type"] == "http":
            await self._limit_body(scope, headers, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own(self, origin: str, host: str) -> bool:
        if origin in self._origins:
            return True
        return urlsplit(origin).netloc == host and (self._has_any_host_name or _hostname(origin) in self._host_names)

    async def _limit_body(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        limit = self._upload_bytes if policy_of(scope).is_upload else self._request_bytes
        declared = headers.get("content-length", "0")
        received = 0
        too_large = f"The request is larger than {limit // 1024} KB."

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _BodyTooLarge(413, too_large)
            return message

        if not declared.isdigit() or int(declared) > limit:
            await _refuse(scope, receive, send, 413, too_large)
            return
        try:
            await self._app(scope, receive_limited, send)
        except _BodyTooLarge:
            await _refuse(scope, receive, send, 413, too_large)


class _BodyTooLarge(HTTPException):
    """An HTTPException, as FastAPI takes any other one while it reads a body for a body that cannot be parsed."""


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, message: str) -> None:
    await refuse(status_response(status, message), message, scope, receive, send)
