"""The sessions of the chat: begun by a log-in, ended by a log-out, stored as hashes.

A session holds as long as its row is there, in every process at the next request. So whatever ends one deletes it:
its user logs out, here or everywhere; an admin does that for them; the password is changed; the user is deleted.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from rag.auth.passwords import digest
from rag.auth.principals import Principal
from rag.storage import schema
from rag.storage.database import Connection, Database
from rag.storage.ids import now
from rag.storage.rows import insert

LIFETIME = timedelta(days=15)  # however often the session is used


class Sessions:
    """The table of sessions. Methods block for milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, user_id: str) -> str:
        """A new session of a user: its token, of which nothing but a hash is kept. Those that are over are deleted."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sessions WHERE expires_at <= :now", now=now())
            connection.execute(
                insert(schema.sessions),
                digest=digest(token),
                principal_id=user_id,
                created_at=now(),
                expires_at=(datetime.now(UTC) + LIFETIME).isoformat(timespec="seconds"),
            )
        return token

    def principal(self, token: str) -> Principal | None:
        """Whose session that is; None for one that is unknown, ended or over."""
        row = self._database.first(
            "SELECT p.id, p.name, p.is_admin FROM sessions s JOIN principals p ON p.id = s.principal_id "
            "WHERE s.digest = :digest AND s.expires_at > :now",
            digest=digest(token),
            now=now(),
        )
        return None if row is None else Principal(row.id, row.name, bool(row.is_admin))

    def end(self, token: str) -> None:
        """End a session, if it is one."""
        self._database.write("DELETE FROM sessions WHERE digest = :digest", digest=digest(token))

    def end_all(self, user_id: str) -> int:
        """End all sessions of a user; how many there were."""
        with self._database.transaction() as connection:
            return end_sessions(connection, user_id)


def end_sessions(connection: Connection, user_id: str, kept: str = "") -> int:
    """End all sessions of a user, but for the one with the token `kept`; how many there were."""
    return connection.execute(
        "DELETE FROM sessions WHERE principal_id = :id AND digest <> :kept", id=user_id, kept=digest(kept)
    ).rowcount
