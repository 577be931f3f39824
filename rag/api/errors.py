"""Errors on the wire: OpenAI's envelope, and the short id under which an unforeseen error is logged."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from rag.api.middleware.request_id import current_request_id
from rag.errors import RagError, RateLimited, Unauthorized
from rag.telemetry.spans import note_error

logger = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """What is said of an error; `param` names the field that is wrong."""

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
    status: {"model": ErrorEnvelope, "description": words}
    for status, words in (
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
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message = f"{error.message} {error.hint}".strip()
    param = getattr(error, "param", None)
    return {"error": {"message": message, "type": kind, "param": param, "code": error.code, "hint": error.hint}}


def error_response(error: RagError) -> JSONResponse:
    """An error as an answer."""
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"  # `Basic` would make browsers ask for a password of their own
    return JSONResponse(envelope(error), error.status, headers)


def unknown_error(error: Exception) -> RagError:
    """Log an error nobody foresaw under a short id, and give what the user may see of it."""
    number = current_request_id() or secrets.token_hex(4)
    logger.error("Error %s", number, exc_info=error)
    return RagError("Something went wrong inside Footnote.", hint=f"The log has the details under {number}.")
