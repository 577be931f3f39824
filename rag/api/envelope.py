"""Errors on the wire: OpenAI's envelope, and the short id under which an unforeseen error is logged."""

from __future__ import annotations

import logging
import secrets

from rag.api.request_id import current_request_id
from rag.errors import RagError

logger = logging.getLogger(__name__)


def envelope(error: RagError) -> dict[str, object]:
    """An error as OpenAI's clients know it; the hint is part of the message, and a field."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message = f"{error.message} {error.hint}".strip()
    param = getattr(error, "param", None)
    return {"error": {"message": message, "type": kind, "param": param, "code": error.code, "hint": error.hint}}


def unknown_error(error: Exception) -> RagError:
    """Log an error nobody foresaw under a short id, and give what the user may see of it."""
    number = current_request_id() or secrets.token_hex(4)
    logger.error("Error %s", number, exc_info=error)
    return RagError("Something went wrong inside Footnote.", hint=f"The log has the details under {number}.")
