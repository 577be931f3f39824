"""Rows of the catalog's tables as collections, documents and chunks, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from rag.errors import Conflict
from rag.storage import document_names
from rag.storage.database import Connection
from rag.types.documents import Chunk, Collection, Document, chunking_of

DOCUMENT_COLUMNS = (
    "d.id, c.name, d.owner_id, d.file_id, d.source, d.title, d.content, d.media_type, d.sha256, d.size, d.modified_ns, "
    "d.fingerprint, d.version, d.status, d.pages, d.chunks, d.error, d.hint, d.created_at, d.updated_at, "
    "d.attributes, d.chunking"
)
CHUNK_COLUMNS = (
    'k.document_id, k.version, k.number, k.page_index, k.page_label, k.heading, k.record_id, k.start, k."end", k.text'
)
PUT_PROPERTY = "INSERT INTO properties VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
NEXT_REVISION = "UPDATE properties SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'revision'"
SELECT_COLLECTIONS = """
    SELECT c.id, c.name, c.owner_id, c.label, c.is_public,
        (SELECT json_group_array(s.principal_id) FROM shares s WHERE s.collection_id = c.id)
    FROM collections c
"""


def collection_of(row: tuple[Any, ...]) -> Collection:
    """A collection from a row of `SELECT_COLLECTIONS`."""
    collection_id, name, owner_id, label, is_public, readers = row
    return Collection(collection_id, name, owner_id, label, bool(is_public), frozenset(json.loads(readers)))


def select_documents() -> str:
    """The query for all documents; a condition can be added."""
    return f"SELECT {DOCUMENT_COLUMNS} FROM documents d JOIN collections c ON c.id = d.collection_id WHERE true"


def document_of(row: tuple[Any, ...]) -> Document:
    """A document from a row of `select_documents`."""
    columns = list(row)
    columns[6] = _text_to_path(columns[6])
    columns[-2:] = json.loads(columns[-2]), chunking_of(columns[-1])
    return Document(*columns)


def chunk_of(row: tuple[Any, ...]) -> Chunk:
    """A chunk from a row of `CHUNK_COLUMNS`."""
    document_id, version, number, page_index, page_label, heading, record_id, start, end, text = row
    chunk_id = f"{document_id}:{version}:{number}"
    return Chunk(chunk_id, document_id, number, page_index, page_label, heading, record_id, start, end, text)


def put_chunks(connection: Connection, version: int, chunks: Sequence[Chunk], vector_ids: Sequence[str]) -> None:
    """Store the chunks of one version of a document, each with the id of its vector."""
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_chunk_row(version, chunk, vector_id) for chunk, vector_id in zip(chunks, vector_ids, strict=True)],
    )


def _chunk_row(version: int, k: Chunk, vector_id: str) -> tuple[object, ...]:
    place = (k.page_index, k.page_label, k.heading, k.record_id, k.start, k.end)
    return (k.document_id, version, k.number, *place, k.text, vector_id)


def put_document(connection: Connection, d: Document, collection_id: str) -> None:
    """Store a document. One that is there keeps its attributes: they may have been set since `d` was read."""
    connection.execute(
        """
        INSERT INTO documents (id, collection_id, owner_id, file_id, source, title, content, media_type, sha256, size,
            modified_ns, fingerprint, version, status, pages, chunks, error, hint, created_at, updated_at, attributes,
            chunking)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET
            source = excluded.source, file_id = excluded.file_id, title = excluded.title, content = excluded.content,
            media_type = excluded.media_type,
            sha256 = excluded.sha256, size = excluded.size, modified_ns = excluded.modified_ns,
            fingerprint = excluded.fingerprint, version = excluded.version, status = excluded.status,
            pages = excluded.pages, chunks = excluded.chunks, error = excluded.error, hint = excluded.hint,
            updated_at = excluded.updated_at, chunking = excluded.chunking
        """,
        (
            *(d.id, collection_id, d.owner_id, d.file_id, d.source, d.title, _path_to_text(d.content), d.media_type),
            *(d.sha256, d.size, d.modified_ns, d.fingerprint, d.version, d.status, d.pages, d.chunks),
            *(d.error, d.hint, d.created_at, d.updated_at, json.dumps(dict(d.attributes), ensure_ascii=False)),
            str(d.chunking) if d.chunking else None,
        ),
    )
    document_names.put_names(connection, d.id, d.title, d.source)


def _path_to_text(path: Path) -> str:
    """The path as a database can hold it: one whose bytes are no UTF-8 becomes `file:` and percent signs."""
    text = str(path)
    return text if text.isprintable() else "file:" + quote_from_bytes(os.fsencode(text))


def _text_to_path(text: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file:"))) if text.startswith("file:") else text)


def require_begun(is_begun: bool) -> None:
    """Raises Conflict where what is to be committed is not noted as begun: another process has taken the writer of it
    for dead and swept away what it had written."""
    if not is_begun:
        raise Conflict(
            "Another process has begun to write meanwhile.", hint="Repeat it: what is done is not done twice."
        )
