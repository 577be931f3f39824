"""New versions of documents beside the live ones, for the switch to another embedding model."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rag.storage import schema
from rag.storage.catalog import Catalog, VersionedChunks
from rag.storage.database import Connection
from rag.storage.rows import CHUNK_COLUMNS, NEXT_REVISION, PUT_PROPERTY, chunk_of, put_chunks, require_begun, upsert
from rag.types.documents import Chunk, Document


class Staging:
    """The staged versions of a catalog. Nobody sees them before `switch`; a document that changes loses its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._database = catalog.database

    def target(self) -> str | None:
        """The fingerprint of the embedding model that a switch is being prepared to."""
        return self._catalog.property("staging")

    def aim_at(self, fingerprint: str) -> None:
        """Prepare a switch to that model; what was staged for another one is deleted."""
        if self.target() != fingerprint:
            with self._database.transaction() as connection:
                _delete_staged(connection)
            self._catalog.set_property("staging", fingerprint)

    def delete(self) -> None:
        """Prepare no switch any more."""
        with self._database.transaction() as connection:
            _delete_staged(connection)
            connection.execute("DELETE FROM properties WHERE name = 'staging'")

    def unstaged(self) -> list[str]:
        """The ids of the documents that are still to be staged."""
        rows = self._database.read(
            "SELECT d.id FROM documents d LEFT JOIN staged s ON s.document_id = d.id AND s.version = d.version + 1 "
            "WHERE d.version > 0 AND s.document_id IS NULL"
        )
        return [document_id for (document_id,) in rows]

    def put(
        self, document: Document, version: int, fingerprint: str, chunks: Sequence[Chunk], vector_ids: Sequence[str]
    ) -> None:
        """Stage a version that follows `document`'s; nothing happens when the document has changed meanwhile."""
        with self._database.transaction() as connection:
            live = connection.execute("SELECT version FROM documents WHERE id = :id", id=document.id).fetchone()
            if live != (document.version,):
                return
            connection.execute(
                "DELETE FROM chunks WHERE document_id = :id AND version = :version", id=document.id, version=version
            )
            put_chunks(connection, version, chunks, vector_ids)
            connection.execute(
                upsert(schema.staged, "version", "title", "fingerprint", "chunks"),
                document_id=document.id,
                version=version,
                title=document.title,
                fingerprint=fingerprint,
                chunks=len(chunks),
            )

    def versions(self) -> list[VersionedChunks]:
        """What is staged."""
        rows = self._database.read(
            "SELECT s.document_id, s.version, d.collection_id FROM staged s JOIN documents d ON d.id = s.document_id"
        )
        return [VersionedChunks(*row) for row in rows]

    def chunks(self, version: VersionedChunks) -> tuple[str, list[Chunk]]:
        """The title and the chunks of a staged version."""
        rows = self._database.read(
            f"SELECT {CHUNK_COLUMNS}, s.title "
            "FROM staged s JOIN chunks k ON k.document_id = s.document_id AND k.version = s.version "
            "WHERE s.document_id = :id ORDER BY k.number",
            id=version.document_id,
        )
        return (rows[0].title if rows else ""), [chunk_of(row) for row in rows]

    def switch(self, embedding: dict[str, str]) -> None:
        """Make all staged versions live: the commit point. The versions before become unfinished.

        Raises Conflict when another writer has swept away what was begun (see `Catalog.begin`)."""
        with self._database.transaction() as connection:
            staged = connection.execute("SELECT count(*) FROM staged").scalar()
            begun = connection.execute(
                "DELETE FROM unfinished WHERE (document_id, version) IN (SELECT document_id, version FROM staged)"
            )
            require_begun(begun.rowcount == staged)
            connection.execute(
                "INSERT INTO unfinished (document_id, version, collection_id) "
                "SELECT d.id, d.version, d.collection_id FROM documents d "
                "JOIN staged s ON s.document_id = d.id WHERE true ON CONFLICT DO NOTHING"
            )
            connection.execute(
                "UPDATE documents SET version = s.version, title = s.title, chunks = s.chunks, "
                "fingerprint = s.fingerprint FROM staged s WHERE s.document_id = documents.id"
            )
            connection.execute("DELETE FROM staged")
            connection.execute("DELETE FROM loose_vectors")  # of the old model, whose vectors all go
            connection.execute(
                "DELETE FROM chunks WHERE version <> (SELECT version FROM documents WHERE id = chunks.document_id)"
            )
            connection.execute(PUT_PROPERTY, name="embedding", value=json.dumps(embedding))
            connection.execute("DELETE FROM properties WHERE name = 'staging'")
            connection.execute(NEXT_REVISION)


def _delete_staged(connection: Connection) -> None:
    connection.execute("DELETE FROM chunks WHERE (document_id, version) IN (SELECT document_id, version FROM staged)")
    connection.execute("DELETE FROM staged")
