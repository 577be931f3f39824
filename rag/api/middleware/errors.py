"""Unexpected errors become an answer like any other: OpenAI's envelope, and an id under which the log tells more."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.errors import error_response, unknown_error

# So Starlette and its BaseHTTPMiddleware, which Chainlit uses, take it.
_CLIENT_LEFT = ("No response returned.", "Caught handled exception, but response already started.")


class UnexpectedErrors:
    """ASGI middleware for errors that no handler took; after the answer has begun they can only end it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        message_types: set[str] = set()

        async def send_noting(message: Message) -> None:
            message_types.add(message["type"])
            await send(message)

        async def receive_noting() -> Message:
            message = await receive()
            message_types.add(message["type"])
            return message

        try:
            await self._app(scope, receive_noting, send_noting)
        except Exception as error:
            if "http.disconnect" in message_types and str(error) in _CLIENT_LEFT:
                return
            if scope["type"] != "http" or "http.response.start" in message_types:
                raise
            await error_response(unknown_error(error))(scope, receive, send)
