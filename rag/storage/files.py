"""What is known of uploaded files; their bytes are in files.py.

Bytes are shared, records are not: whoever deletes or lets expire an upload touches no other one. What was uploaded for
its own sake has a purpose and stays until it is deleted; what came with a chat can be had as long as its document is
there, and the same bytes under the same name are one such file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag.errors import NotFound
from rag.storage.catalog import new_id, now
from rag.storage.database import Database
from rag.storage.places import find_place
from rag.types.documents import Owned

_IS_NEEDED = (
    "(f.purpose <> '' OR EXISTS (SELECT 1 FROM documents d WHERE d.file_id = f.id) OR EXISTS "
    "(SELECT 1 FROM jobs j WHERE j.file_id = f.id AND j.state IN ('queued', 'running')))"
)
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
            same = "SELECT id FROM files WHERE sha256 = ? AND name = ? AND owner_id = ? AND key_id = ? AND purpose = ''"
            wanted = (sha256, name, owned.owner_id, owned.key_id)
            known = None if purpose else connection.execute(same, wanted).fetchone()
            if known is not None:
                return str(known[0])
            file_id = new_id("file")
            connection.execute(
                f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (file_id, name, size, sha256, purpose, now(), expires_at, owned.owner_id, owned.key_id),
            )
            return file_id

    def get(self, file_id: str) -> FileRecord:
        """A file that can be had. Raises NotFound."""
        record = self.find(file_id)
        is_there = record is not None and (record.purpose or self._has_document(file_id))
        if record is None or not is_there or (record.expires_at is not None and record.expires_at < now()):
            raise unknown_file(file_id)
        return record

    def find(self, file_id: str) -> FileRecord | None:
        """What is known of a file, also of one that has expired or whose document is gone."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE id = ?", (file_id,))
        return _record(rows[0]) if rows else None

    def _has_document(self, file_id: str) -> bool:
        return bool(self._database.read("SELECT 1 FROM documents WHERE file_id = ? LIMIT 1", (file_id,)))

    def needed(self) -> set[str]:
        """The hashes of all bytes that are needed: by a document, by a job that is not over, or for their own sake."""
        return {
            sha256 for (sha256,) in self._database.read(f"SELECT DISTINCT f.sha256 FROM files f WHERE {_IS_NEEDED}")
        }

    def is_needed(self, sha256: str) -> bool:
        """Whether these bytes are needed."""
        return bool(
            self._database.read(f"SELECT 1 FROM files f WHERE f.sha256 = ? AND {_IS_NEEDED} LIMIT 1", (sha256,))
        )

    def expired(self) -> list[FileRecord]:
        """The files whose time is over."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE expires_at < ?", (now(),))
        return [_record(row) for row in rows]

    def page(
        self,
        owner_id: str,
        key_id: str | None,
        after: str | None,
        limit: int,
        *,
        newest_first: bool,
        purpose: str | None,
    ) -> Sequence[FileRecord]:
        """Up to `limit` files of an owner (None: with whatever key they came) that stay, in order of their upload, from
        behind the one with the id `after`.

        Raises NotFound when there never was such a file."""
        sign, order = ("<", "DESC") if newest_first else (">", "ASC")
        where = "owner_id = ? AND purpose <> '' AND (expires_at IS NULL OR expires_at >= ?)"
        values = list[object]([owner_id, now()])
        if key_id is not None:
            where += " AND key_id = ?"
            values.append(key_id)
        if purpose is not None:
            where += " AND purpose = ?"
            values.append(purpose)
        if after is not None:
            select = "SELECT rowid FROM files WHERE id = ? AND owner_id = ? AND key_id = coalesce(?, key_id)"
            place = find_place(self._database, after, select, (after, owner_id, key_id), "files")
            where += f" AND rowid {'>=' if place.is_former and not newest_first else sign} ?"
            values.append(place.number)
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM files WHERE {where} ORDER BY rowid {order} LIMIT ?", (*values, limit)
        )
        return [_record(row) for row in rows]

    def remove(self, file_id: str) -> None:
        """Forget a file of which there is no document; its jobs are forgotten, too."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE file_id = ?", (file_id,))
            connection.execute("DELETE FROM files WHERE id = ?", (file_id,))


def _record(row: tuple[Any, ...]) -> FileRecord:
    file_id, name, size, sha256, purpose, created_at, expires_at, *owned = row
    return FileRecord(file_id, name, size, sha256, purpose, created_at, expires_at, Owned(*owned))
