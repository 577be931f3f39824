"""What is known of uploaded files; their bytes are in files.py.

The same bytes under the same name are one file. One that was uploaded for its own sake has a purpose and stays until
it is deleted; one that came with a chat goes with its document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.catalog import LOCAL_PRINCIPAL, new_id, now
from rag.database import Database
from rag.errors import NotFound

_COLUMNS = "id, name, size, sha256, purpose, created_at, expires_at"


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


class FileRecords:
    """The table of uploaded files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, sha256: str, size: int, purpose: str = "", expires_at: str | None = None) -> str:
        """Record a file; its id (`file_…`). One that is known gets the purpose and the time of expiry."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT id FROM files WHERE sha256 = ? AND name = ?", (sha256, name)).fetchone()
            if row is None:
                file_id = new_id("file")
                connection.execute(
                    f"INSERT INTO files ({_COLUMNS}, owner_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (file_id, name, size, sha256, purpose, now(), expires_at, LOCAL_PRINCIPAL),
                )
                return file_id
            if purpose:
                connection.execute(
                    "UPDATE files SET purpose = ?, expires_at = ? WHERE id = ?", (purpose, expires_at, row[0])
                )
            return str(row[0])

    def get(self, file_id: str, *, even_expired: bool = False) -> FileRecord:
        """One file. Raises NotFound."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE id = ?", (file_id,))
        if not rows or (not even_expired and (rows[0][-1] or now()) < now()):
            raise NotFound(f"There is no file {file_id!r}.", hint="`ingest jobs` lists the uploads.")
        return FileRecord(*rows[0])

    def kept(self) -> list[FileRecord]:
        """The files that stay though no document may need them."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE purpose <> ''")
        return [FileRecord(*row) for row in rows]

    def expired(self) -> list[FileRecord]:
        """The files whose time is over."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM files WHERE expires_at < ?", (now(),))
        return [FileRecord(*row) for row in rows]

    def page(self, after: str | None, limit: int, *, newest_first: bool, purpose: str | None) -> Sequence[FileRecord]:
        """Up to `limit` files that stay, in order of their upload, from behind the one with the id `after`.

        Raises NotFound when there is no such file."""
        sign, order = ("<", "DESC") if newest_first else (">", "ASC")
        where, values = "purpose <> '' AND (expires_at IS NULL OR expires_at >= ?)", list[object]([now()])
        if purpose is not None:
            where += " AND purpose = ?"
            values.append(purpose)
        if after is not None:
            where += f" AND rowid {sign} (SELECT rowid FROM files WHERE id = ?)"
            values.append(self.get(after).id)
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM files WHERE {where} ORDER BY rowid {order} LIMIT ?", (*values, limit)
        )
        return [FileRecord(*row) for row in rows]

    def remove(self, file_id: str) -> None:
        """Forget a file of which there is no document; its jobs are forgotten, too."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE file_id = ?", (file_id,))
            connection.execute("DELETE FROM files WHERE id = ?", (file_id,))
