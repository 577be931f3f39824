"""The wall around the chat's pages: who may ask, how much may be sent, and what a page may load.

A web page that the user visits elsewhere can send requests to a server on the same machine, and Chainlit's web socket
does not ask where a request comes from. So a request that a browser sends for another site's page is refused, as is one
for a host name that is not ours (DNS rebinding). Pages carry a Content-Security-Policy: even if a document or a model
managed to put an image or a script into an answer, the browser would fetch nothing from another host.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
UPLOAD_PATH = "/project/file"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def content_security_policy(page: str) -> str:
    """The policy for `page`: its own host only; inline scripts by their hash. Chainlit compiles the side panel's
    elements (public/elements) in the browser, hence 'unsafe-eval'."""
    digests = (hashlib.sha256(script.encode()).digest() for script in INLINE_SCRIPT.findall(page))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src 'self' 'unsafe-eval' {hashes}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


class Guard:
    """ASGI middleware for the whole application. `hosts` are the names it answers to besides loopback;
    `max_upload_bytes` bounds one upload, which Chainlit would otherwise read whole before it looks at its size."""

    def __init__(self, app: ASGIApp, *, policy: str, hosts: Collection[str], max_upload_bytes: int) -> None:
        self.app = app
        self.policy = policy
        self.hosts = LOOPBACK | {host.lower() for host in hosts}
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
        elif refusal is not None:
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, self._with_headers(send))

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if (urlsplit(f"//{host}").hostname or "") not in self.hosts:
            return PlainTextResponse("This server does not answer to that host name.\n", 421)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return PlainTextResponse("Requests from other sites are not allowed.\n", 403)
        length = headers.get("content-length", "")
        if scope["path"] == UPLOAD_PATH and length.isdigit() and int(length) > self.max_upload_bytes:
            return PlainTextResponse("The file is too large.\n", 413)
        return None

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Security-Policy", self.policy)
            await send(message)

        return send_with_headers
