"""Collections as OpenAI's vector stores: what a store is called and when it expires, and the files in it.

A document that came with a file has the file's id here, one from a folder its own: both can be listed, read and taken
out. What becomes of a file is told by its job until its document is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar, get_args

from rag.errors import InvalidRequest, NotFound
from rag.storage.catalog import new_id, now
from rag.storage.database import Database
from rag.storage.places import Place, find_place
from rag.types.documents import LOCAL_PRINCIPAL, AttributeValue, Chunking, chunking_of

_Item = TypeVar("_Item")
FileStatus = Literal["in_progress", "completed", "cancelled", "failed"]
STATUSES: tuple[FileStatus, ...] = get_args(FileStatus)

_ACTIVE_STEP = timedelta(minutes=1)
_STATUS_OF_JOB: Mapping[str, FileStatus] = {
    "queued": "in_progress",
    "running": "in_progress",
    "done": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
_STORE = "c.id, coalesce(c.label, c.name), c.description, c.metadata, c.expires_days, c.active_at, c.created_at"
_IS_EXPIRED = "unixepoch(coalesce(c.active_at, c.created_at)) + 86400 * c.expires_days < unixepoch()"
# Every file of every store with the document made of it and the job that makes it, as far as there are any. A document
# that was removed otherwise, with its job done, is no member any more; in a store that has expired its file is one
# still, so that it can be attached elsewhere.
_MEMBERS = """
    (
        SELECT a.rowid AS place, 0 AS kind, a.collection_id, a.file_id AS id, a.created_at, a.job_id,
            d.id AS document_id, d.status, coalesce(d.size, f.size) AS size, d.attributes, d.error, f.name, d.chunking
        FROM attachments a JOIN files f ON f.id = a.file_id
        LEFT JOIN documents d ON d.file_id = a.file_id AND d.collection_id = a.collection_id
        UNION ALL
        SELECT d.rowid, 1, d.collection_id, coalesce(d.file_id, d.id), d.created_at, NULL,
            d.id, d.status, d.size, d.attributes, d.error, d.source, d.chunking
        FROM documents d
        WHERE NOT EXISTS (SELECT 1 FROM attachments a WHERE a.file_id = d.file_id
            AND a.collection_id = d.collection_id)
    ) m LEFT JOIN jobs j ON j.id = m.job_id
"""
_STATUS = """
    CASE WHEN j.state IN ('queued', 'running') THEN 'in_progress'
        WHEN m.document_id IS NOT NULL AND m.status <> 'failed' THEN 'completed'
        WHEN j.state IN ('cancelled', 'done') THEN 'cancelled'
        ELSE 'failed' END
"""
_IS_MEMBER = (
    "(m.document_id IS NOT NULL OR coalesce(j.state, 'done') <> 'done' "
    f"OR EXISTS (SELECT 1 FROM collections c WHERE c.id = m.collection_id AND {_IS_EXPIRED}))"
)
_FILE = (
    "m.id, m.collection_id, m.document_id, m.name, m.size, m.created_at, "
    "coalesce(m.attributes, j.attributes, '{}'), coalesce(m.error, ''), coalesce(j.report, ''), m.job_id, "
    "CASE WHEN m.document_id IS NULL OR j.state IN ('queued', 'running') THEN j.chunking ELSE m.chunking END, "
    + _STATUS
)


@dataclass(frozen=True, slots=True)
class VectorStore:
    """A collection as the API shows it. Times are ISO 8601, UTC; `expires_days` count from the last use."""

    id: str
    name: str
    description: str | None
    metadata: Mapping[str, str]
    expires_days: int | None
    active_at: str
    created_at: str
    usage_bytes: int = 0
    counts: Mapping[FileStatus, int] = field(default_factory=dict)

    @property
    def expires_at(self) -> str | None:
        """When nobody will have used it for too long; None if it stays."""
        if self.expires_days is None:
            return None
        return (datetime.fromisoformat(self.active_at) + timedelta(days=self.expires_days)).isoformat()

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at < now()


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file in a store; `error` says in a sentence why it failed, `document_id` is None before it was read."""

    id: str
    store_id: str
    document_id: str | None
    name: str
    size: int
    created_at: str
    attributes: Mapping[str, AttributeValue]
    error: str
    job_id: str | None
    chunking: Chunking | None
    status: FileStatus


