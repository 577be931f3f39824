"""What a proxy tells of a request (its client's address, the protocol, who is logged in) counts where the request comes
from a declared one: anybody else could write into these headers what they like."""

from __future__ import annotations

from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rag.settings import Settings


class TrustedProxies:
    """ASGI middleware; it goes before all that asks where a request comes from."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        proxies = [str(proxy) for proxy in settings.server.trusted_proxies]
        self._app: Any = ProxyHeadersMiddleware(cast("Any", app), proxies)
        self._user_header = settings.auth.user_header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, without the header that names the user if it is not a declared proxy's: one that is there twice came
        from the client, too."""
        if self._user_header and scope["type"] in ("http", "websocket"):
            others = [(name, value) for name, value in scope["headers"] if name != self._user_header]
            address = (scope.get("client") or ("",))[0]
            if len(scope["headers"]) - len(others) != 1 or address not in self._app.trusted_hosts:
                scope["headers"] = others
        await self._app(scope, receive, send)
