"""Errors on the wire: OpenAI's envelope, and the short id under which an unforeseen error is logged."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from asgi_correlation_id import correlation_id
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rag.errors import InvalidRequest, RagError, RateLimited, Unauthorized, words_for_caller
from rag.storage.unwritable import unwritable
from rag.telemetry.spans import note_error

logger = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """An error; `param` names the field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None
    hint: str = ""


class ErrorEnvelope(BaseModel):
    """Every error on the wire."""

    error: ErrorBody


# What any route may answer, for the schema.
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorEnvelope, "description": description}
    for status, description in (
        (400, "The request cannot be served; `param` names the field."),
        (401, "No key, or a wrong one."),
        (403, "Not from here, or not with this key."),
        (404, "There is no such thing, or not for you."),
        (409, "The present state does not allow it."),
        (413, "The body is too large."),
        (422, "A document cannot be read."),
        (429, "Too many requests."),
        (500, "Something went wrong inside."),
        (502, "The model server failed."),
        (503, "The model server does not answer."),
    )
}


def envelope(error: RagError) -> dict[str, object]:
    """An error as OpenAI's clients know it; the hint is part of the message, and a field."""
    note_error(error.code)
    message, hint = words_for_caller(error)
    body = _body(error.status, f"{message} {hint}".strip(), getattr(error, "param", None), error.code)
    return {"error": {**body, "hint": hint}}


def error_response(error: RagError) -> JSONResponse:
    """An error as an answer."""
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"  # `Basic` would make browsers ask for a password of their own
    return JSONResponse(envelope(error), error.status, headers)


async def on_rag_error(_: Request, error: Exception) -> JSONResponse:
    """An error that a route raised as an answer."""
    assert isinstance(error, RagError)
    return error_response(error)


async def on_validation_error(_: Request, error: Exception) -> JSONResponse:
    """A body that is not what a route takes, as an answer."""
    assert isinstance(error, RequestValidationError)
    return error_response(invalid_request(error))


def invalid_request(error: RequestValidationError | ValidationError) -> InvalidRequest:
    """The first thing that is wrong with a body."""
    first = error.errors()[0]
    is_json = first["type"] != "json_invalid"  # else the location is an offset in the text
    field = ".".join(str(part) for part in first["loc"] if part != "body") if is_json else ""
    return InvalidRequest(f"{field or 'The body'}: {first['msg']}.", param=field or None)


def status_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error that is no more than an HTTP status and a message."""
    return JSONResponse({"error": _body(status, message)}, status, headers)


async def refuse(response: Response, reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an HTTP request with that; a WebSocket is closed for that reason."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
    else:
        await response(scope, receive, send)


def unknown_error(error: Exception) -> RagError:
    """Log an error nobody foresaw under a short id, and give what the user may see of it."""
    error_id = correlation_id.get() or secrets.token_hex(4)
    logger.error("Error %s", error_id, exc_info=error)
    return unwritable(error) or RagError(
        "Something went wrong inside Footnote.", hint=f"The log has the details under {error_id}."
    )


def _body(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, object]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"message": message, "type": kind, "param": param, "code": code}
