"""Errors as servers tell them that are no OpenAI: `{"error": "a sentence"}`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from rag.api.errors import ERROR_RESPONSES, ErrorEnvelope, invalid_request
from rag.api.json_body import JsonRoute
from rag.errors import RagError, words_for_caller


class PlainError(BaseModel):
    """An error of the route itself; what comes from before it, such as a missing key, is in OpenAI's envelope."""

    error: str


PLAIN_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {**response, "model": PlainError | ErrorEnvelope} for status, response in ERROR_RESPONSES.items()
}


class PlainErrorRoute(JsonRoute):
    """A route whose errors have this form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """JsonRoute's handler, and what it raises as an answer."""
        handle = super().get_route_handler()

        async def handle_errors(request: Request) -> Response:
            try:
                return await handle(request)
            except (RagError, RequestValidationError, ValidationError) as error:
                known = error if isinstance(error, RagError) else invalid_request(error)
                return JSONResponse({"error": " ".join(words_for_caller(known)).strip()}, known.status)

        return handle_errors
