"""What each user chose in the chat's settings, for the next conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rag.database import Database


def preferences(database: Database, owner_id: str) -> dict[str, Any]:
    """What the user chose; blocking, a millisecond."""
    rows = database.read("SELECT settings FROM preferences WHERE owner_id = ?", (owner_id,))
    return dict(json.loads(rows[0][0])) if rows else {}


def put_preferences(database: Database, owner_id: str, settings: Mapping[str, Any]) -> None:
    """Keep what the user chose, instead of what was chosen before; blocking, milliseconds."""
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO preferences (owner_id, settings) VALUES (?, ?) "
            "ON CONFLICT (owner_id) DO UPDATE SET settings = excluded.settings",
            (owner_id, json.dumps(settings, ensure_ascii=False)),
        )
