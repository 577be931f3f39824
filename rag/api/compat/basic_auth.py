"""User and password of RAG_SERVER__OLDER_CLIENTS, without which nothing here answers."""

from __future__ import annotations

import base64
import binascii
import secrets

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection


async def _require_password(connection: HTTPConnection) -> None:
    """Basic auth, compared in constant time. Where users log in, their own names and passwords count, which were looked
    at before (rag/api/middleware/authentication.py)."""
    if connection.app.state.authenticator.is_closed:
        return
    expected = connection.app.state.services.settings.server.older_clients.get_secret_value()
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(credentials, validate=True) if scheme.lower() == "basic" else b""
    except (ValueError, binascii.Error):
        given = b""
    if not secrets.compare_digest(given, expected.encode()):
        raise HTTPException(401, "Wrong user or password.", {"WWW-Authenticate": 'Basic realm="Footnote"'})


BASIC_AUTH = Depends(_require_password)
