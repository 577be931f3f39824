"""The API keys: made for a user, shown once, stored as hashes, revoked."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from rag.auth.passwords import digest, new_key, shown_part
from rag.auth.principals import Principal
from rag.errors import Conflict, NotFound, RagError
from rag.storage import schema
from rag.storage.database import Database, Row
from rag.storage.ids import new_id, now
from rag.storage.rows import insert

logger = logging.getLogger(__name__)

_USE_STEP = timedelta(minutes=1)  # a use is noted so often: a request must not wait for a writer


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key: its beginning, and what it may. `collections` are ids (None: all that the user may).
    Times are ISO 8601, UTC; `used_at` is None before the first use."""

    id: str
    user: str
    name: str
    prefix: str
    collections: tuple[str, ...] | None
    read_only: bool
    created_at: str
    expires_at: str | None
    used_at: str | None


class ApiKeys:
    """The table of API keys. Methods block for milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        user_id: str,
        name: str = "",
        *,
        collections: Sequence[str] | None = None,
        read_only: bool = False,
        lifetime: timedelta | None = None,
    ) -> str:
        """A new key for a user: the secret itself, which cannot be had again."""
        key = new_key()
        expires_at = None if lifetime is None else (datetime.now(UTC) + lifetime).isoformat(timespec="seconds")
        self._database.write(
            insert(schema.keys),
            id=new_id("key"),
            principal_id=user_id,
            name=name,
            prefix=shown_part(key),
            digest=digest(key),
            collections=None if collections is None else json.dumps(list(collections)),
            read_only=read_only,
            created_at=now(),
            expires_at=expires_at,
            used_at=None,
        )
        return key

    def all(self) -> list[ApiKey]:
        """All keys, the oldest first."""
        rows = self._database.read(
            'SELECT k.id, p.name AS "user", k.name, k.prefix, k.collections, k.read_only, k.created_at, '
            "k.expires_at, k.used_at FROM keys k JOIN principals p ON p.id = k.principal_id ORDER BY k.rowid"
        )
        return [_api_key(row) for row in rows]

    def revoke(self, beginning: str) -> ApiKey:
        """Revoke the key that begins so (or has that id); it opens nothing from then on. Raises NotFound, and Conflict
        when several begin so."""
        found = [key for key in self.all() if beginning and (key.prefix.startswith(beginning) or key.id == beginning)]
        if not found:
            raise NotFound(f"There is no key that begins with {beginning!r}.", hint="`rag keys list` shows the keys.")
        if len(found) > 1:
            raise Conflict(f"{len(found)} keys begin with {beginning!r}.", hint="Give more of it, or the key's id.")
        self._database.write("DELETE FROM keys WHERE id = :id", id=found[0].id)
        return found[0]

    def principal(self, key: str) -> Principal | None:
        """Whom a key stands for; None for one that is unknown, revoked or expired."""
        row = self._database.first(
            "SELECT k.id, k.collections, k.read_only, k.used_at, k.principal_id, p.name, p.is_admin FROM keys k "
            "JOIN principals p ON p.id = k.principal_id "
            "WHERE k.digest = :digest AND (k.expires_at IS NULL OR k.expires_at > :now)",
            digest=digest(key),
            now=now(),
        )
        if row is None:
            return None
        self._note_use(row.id, row.used_at)
        limits = None if row.collections is None else frozenset(json.loads(row.collections))
        return Principal(row.principal_id, row.name, bool(row.is_admin), bool(row.read_only), limits, row.id)

    def _note_use(self, key_id: str, used_at: str | None) -> None:
        """Note a use, seldom and in a thread of its own: the request must not wait for another writer."""
        if used_at is not None and datetime.now(UTC) - datetime.fromisoformat(used_at) < _USE_STEP:
            return

        def write() -> None:
            try:
                self._database.write("UPDATE keys SET used_at = :now WHERE id = :id", now=now(), id=key_id)
            except (RagError, SQLAlchemyError) as error:  # closed, or busy for long: the next use will do
                logger.info("the use of a key was not noted: %s", error)

        threading.Thread(target=write, name="key-use", daemon=True).start()


def _api_key(row: Row) -> ApiKey:
    limits = None if row.collections is None else tuple(json.loads(row.collections))
    return ApiKey(**row._asdict() | {"collections": limits, "read_only": bool(row.read_only)})
