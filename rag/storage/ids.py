"""Ids and times as the catalog keeps them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def now() -> str:
    """The present time, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id(prefix: str) -> str:
    """A fresh unguessable id such as `doc_3f…` (96 random bits)."""
    return f"{prefix}_{secrets.token_hex(12)}"
