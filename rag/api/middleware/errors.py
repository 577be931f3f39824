"""What nobody foresaw becomes an answer like any other: OpenAI's envelope, and an id under which the log tells more."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.errors import envelope, unknown_error

# So Starlette and its BaseHTTPMiddleware, which Chainlit uses, take it.
_CLIENT_LEFT = ("No response returned.", "Caught handled exception, but response already started.")


class UnexpectedErrors:
    """ASGI middleware for errors that no handler took; after the answer has begun they can only end it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        has_begun = has_left = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        async def received() -> Message:
            nonlocal has_left
            message = await receive()
            has_left = has_left or message["type"] == "http.disconnect"
            return message

        try:
            await self._app(scope, received, noted)
        except Exception as error:
            if has_left and str(error) in _CLIENT_LEFT:
                return
            if scope["type"] != "http" or has_begun:
                raise
            await JSONResponse(envelope(unknown_error(error)), 500)(scope, receive, send)
