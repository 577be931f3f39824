"""What is known of uploaded files; their bytes are in blobs.py.

Bytes are shared, records are not: whoever deletes or lets expire an upload touches no other one. What was uploaded for
its own sake has a purpose and stays until it is deleted; what came with a chat can be had as long as its document is
there, and the same bytes under the same name are one such file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from rag.errors import NotFound
from rag.storage import schema
from rag.storage.database import Database, Row
from rag.storage.ids import new_id, now
from rag.storage.paging import Cursor, Page
from rag.storage.rows import insert
from rag.types.documents import Owned

_IS_NEEDED = (
    "(f.purpose <> '' OR EXISTS (SELECT 1 FROM documents d WHERE d.file_id = f.id) OR EXISTS "
    "(SELECT 1 FROM jobs j WHERE j.file_id = f.id AND j.state IN ('queued', 'running')))"
)
_IS_LISTED = "purpose <> '' AND substr(purpose, 1, 7) <> 'upload_'"  # parts of uploads (uploads.py) are not
_COLUMNS = "id, name, size, sha256, purpose, created_at, expires_at, owner_id, key_id"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """An uploaded file; `size` in bytes, times in ISO 8601 (UTC), `expires_at` None where it stays."""

    id: str
    name: str
    size: int
    sha256: str
    purpose: str
    created_at: str
    expires_at: str | None
    owned: Owned


def unknown_file(file_id: str) -> NotFound:
    """The error for a file that is not there, or not for who asks."""
    return NotFound(f"There is no file {file_id!r}.", hint="`ingest jobs` lists the uploads.")


class FileRecords:
    """The table of uploaded files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, name: str, sha256: str, size: int, owned: Owned, purpose: str = "", expires_at: str | None = None
    ) -> str:
        """Record a file; its id (`file_…`). Without a purpose, that of a known one of the same owner with these bytes
        and this name."""
        with self._database.transaction() as connection:
            row = {"sha256": sha256, "name": name, **asdict(owned)}
            if not purpose and (
                known := connection.execute(
                    "SELECT id FROM files WHERE sha256 = :sha256 AND name = :name AND owner_id = :owner_id "
                    "AND key_id = :key_id AND purpose = ''",
                    **row,
                ).scalar()
            ):
                return str(known)
            row |= {"id": new_id("file"), "size": size, "created_at": now()}
            connection.execute(insert(schema.files), **row, purpose=purpose, expires_at=expires_at)
            return str(row["id"])

    def get(self, file_id: str) -> FileRecord:
        """A file that can be had. Raises NotFound."""
        record = self.find(file_id)
        if record is None or (record.expires_at is not None and record.expires_at < now()):
            raise unknown_file(file_id)
        if not record.purpose and not self._database.read("SELECT 1 FROM documents WHERE file_id = :id", id=file_id):
            raise unknown_file(file_id)
        return record

    def find(self, file_id: str) -> FileRecord | None:
        """What is known of a file, also of one that has expired or whose document is gone."""
        row = self._database.first(f"SELECT {_COLUMNS} FROM files WHERE id = :id", id=file_id)
        return None if row is None else _record(row)

    def needed(self) -> set[str]:
        """The hashes of all bytes that are needed: by a document, by a job that is not over, or for their own sake."""
        return {row.sha256 for row in self._database.read(f"SELECT DISTINCT f.sha256 FROM files f WHERE {_IS_NEEDED}")}

    def is_needed(self, sha256: str) -> bool:
        """Whether these bytes are needed."""
        statement = f"SELECT 1 FROM files f WHERE f.sha256 = :sha256 AND {_IS_NEEDED} LIMIT 1"
        return bool(self._database.read(statement, sha256=sha256))

    def expired(self) -> list[FileRecord]:
        """The files whose time is over."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE expires_at < :now", now=now())
        return [_record(row) for row in rows]

    def page(self, owner_id: str, key_id: str | None, cursor: Cursor, purpose: str | None) -> Page[FileRecord]:
        """The wanted files of an owner (`key_id` None: with whatever key they came) that stay, in order of their
        upload. Raises NotFound when the cursor's id is none of them."""
        is_own = "owner_id = :owner AND key_id = coalesce(:key, key_id)"
        where, order, values = cursor.clauses(
            ["rowid"],
            lambda file_id: self._database.read(
                f"SELECT rowid FROM files WHERE id = :id AND {is_own}", id=file_id, owner=owner_id, key=key_id
            ),
        )
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM files WHERE {is_own} AND {_IS_LISTED} AND purpose = coalesce(:purpose, purpose) "
            f"AND (expires_at IS NULL OR expires_at >= :now) AND {where} {order}",
            owner=owner_id,
            key=key_id,
            purpose=purpose,
            now=now(),
            **values,
        )
        return cursor.page([_record(row) for row in rows])

    def of_purpose(self, purpose: str) -> list[FileRecord]:
        """All files of a purpose, as the parts of an upload are."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE purpose = :purpose", purpose=purpose)
        return [_record(row) for row in rows]

    def delete(self, file_id: str) -> None:
        """Delete a file of which there is no document, with its jobs."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE file_id = :id", id=file_id)
            connection.execute("DELETE FROM files WHERE id = :id", id=file_id)


def _record(row: Row) -> FileRecord:
    values = row._asdict()
    return FileRecord(owned=Owned(values.pop("owner_id"), values.pop("key_id")), **values)
