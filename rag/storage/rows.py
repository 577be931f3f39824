"""Rows of the catalog's tables as collections, documents and chunks, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sqlalchemy import Table

from rag.errors import Conflict
from rag.storage import name_tokens, schema
from rag.storage.database import Connection, Row
from rag.types.documents import Chunk, Collection, Document, Section, chunking_of

_DOCUMENT_FIELDS = [field.name for field in fields(Document)]
_CHUNK_FIELDS = [field.name for field in fields(Chunk)]
_DOCUMENT_COLUMNS = ", ".join(
    "c.name AS collection" if name == "collection" else f"d.{name}" for name in _DOCUMENT_FIELDS
)
SELECT_DOCUMENTS = (  # a condition can be added
    f"SELECT {_DOCUMENT_COLUMNS} FROM documents d JOIN collections c ON c.id = d.collection_id WHERE true"
)
CHUNK_COLUMNS = ", ".join(
    ["k.document_id || ':' || k.version || ':' || k.number AS id", *(f'k."{name}"' for name in _CHUNK_FIELDS[1:])]
)
NEXT_REVISION = "UPDATE properties SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'revision'"
SELECT_COLLECTIONS = """
    SELECT c.id, c.name, c.owner_id, c.label, c.is_public,
        (SELECT json_group_array(s.principal_id) FROM shares s WHERE s.collection_id = c.id) AS readers
    FROM collections c
"""


def insert(table: Table) -> str:
    """A statement that adds a row to a table: a value for each of its columns."""
    names = [column.name for column in table.columns if column.name != "rowid"]
    columns, values = ", ".join(f'"{name}"' for name in names), ", ".join(f":{name}" for name in names)
    return f"INSERT INTO {table.name} ({columns}) VALUES ({values})"


def upsert(table: Table, *updated: str) -> str:
    """A statement that adds a row to a table, or changes the `updated` columns of the one with its primary key."""
    change = "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in updated) if updated else "NOTHING"
    return f"{insert(table)} ON CONFLICT ({', '.join(table.primary_key.columns.keys())}) DO {change}"


PUT_PROPERTY = upsert(schema.properties, "value")
_INSERT_CHUNK = insert(schema.chunks)
_KEPT = {"id", "collection_id", "owner_id", "created_at", "attributes"}  # of a document that is there
_PUT_DOCUMENT = upsert(schema.documents, *sorted({*schema.documents.c.keys()} - _KEPT - {"rowid"}))


def collection_of(row: Row) -> Collection:
    """A collection from a row of `SELECT_COLLECTIONS`."""
    readers = frozenset(json.loads(row.readers))
    return Collection(row.id, row.name, row.owner_id, row.label, bool(row.is_public), readers)


def document_of(row: Row) -> Document:
    """A document from a row of `SELECT_DOCUMENTS`."""
    values = dict(zip(_DOCUMENT_FIELDS, row, strict=True))  # there may be thousands: by name, each takes twice as long
    values["content"] = _text_to_path(row.content)
    values["attributes"] = json.loads(row.attributes)
    values["chunking"] = chunking_of(row.chunking)
    return Document(**values)


def chunk_of(row: Sequence[Any]) -> Chunk:
    """A chunk from a row that begins with the `CHUNK_COLUMNS`."""
    return Chunk(*row[: len(_CHUNK_FIELDS)])


def put_sections(connection: Connection, document_id: str, sections: Sequence[Section]) -> None:
    """Store the extracted text of a document."""
    rows = [
        {**asdict(section), "document_id": document_id, "number": number, "label": section.page_label}
        for number, section in enumerate(sections)
    ]
    connection.executemany(insert(schema.sections), rows)


def put_chunks(connection: Connection, version: int, chunks: Sequence[Chunk], vector_ids: Sequence[str]) -> None:
    """Store the chunks of one version of a document, each with the id of its vector."""
    rows = [
        {**{name: getattr(chunk, name) for name in _CHUNK_FIELDS}, "version": version, "vector_id": vector_id}
        for chunk, vector_id in zip(chunks, vector_ids, strict=True)
    ]
    connection.executemany(_INSERT_CHUNK, rows)


def put_document(connection: Connection, document: Document, collection_id: str) -> None:
    """Store a document. One that is there keeps its attributes: they may have been set since `document` was read."""
    row: dict[str, Any] = {name: getattr(document, name) for name in _DOCUMENT_FIELDS}
    row["collection_id"] = collection_id
    row["content"] = _path_to_text(document.content)
    row["attributes"] = json.dumps(dict(document.attributes), ensure_ascii=False)
    row["chunking"] = str(document.chunking) if document.chunking else None
    connection.execute(_PUT_DOCUMENT, **row)
    name_tokens.put_names(connection, document.id, document.title, document.source)


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
