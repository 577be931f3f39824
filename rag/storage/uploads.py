"""Uploads in parts, until they are complete: then they are files. Their parts are files whose purpose is the upload."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from rag.errors import Conflict, NotFound
from rag.storage import schema
from rag.storage.database import Database
from rag.storage.ids import new_id, now
from rag.storage.rows import insert
from rag.types.documents import Owned

PREFIX = "upload"  # of the ids, and so of the purpose of parts
MOST_PENDING = 1_000  # uploads of one owner
LIFETIME = timedelta(hours=1)  # from its beginning until it must be complete


@dataclass(frozen=True, slots=True)
class Upload:
    """What is to become a file of `size` bytes, which then stays for `file_seconds` (None: until it is deleted). Times
    are ISO 8601 (UTC)."""

    id: str
    name: str
    purpose: str
    size: int
    file_seconds: int | None
    created_at: str
    expires_at: str
    owned: Owned


def unknown_upload(upload_id: str) -> NotFound:
    """The error for an upload that is not there, or not for who asks."""
    return NotFound(
        f"There is no upload {upload_id!r}.", hint="It is gone an hour after it was begun, and once it is complete."
    )


class Uploads:
    """The table of uploads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, purpose: str, size: int, owned: Owned, file_seconds: int | None) -> str:
        """Begin an upload; its id (`upload_…`). Those whose time is over go. Raises Conflict where too many go on."""
        expires_at = (datetime.now(UTC) + LIFETIME).isoformat(timespec="seconds")
        row = {"id": new_id(PREFIX), "name": name, "purpose": purpose, "size": size, "file_seconds": file_seconds}
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM uploads WHERE expires_at < :now", now=now())
            pending = "SELECT count(*) FROM uploads WHERE owner_id = :owner"
            if connection.execute(pending, owner=owned.owner_id).scalar_one() >= MOST_PENDING:
                raise Conflict(
                    f"{MOST_PENDING} uploads are pending, as many as may be.", hint="Complete or cancel some of them."
                )
            connection.execute(insert(schema.uploads), **row, **asdict(owned), created_at=now(), expires_at=expires_at)
        return str(row["id"])

    def get(self, upload_id: str) -> Upload:
        """An upload that goes on. Raises NotFound."""
        row = self._database.first(
            "SELECT * FROM uploads WHERE id = :id AND expires_at >= :now", id=upload_id, now=now()
        )
        if row is None:
            raise unknown_upload(upload_id)
        values = row._asdict()
        return Upload(owned=Owned(values.pop("owner_id"), values.pop("key_id")), **values)

    def delete(self, upload_id: str) -> None:
        """Delete an upload that is complete or unwanted, not its parts. Raises NotFound."""
        if not self._database.write("DELETE FROM uploads WHERE id = :id", id=upload_id):
            raise unknown_upload(upload_id)
