"""Measures every request from its first byte to the end of its answer: figures, log line and trace."""

from __future__ import annotations

from asgi_correlation_id import correlation_id
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.auth.principals import Principal
from rag.telemetry.metrics import Telemetry
from rag.telemetry.spans import Recording, recorded_in

_CLIENT_LEFT = 499  # the client went before there was an answer
_NO_ROUTE = "none"


class RequestMetrics:
    """ASGI middleware for HTTP requests. What the route, the principal and the status are is read when it is over."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _CLIENT_LEFT

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        recording = Recording(trace_parent=Headers(scope=scope).get("traceparent", ""))
        try:
            with recorded_in(recording):
                await self._app(scope, receive, send_noting_status)
        finally:
            if status >= 400 and not recording.errors:  # refused by no code of ours
                recording.errors.append(f"http_{status}")
            recording.request_id, recording.principal = correlation_id.get() or "", _principal(scope)
            self._telemetry.finish(recording.end(scope["method"], _template(scope), status))


def _template(scope: Scope) -> str:
    """The route as it was written, with the names of its parameters: what stands in their places is nobody's business,
    and there are many of them."""
    return str(getattr(scope.get("route"), "path", "")) or _NO_ROUTE


def _principal(scope: Scope) -> str:
    """The id of who asks, where that is known."""
    principal: Principal | None = scope.get("state", {}).get("principal")
    return principal.id if principal else ""