class VectorStores:
    """The collections and what was attached to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------------------------------------------ stores

    def create(
        self,
        owner_id: str,
        name: str | None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_days: int | None = None,
    ) -> VectorStore:
        """A new, empty store; several may have one name. The collection has this name for the command line, too, if it
        is free and the owner of the machine makes the store."""
        store_id, time = new_id("vs"), now()
        with self._database.transaction() as connection:
            is_taken = connection.execute(
                "SELECT 1 FROM collections WHERE name = ?1 OR id = ?1", (name,)
            ).fetchone() or (name or "").startswith("vs_")  # as ids do
            is_its_name = bool(name) and not is_taken and owner_id == LOCAL_PRINCIPAL
            connection.execute(
                "INSERT INTO collections (id, name, owner_id, created_at, label, description, metadata, expires_days, "
                "active_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(store_id, name if is_its_name else store_id, owner_id, time, name or "", description),
                    *(json.dumps(dict(metadata or {}), ensure_ascii=False), expires_days, time),
                ),
            )
        return self.get(store_id)

    def own(self, owner_id: str, name: str) -> str:
        """The id of the oldest store of that name that somebody owns, made if there is none."""
        store_id, time = new_id("vs"), now()
        with self._database.transaction() as connection:  # two at once make one
            connection.execute(
                "INSERT INTO collections (id, name, owner_id, created_at, label, active_at) "
                "SELECT ?1, ?1, ?2, ?3, ?4, ?3 WHERE NOT EXISTS "
                "(SELECT 1 FROM collections WHERE owner_id = ?2 AND coalesce(label, name) = ?4)",
                (store_id, owner_id, time, name),
            )
        return str(
            self._database.read(
                "SELECT id FROM collections WHERE owner_id = ? AND coalesce(label, name) = ? ORDER BY rowid LIMIT 1",
                (owner_id, name),
            )[0][0]
        )

    def get(self, store_id: str) -> VectorStore:
        """The store of that id. Raises NotFound."""
        rows = self._database.read(f"SELECT {_STORE} FROM collections c WHERE c.id = ?", (store_id,))
        if not rows:
            raise _unknown(store_id)
        return self._store(rows[0])

    def page(self, cursor: Cursor, among: Sequence[str]) -> Page[VectorStore]:
        """Those of the stores with these ids that are wanted, in order of their making. Raises NotFound when the
        cursor's id is none of them, and was none."""
        where, values, order = cursor.condition("c.rowid", lambda store_id: self._place(store_id, among))
        rows = self._database.read(
            f"SELECT {_STORE} FROM collections c WHERE c.id IN (SELECT value FROM json_each(?)) AND {where} "
            f"ORDER BY c.rowid {order} LIMIT ?",
            (json.dumps(among), *values),
        )
        return cursor.page([self._store(row) for row in rows])

    def _place(self, store_id: str, among: Sequence[str]) -> Place:
        select = "SELECT rowid FROM collections WHERE id = ? AND id IN (SELECT value FROM json_each(?))"
        return find_place(self._database, store_id, select, (store_id, json.dumps(among)), "collections")

    def expired(self) -> list[str]:
        """The ids of the stores whose time is over, and in which there is something still."""
        rows = self._database.read(
            f"SELECT c.id FROM collections c WHERE {_IS_EXPIRED} AND (EXISTS (SELECT 1 FROM documents d "
            "WHERE d.collection_id = c.id) OR EXISTS (SELECT 1 FROM jobs j WHERE j.collection = c.name "
            "AND j.state IN ('queued', 'running')))"
        )
        return [store_id for (store_id,) in rows]

    def update(self, store_id: str, changes: Mapping[str, Any]) -> VectorStore:
        """Change `label`, `description`, `metadata` or `expires_days`. Raises NotFound."""
        store = self.get(store_id)
        told = {key: json.dumps(value) if key == "metadata" else value for key, value in changes.items()}
        with self._database.transaction() as connection:
            for column, value in told.items():
                assert column in ("label", "description", "metadata", "expires_days"), column
                connection.execute(f"UPDATE collections SET {column} = ? WHERE id = ?", (value, store.id))
        return self.get(store.id)

    def touch(self, store_id: str) -> None:
        """Note that a store was used: from now its time counts. Seldom written: a search must not wait for writers."""
        rows = self._database.read(
            "SELECT 1 FROM collections WHERE id = ? AND expires_days IS NOT NULL AND coalesce(active_at, '') < ?",
            (store_id, _ago(_ACTIVE_STEP)),
        )
        if not rows:
            return
        with self._database.transaction() as connection:
            connection.execute("UPDATE collections SET active_at = ? WHERE id = ?", (now(), store_id))

    def _store(self, row: tuple[Any, ...]) -> VectorStore:
        store_id, name, description, metadata, expires_days, active_at, created_at = row
        counts: dict[FileStatus, int] = dict.fromkeys(STATUSES, 0)
        usage = 0
        for status, count, size in self._database.read(
            f"SELECT {_STATUS}, count(*), sum(CASE WHEN m.document_id IS NULL THEN 0 ELSE m.size END) "
            f"FROM {_MEMBERS} WHERE m.collection_id = ? AND {_IS_MEMBER} GROUP BY 1",
            (store_id,),
        ):
            counts[status] = count
            usage += int(size)
        return VectorStore(
            *(store_id, name, description, json.loads(metadata), expires_days, active_at or created_at, created_at),
            usage_bytes=usage,
            counts=counts,
        )

    # ------------------------------------------------------------------------------------------------------- files

    def detach(self, store_id: str, file_id: str) -> None:
        """Forget that a file was attached."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM attachments WHERE collection_id = ? AND file_id = ?", (store_id, file_id))

    def file(self, store_id: str, file_id: str) -> StoreFile:
        """A file of the store. Raises NotFound."""
        rows = self._database.read(
            f"SELECT {_FILE} FROM {_MEMBERS} WHERE m.collection_id = ? AND m.id = ? AND {_IS_MEMBER}",
            (store_id, file_id),
        )
        if not rows:
            raise NotFound(f"There is no file {file_id!r} in the vector store {store_id!r}.")
        return _file(rows[0])

    def files(
        self, store_id: str, cursor: Cursor, status: FileStatus | None = None, batch_id: str | None = None
    ) -> Page[StoreFile]:
        """Files of the store, or of one batch, in order. Raises NotFound when the cursor's id is none."""
        place = "m.kind * 4611686018427387904 + m.place"
        select = f"SELECT {place} FROM {_MEMBERS} WHERE m.id = ? AND m.collection_id = ?"
        where, values, order = cursor.condition(
            place, lambda file_id: find_place(self._database, file_id, select, (file_id, store_id), store_id)
        )
        told: list[object] = [store_id]
        if status is not None:
            where, told = f"{_STATUS} = ? AND {where}", [*told, status]
        if batch_id is not None:
            where = f"m.id IN (SELECT file_id FROM batch_jobs WHERE batch_id = ?) AND {where}"
            told = [store_id, batch_id, *told[1:]]
        rows = self._database.read(
            f"SELECT {_FILE} FROM {_MEMBERS} WHERE m.collection_id = ? AND {_IS_MEMBER} AND {where} "
            f"ORDER BY {place} {order} LIMIT ?",
            (*told, *values),
        )
        return cursor.page([_file(row) for row in rows])

    def batch(self, store_id: str, batch_id: str) -> tuple[str, dict[FileStatus, int]]:
        """When a batch was made, and how many of its files are how far. Raises NotFound."""
        rows = self._database.read(
            "SELECT created_at FROM batches WHERE id = ? AND collection_id = ?", (batch_id, store_id)
        )
        if not rows:
            raise NotFound(f"There is no batch {batch_id!r} in the vector store {store_id!r}.")
        counts: dict[FileStatus, int] = dict.fromkeys(STATUSES, 0)
        for state, count in self._database.read(
            "SELECT j.state, count(*) FROM batch_jobs b JOIN jobs j ON j.id = b.job_id WHERE b.batch_id = ? GROUP BY 1",
            (batch_id,),
        ):
            counts[_STATUS_OF_JOB[state]] += count
        return str(rows[0][0]), counts

    def jobs_of_batch(self, batch_id: str) -> list[str]:
        """The ids of a batch's jobs."""
        return [
            job_id for (job_id,) in self._database.read("SELECT job_id FROM batch_jobs WHERE batch_id = ?", (batch_id,))
        ]


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A part of a list, and whether there is more of it behind (before, where that was asked for)."""

    items: Sequence[_Item]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which part of a list is wanted: `limit` items behind `after` or before `before`, both ids."""

    after: str | None = None
    before: str | None = None
    limit: int = 20
    newest_first: bool = True

    def condition(self, column: str, place_of: Callable[[str], Place]) -> tuple[str, list[object], str]:
        """A condition on the column with the places, its values with how many to read, and the order to read in."""
        if self.after and self.before:
            raise InvalidRequest("Either after or before can be given.", param="before")
        if not self.after and not self.before:
            return "true", [self.limit + 1], "DESC" if self.newest_first else "ASC"
        place = place_of(self.after or self.before or "")
        forward = bool(self.after) != self.newest_first
        sign, order = (">=" if place.is_former else ">", "ASC") if forward else ("<", "DESC")
        return f"{column} {sign} ?", [place.number, self.limit + 1], order

    def page(self, items: Sequence[_Item]) -> Page[_Item]:
        """What was read, as it is to be shown: one item more than is wanted tells that there are more, and what lies
        before an item was read backwards, from the item on."""
        wanted = items[: self.limit]
        return Page(wanted[::-1] if self.before else wanted, len(items) > self.limit)


def _unknown(store_id: str) -> NotFound:
    return NotFound(f"There is no vector store {store_id!r}.", hint="GET /v1/vector_stores lists them.")


def _file(row: tuple[Any, ...]) -> StoreFile:
    file_id, store_id, document_id, name, size, created_at, attributes, error, report, job_id, chunking, status = row
    if status == "failed":
        told = json.loads(report) if report else {}
        error = " ".join(filter(None, [told.get("error"), told.get("hint")])) or error or "It could not be read."
    else:
        error = ""
    return StoreFile(
        *(file_id, store_id, document_id, name, size, created_at, json.loads(attributes), error, job_id),
        *(chunking_of(chunking), status),
    )


def _ago(span: timedelta) -> str:
    return (datetime.now(UTC) - span).isoformat(timespec="seconds")


def unix_time(time: str) -> int:
    """Seconds since 1970 of a time in ISO 8601 with its offset."""
    return int(datetime.fromisoformat(time).timestamp())
