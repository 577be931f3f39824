"""A collection's documents as a table shows them: a page at a time, in any order, by name, status and type."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from rag.storage.database import Database, contains, pattern_of
from rag.storage.rows import SELECT_DOCUMENTS, document_of
from rag.types.documents import Document, DocumentStatus

DocumentOrder = Literal["title", "type", "pages", "size", "added", "changed", "status"]

_COLUMNS: dict[DocumentOrder, str] = {
    "title": "lower(CASE d.title WHEN '' THEN d.source ELSE d.title END)",
    "type": "d.media_type",
    "pages": "d.pages",
    "size": "d.size",
    "added": "d.created_at",
    "changed": "d.updated_at",
    "status": "d.status",
}


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents of a collection: those whose title or source contains the characters, or that are `also` wanted;
    of one status and media type, where these are set."""

    collection_id: str
    containing: str = ""
    also: Collection[str] = ()
    status: DocumentStatus | None = None
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some of the documents, how many there are in all, and how many of each media type the collection has."""

    documents: list[Document]
    total: int
    types: dict[str, int]


def list_documents(
    database: Database,
    wanted: DocumentFilter,
    limit: int,
    offset: int,
    order: DocumentOrder = "changed",
    *,
    descending: bool = True,
) -> DocumentPage:
    """Up to `limit` documents behind the first `offset` ones; among equals those changed last come first."""
    conditions = ["d.collection_id = :collection"]
    named = contains("d.title", "d.source")
    conditions.append(f"({named} OR d.id IN (SELECT value FROM json_each(:also)))")
    values = {
        "collection": wanted.collection_id,
        "pattern": pattern_of(wanted.containing),
        "also": json.dumps(list(wanted.also)),
    }
    if wanted.status is not None:
        conditions.append("d.status = :status")
        values["status"] = wanted.status
    if wanted.media_type:
        conditions.append("d.media_type = :media_type")
        values["media_type"] = wanted.media_type
    where = " AND ".join(conditions)
    by = f"{_COLUMNS[order]} {'DESC' if descending else 'ASC'}, d.updated_at DESC, d.rowid DESC"
    statement = f"{SELECT_DOCUMENTS} AND {where} ORDER BY {by} LIMIT :limit OFFSET :offset"
    rows = database.read(statement, limit=limit, offset=offset, **values)
    (total,) = database.read(f"SELECT count(*) FROM documents d WHERE {where}", **values)[0]
    of_types = database.read(
        "SELECT media_type, count(*) FROM documents WHERE collection_id = :id GROUP BY media_type ORDER BY media_type",
        id=wanted.collection_id,
    )
    return DocumentPage([document_of(row) for row in rows], int(total), {name: int(n) for name, n in of_types})


def count_documents(database: Database, collection_id: str) -> int:
    """How many documents a collection has."""
    (count,) = database.read("SELECT count(*) FROM documents WHERE collection_id = :id", id=collection_id)[0]
    return int(count)


def count_by_owner(database: Database) -> dict[str, int]:
    """How many documents the collections of each principal have, by the principal's id; none for who has none."""
    rows = database.read(
        "SELECT c.owner_id, count(*) FROM documents d JOIN collections c ON c.id = d.collection_id GROUP BY c.owner_id"
    )
    return {owner: int(count) for owner, count in rows}
