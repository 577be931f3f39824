"""Collections as OpenAI's vector stores: what a store is called and when it expires, and the files in it.

A document that came with a file has the file's id here, one from a folder its own: both can be listed, read and
detached. What becomes of a file is told by its job until its document is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from rag.errors import NotFound
from rag.storage import schema
from rag.storage.database import Connection, Database, Row
from rag.storage.ids import new_id, now
from rag.storage.paging import Cursor, Page
from rag.storage.rows import insert
from rag.types.documents import LOCAL_PRINCIPAL, AttributeValue, Chunking, chunking_of

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
_STORE = (
    "c.id, coalesce(c.label, c.name) AS name, c.description, c.metadata, c.expires_days, "
    "coalesce(c.active_at, c.created_at) AS active_at, c.created_at"
)
IS_EXPIRED = "unixepoch(coalesce(c.active_at, c.created_at)) + 86400 * c.expires_days < unixepoch()"
# Every file of every store with the document made of it and the job that makes it, as far as there are any. A document
# that was deleted otherwise, with its job done, is no member any more; in a store that has expired its file is one
# still, so that it can be attached elsewhere.
_MEMBERS = """
    (
        SELECT 0 AS kind, a.rowid AS place, a.collection_id, a.file_id AS id, a.created_at, a.job_id,
            d.id AS document_id, d.status, coalesce(d.size, f.size) AS size, d.attributes, d.error, f.name, d.chunking
        FROM attachments a JOIN files f ON f.id = a.file_id
        LEFT JOIN documents d ON d.file_id = a.file_id AND d.collection_id = a.collection_id
        UNION ALL
        SELECT 1, d.rowid, d.collection_id, coalesce(d.file_id, d.id), d.created_at, NULL,
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
    f"OR EXISTS (SELECT 1 FROM collections c WHERE c.id = m.collection_id AND {IS_EXPIRED}))"
)
_FILE = (
    "m.id, m.collection_id AS store_id, m.document_id, m.name, m.size, m.created_at, "
    "coalesce(m.attributes, j.attributes, '{}') AS attributes, coalesce(m.error, '') AS error, "
    "coalesce(j.report, '') AS report, m.job_id, "
    "CASE WHEN m.document_id IS NULL OR j.state IN ('queued', 'running') THEN j.chunking ELSE m.chunking END "
    f"AS chunking, {_STATUS} AS status"
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
        with self._database.transaction() as connection:
            is_taken = connection.execute(
                "SELECT 1 FROM collections WHERE name = :name OR id = :name", name=name
            ).fetchone() or (name or "").startswith("vs_")  # as ids do
            is_its_name = bool(name) and not is_taken and owner_id == LOCAL_PRINCIPAL
            store_id = self._insert(
                connection,
                owner_id=owner_id,
                name=name if is_its_name else None,
                label=name or "",
                description=description,
                metadata=json.dumps(dict(metadata or {}), ensure_ascii=False),
                expires_days=expires_days,
            )
        return self.get(store_id)

    def _insert(self, connection: Connection, name: str | None = None, **values: object) -> str:
        """Add a store, by default with its id as its name; its id."""
        store_id, time = new_id("vs"), now()
        row = {"description": None, "metadata": "{}", "expires_days": None, "is_public": False, **values}
        connection.execute(
            insert(schema.collections), id=store_id, name=name or store_id, created_at=time, active_at=time, **row
        )
        return store_id

    def own(self, owner_id: str, name: str) -> str:
        """The id of the oldest store of that name that somebody owns, made if there is none."""
        called = "owner_id = :owner AND coalesce(label, name) = :name"
        oldest = f"SELECT id FROM collections WHERE {called} ORDER BY rowid LIMIT 1"
        with self._database.transaction() as connection:  # two at once make one
            known = connection.execute(oldest, owner=owner_id, name=name).scalar()
            return str(known or self._insert(connection, owner_id=owner_id, label=name))

    def get(self, store_id: str) -> VectorStore:
        """The store of that id. Raises NotFound."""
        row = self._database.first(f"SELECT {_STORE} FROM collections c WHERE c.id = :id", id=store_id)
        if row is None:
            raise NotFound(f"There is no vector store {store_id!r}.", hint="GET /v1/vector_stores lists them.")
        return self._store(row)

    def page(self, cursor: Cursor, among: Sequence[str]) -> Page[VectorStore]:
        """Those of the stores with these ids that are wanted, in order of their making. Raises NotFound when the
        cursor's id is none of them."""
        stores = "collections c WHERE c.id IN (SELECT value FROM json_each(:among))"
        ids = json.dumps(among)
        where, order, values = cursor.clauses(
            ["c.rowid"],
            lambda store_id: self._database.read(
                f"SELECT c.rowid FROM {stores} AND c.id = :id", among=ids, id=store_id
            ),
        )
        rows = self._database.read(f"SELECT {_STORE} FROM {stores} AND {where} {order}", among=ids, **values)
        return cursor.page([self._store(row) for row in rows])

    def expired(self) -> list[str]:
        """The ids of the stores whose time is over, and in which there is something still."""
        rows = self._database.read(
            f"SELECT c.id FROM collections c WHERE {IS_EXPIRED} AND (EXISTS (SELECT 1 FROM documents d "
            "WHERE d.collection_id = c.id) OR EXISTS (SELECT 1 FROM jobs j WHERE j.collection = c.name "
            "AND j.state IN ('queued', 'running')))"
        )
        return [row.id for row in rows]

    def update(self, store_id: str, changes: Mapping[str, Any]) -> VectorStore:
        """Change `label`, `description`, `metadata` or `expires_days`. Raises NotFound."""
        store = self.get(store_id)
        stored = {key: json.dumps(value) if key == "metadata" else value for key, value in changes.items()}
        with self._database.transaction() as connection:
            for column, value in stored.items():
                assert column in ("label", "description", "metadata", "expires_days"), column
                connection.execute(f"UPDATE collections SET {column} = :value WHERE id = :id", value=value, id=store.id)
        return self.get(store.id)

    def touch(self, store_id: str) -> None:
        """Note that a store was used: from now its time counts. Seldom written: a search must not wait for writers."""
        is_due = self._database.read(
            "SELECT 1 FROM collections WHERE id = :id AND expires_days IS NOT NULL "
            "AND coalesce(active_at, '') < :before",
            id=store_id,
            before=(datetime.now(UTC) - _ACTIVE_STEP).isoformat(timespec="seconds"),
        )
        if is_due:
            self._database.write("UPDATE collections SET active_at = :now WHERE id = :id", now=now(), id=store_id)

    def _store(self, row: Row) -> VectorStore:
        counts: dict[FileStatus, int] = dict.fromkeys(STATUSES, 0)
        usage = 0
        for status, count, size in self._database.read(
            f"SELECT {_STATUS}, count(*), sum(CASE WHEN m.document_id IS NULL THEN 0 ELSE m.size END) "
            f"FROM {_MEMBERS} WHERE m.collection_id = :id AND {_IS_MEMBER} GROUP BY 1",
            id=row.id,
        ):
            counts[status] = count
            usage += int(size)
        values = row._asdict() | {"metadata": json.loads(row.metadata)}
        return VectorStore(**values, usage_bytes=usage, counts=counts)

    # ------------------------------------------------------------------------------------------------------- files

    def detach(self, store_id: str, file_id: str) -> None:
        """Detach a file from a store."""
        statement = "DELETE FROM attachments WHERE collection_id = :store AND file_id = :file"
        self._database.write(statement, store=store_id, file=file_id)

    def file(self, store_id: str, file_id: str) -> StoreFile:
        """A file of the store. Raises NotFound."""
        row = self._database.first(
            f"SELECT {_FILE} FROM {_MEMBERS} WHERE m.collection_id = :store AND m.id = :file AND {_IS_MEMBER}",
            store=store_id,
            file=file_id,
        )
        if row is None:
            raise NotFound(f"There is no file {file_id!r} in the vector store {store_id!r}.")
        return _file(row)

    def files(
        self, store_id: str, cursor: Cursor, status: FileStatus | None = None, batch_id: str | None = None
    ) -> Page[StoreFile]:
        """Files of the store, or of one batch, in order. Raises NotFound when the cursor's id is none."""
        key = ["m.kind", "m.place"]
        where, order, values = cursor.clauses(
            key,
            lambda file_id: self._database.read(
                f"SELECT {', '.join(key)} FROM {_MEMBERS} WHERE m.id = :id AND m.collection_id = :store",
                id=file_id,
                store=store_id,
            ),
        )
        if status is not None:
            where, values = f"{_STATUS} = :status AND {where}", {**values, "status": status}
        if batch_id is not None:
            in_batch = "m.id IN (SELECT file_id FROM batch_jobs WHERE batch_id = :batch)"
            where, values = f"{in_batch} AND {where}", {**values, "batch": batch_id}
        rows = self._database.read(
            f"SELECT {_FILE} FROM {_MEMBERS} WHERE m.collection_id = :store AND {_IS_MEMBER} AND {where} {order}",
            store=store_id,
            **values,
        )
        return cursor.page([_file(row) for row in rows])

    def batch(self, store_id: str, batch_id: str) -> tuple[str, dict[FileStatus, int]]:
        """When a batch was made, and how many of its files are how far. Raises NotFound."""
        row = self._database.first(
            "SELECT created_at FROM batches WHERE id = :id AND collection_id = :store", id=batch_id, store=store_id
        )
        if row is None:
            raise NotFound(f"There is no batch {batch_id!r} in the vector store {store_id!r}.")
        counts: dict[FileStatus, int] = dict.fromkeys(STATUSES, 0)
        for state, count in self._database.read(
            "SELECT j.state, count(*) FROM batch_jobs b JOIN jobs j ON j.id = b.job_id "
            "WHERE b.batch_id = :id GROUP BY 1",
            id=batch_id,
        ):
            counts[_STATUS_OF_JOB[state]] += count
        return str(row.created_at), counts

    def jobs_of_batch(self, batch_id: str) -> list[str]:
        """The ids of a batch's jobs."""
        rows = self._database.read("SELECT job_id FROM batch_jobs WHERE batch_id = :id", id=batch_id)
        return [row.job_id for row in rows]


def _file(row: Row) -> StoreFile:
    values = row._asdict()
    report = json.loads(values.pop("report") or "{}")
    of_job = " ".join(filter(None, [report.get("error"), report.get("hint")]))
    values["error"] = (of_job or row.error or "It could not be read.") if row.status == "failed" else ""
    return StoreFile(**values | {"attributes": json.loads(row.attributes), "chunking": chunking_of(row.chunking)})


def unix_time(time: str) -> int:
    """Seconds since 1970 of a time in ISO 8601 with its offset."""
    return int(datetime.fromisoformat(time).timestamp())
