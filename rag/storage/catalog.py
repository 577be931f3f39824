"""The catalog: the one truth about collections, documents and their text, in a database.

Vectors and words are indexes under the ids kept here. A chunk exists when its version is the live version of its
document, so the transaction in `commit_document` is the moment at which a document changes for everybody.

All methods block for at most milliseconds, except those that write a whole document.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rag.errors import InvalidRequest, NotFound
from rag.storage import conversations, feedback, name_tokens, response_conversations, responses, schema
from rag.storage.database import Connection, Database
from rag.storage.ids import new_id, now
from rag.storage.rows import (
    CHUNK_COLUMNS,
    NEXT_REVISION,
    PUT_PROPERTY,
    SELECT_COLLECTIONS,
    SELECT_DOCUMENTS,
    chunk_of,
    collection_of,
    document_of,
    put_chunks,
    put_document,
    put_sections,
    require_begun,
    upsert,
)
from rag.storage.sqlite import SqliteDatabase
from rag.types.documents import LOCAL_NAME, LOCAL_PRINCIPAL, Chunk, ChunkId, Collection, Document, Scope, Section

DEFAULT_COLLECTION = "default"

_LIVE_CHUNKS = "chunks k JOIN documents d ON d.id = k.document_id AND d.version = k.version"
_BATCH = 500  # keys a statement: SQLite's limit on variables is far above


@dataclass(frozen=True, slots=True)
class VersionedChunks:
    """The chunks of one version of one document, whose ids are `{document}:{version}:{number}`."""

    document_id: str
    version: int
    collection_id: str

    @property
    def name(self) -> str:
        """`{document}:{version}`."""
        return f"{self.document_id}:{self.version}"


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with what a hit shows of its document."""

    chunk: Chunk
    collection_id: str
    title: str
    source: str


def unknown_document(document_id: str) -> NotFound:
    """The error for a document that is not there, or not for who asks."""
    return NotFound(f"There is no document {document_id!r}.", hint="`ingest ls` lists the documents.")


class Catalog:
    """An open catalog. Close it when done. Raises ConfigurationError when the file is damaged, Conflict when a newer
    program wrote it."""

    def __init__(self, place: Path | Database) -> None:
        """Open the catalog in a SQLite file or an open database, which is closed with it."""
        self.database: Database = SqliteDatabase(place) if isinstance(place, Path) else place
        self._read = self.database.read
        self._transaction = self.database.transaction
        self.database.write(
            "INSERT INTO principals (id, name, created_at, is_admin) VALUES (:id, :name, :now, 1) "
            "ON CONFLICT DO NOTHING",
            id=LOCAL_PRINCIPAL,
            name=LOCAL_NAME,
            now=now(),
        )
        self.create_collection(DEFAULT_COLLECTION)
        self._note_names()

    def close(self) -> None:
        """Close the connections of all threads."""
        self.database.close()

    def census(self) -> dict[str, tuple[int, int]]:
        """How many documents there are, and how many chunks, by the documents' status."""
        rows = self._read("SELECT status, count(*), CAST(sum(chunks) AS BIGINT) FROM documents GROUP BY status")
        return {status: (documents, chunks) for status, documents, chunks in rows}

    # ------------------------------------------------------------------------------------------------ collections

    def collections(self) -> list[Collection]:
        """All collections by name."""
        return [collection_of(row) for row in self._read(f"{SELECT_COLLECTIONS} ORDER BY c.name")]

    def creation_times(self) -> dict[str, str]:
        """When each collection was made, by its id, and the catalog itself, by that of this machine's principal."""
        rows = self._read(
            "SELECT id, created_at FROM collections UNION ALL SELECT id, created_at FROM principals WHERE id = :local",
            local=LOCAL_PRINCIPAL,
        )
        return {row.id: row.created_at for row in rows}

    def collection(self, name: str = DEFAULT_COLLECTION) -> Collection:
        """The collection of that name or id. Raises NotFound."""
        row = self.database.first(f"{SELECT_COLLECTIONS} WHERE c.name = :name OR c.id = :name", name=name)
        if row is None:
            known = ", ".join(collection.name for collection in self.collections())
            raise NotFound(f"There is no collection {name!r}.", hint=f"There are: {known}.")
        return collection_of(row)

    def collections_called(self, name: str) -> list[Collection]:
        """The collections with that id, name or label, the oldest first."""
        rows = self._read(f"{SELECT_COLLECTIONS} WHERE :name IN (c.id, c.name, c.label) ORDER BY c.rowid", name=name)
        return [collection_of(row) for row in rows]

    def is_all(self, collection_ids: Sequence[str]) -> bool:
        """Whether no other collection has a document."""
        others = self._read(
            "SELECT 1 FROM collections c WHERE c.id NOT IN (SELECT value FROM json_each(:ids)) "
            "AND EXISTS (SELECT 1 FROM documents d WHERE d.collection_id = c.id) LIMIT 1",
            ids=json.dumps(collection_ids),
        )
        return not others

    def create_collection(self, name: str) -> Collection:
        """The collection of that name, made if need be. Raises InvalidRequest for a name that looks like an id."""
        if name.startswith("vs_"):
            raise InvalidRequest(f"There is no collection {name!r}.", hint="The name of a new one cannot begin so.")
        self.database.write(
            "INSERT INTO collections (id, name, owner_id, created_at) VALUES (:id, :name, :owner, :now) "
            "ON CONFLICT DO NOTHING",
            id=new_id("vs"),
            name=name,
            owner=LOCAL_PRINCIPAL,
            now=now(),
        )
        return self.collection(name)

    def delete_collection(self, collection_id: str) -> bool:
        """Delete a collection if it is empty; whether it is gone."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM collections WHERE id = :id AND NOT EXISTS "
                "(SELECT 1 FROM documents WHERE collection_id = :id)",
                id=collection_id,
            )
            return not connection.execute("SELECT 1 FROM collections WHERE id = :id", id=collection_id).fetchone()

    # -------------------------------------------------------------------------------------------------- documents

    def documents(self, collection: str | None = None) -> list[Document]:
        """All documents, or those of one collection (name or id), by source."""
        of_collection = None if collection is None else self.collection(collection).id
        where = "" if of_collection is None else " AND c.id = :id"
        rows = self._read(f"{SELECT_DOCUMENTS}{where} ORDER BY c.name, d.source", id=of_collection)
        return [document_of(row) for row in rows]

    def latest_documents(self, scope: Scope, limit: int) -> tuple[list[Document], int]:
        """Up to `limit` documents of the scope that can be searched, those changed last first, and how many there are
        in all."""
        where = "d.version > 0 AND d.collection_id IN (SELECT value FROM json_each(:ids))"
        within, values = _within(replace(scope, pages=None))
        values |= {"ids": json.dumps(scope.collection_ids)}
        rows = self._read(
            f"{SELECT_DOCUMENTS} AND {where}{within} ORDER BY d.updated_at DESC, d.rowid DESC LIMIT :limit",
            limit=limit,
            **values,
        )
        (total,) = self._read(f"SELECT count(*) FROM documents d WHERE {where}{within}", **values)[0]
        return [document_of(row) for row in rows], total

    def document(self, document_id: str) -> Document:
        """The document of that id. Raises NotFound."""
        document = self.find_document(document_id)
        if document is None:
            raise unknown_document(document_id)
        return document

    def documents_named(self, name: str, collection_ids: Sequence[str]) -> list[Document]:
        """The documents in these collections whose file has that name, whatever the case of its (ASCII) letters."""
        rows = self._read(
            f"{SELECT_DOCUMENTS} AND d.version > 0 AND d.collection_id IN (SELECT value FROM json_each(:ids)) "
            f"AND (lower(d.source) = :name OR lower(d.source) LIKE :end) ORDER BY d.source",
            ids=json.dumps(collection_ids),
            name=name,
            end=f"%/{name}",
        )
        return [document_of(row) for row in rows]

    def find_document(self, document_id: str) -> Document | None:
        """The document of that id, if there is one."""
        row = self.database.first(f"{SELECT_DOCUMENTS} AND d.id = :id", id=document_id)
        return None if row is None else document_of(row)

    def document_of_source(self, collection: str, source: str) -> Document | None:
        """The document that stands for that source in the collection (name or id), if both exist."""
        row = self.database.first(
            f"{SELECT_DOCUMENTS} AND d.source = :source "
            "AND d.collection_id = (SELECT id FROM collections WHERE name = :collection OR id = :collection)",
            source=source,
            collection=collection,
        )
        return None if row is None else document_of(row)

    def documents_of_content(self, sha256: str) -> list[Document]:
        """The documents whose bytes have that hash, oldest first."""
        rows = self._read(f"{SELECT_DOCUMENTS} AND d.sha256 = :sha256 ORDER BY d.created_at, d.id", sha256=sha256)
        return [document_of(row) for row in rows]

    def documents_of_file(self, file_id: str) -> list[Document]:
        """The documents that were made of an uploaded file."""
        return [document_of(row) for row in self._read(f"{SELECT_DOCUMENTS} AND d.file_id = :id", id=file_id)]

    def sections(self, document_id: str) -> list[Section]:
        """The extracted text of a document as its loader gave it."""
        rows = self._read(
            "SELECT text, page_index, label, heading, record_id FROM sections WHERE document_id = :id ORDER BY number",
            id=document_id,
        )
        return [Section(*row) for row in rows]

    def page_text(self, document_id: str, page_index: int | None) -> str:
        """The extracted text of one page (of the whole file where it has no pages); empty if unknown."""
        rows = self._read(
            "SELECT text FROM sections WHERE document_id = :id AND coalesce(page_index, -1) = :page ORDER BY number",
            id=document_id,
            page=-1 if page_index is None else page_index,
        )
        return "".join(text for (text,) in rows)

    def headings(self, collection_ids: Sequence[str], limit: int) -> list[tuple[str, str]]:
        """Up to `limit` pairs (document title, heading), different documents first; documents without headings too."""
        rows = self._read(
            """
            SELECT title, heading FROM (
                SELECT d.title, k.heading, row_number() OVER (PARTITION BY d.id ORDER BY min(k.number)) AS place
                FROM documents d JOIN chunks k ON k.document_id = d.id AND k.version = d.version
                WHERE d.collection_id IN (SELECT value FROM json_each(:ids)) GROUP BY d.id, k.heading
            ) headed ORDER BY place, title LIMIT :limit
            """,
            ids=json.dumps(collection_ids),
            limit=limit,
        )
        return [(row.title, row.heading) for row in rows]

    # ----------------------------------------------------------------------------------------------------- chunks

    def chunks(self, ids: Sequence[str]) -> dict[str, StoredChunk]:
        """The live chunks among `ids`. What is not live (deleted, replaced, never committed) is simply missing."""
        found: dict[str, StoredChunk] = {}
        keys = [ChunkId(chunk_id).parts for chunk_id in ids]
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            wanted = ", ".join([f"({', '.join([self.database.PLACE] * 3)})"] * len(batch))
            for row in self.database.read_fast(
                f"""
                WITH wanted(document_id, version, number) AS (VALUES {wanted})
                SELECT {CHUNK_COLUMNS}, d.collection_id, d.title, d.source
                FROM wanted w CROSS JOIN chunks k JOIN documents d ON d.id = k.document_id AND d.version = k.version
                WHERE k.document_id = w.document_id AND k.version = w.version AND k.number = w.number
                """,
                [value for key in batch for value in key],
            ):
                chunk = chunk_of(row)
                found[chunk.id] = StoredChunk(chunk, *row[-3:])
        return found

    def live_versions(self, document_ids: Iterable[str]) -> list[VersionedChunks]:
        """The live versions of these documents; unknown documents are left out."""
        listed = f"SELECT value FROM json_each({self.database.PLACE})"
        rows = self.database.read_fast(
            f"SELECT id, version, collection_id FROM documents WHERE id IN ({listed})",
            [json.dumps(list(document_ids))],
        )
        return [VersionedChunks(*row) for row in rows]

    def chunks_of(self, document_id: str) -> Iterator[Chunk]:
        """All live chunks of a document, in order."""
        rows = self._read(
            f"SELECT {CHUNK_COLUMNS} FROM {_LIVE_CHUNKS} WHERE k.document_id = :id ORDER BY k.number",
            id=document_id,
        )
        return (chunk_of(row) for row in rows)

    # ---------------------------------------------------------------------------------------------------- vectors

    def vector_ids(self, document_id: str) -> list[str]:
        """The ids of a document's vectors, one a live chunk, in order."""
        rows = self._read(f"SELECT k.vector_id FROM {_LIVE_CHUNKS} WHERE d.id = :id ORDER BY k.number", id=document_id)
        return [vector_id for (vector_id,) in rows]

    def chunks_of_vectors(
        self, collection_id: str, vector_ids: Sequence[str], scope: Scope | None = None
    ) -> dict[str, list[str]]:
        """The ids of the collection's live chunks (of those in the scope) that each vector stands for, where any is."""
        plus = self.database.UNINDEXED  # else SQLite looks through all documents of the collection, or of the scope
        within, values = _within(scope, plus)
        where = (
            f"{plus}d.collection_id = :collection AND k.vector_id IN (SELECT value FROM json_each(:vectors)){within}"
        )
        return self._by_vector(where, collection=collection_id, vectors=json.dumps(list(vector_ids)), **values)

    def vectors_within(self, collection_id: str, scope: Scope) -> dict[str, list[str]]:
        """Like `chunks_of_vectors`, for all vectors: the chunks in the scope's documents and pages."""
        within, values = _within(scope)
        plus = "" if scope.document_ids is None else self.database.UNINDEXED  # few documents are found by their ids
        return self._by_vector(f"{plus}d.collection_id = :collection{within}", collection=collection_id, **values)

    def _by_vector(self, where: str, **values: object) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        chunks = f"SELECT k.vector_id, k.document_id, k.version, k.number FROM {_LIVE_CHUNKS} WHERE {where}"
        for vector_id, document_id, version, number in self._read(chunks, **values):
            found[vector_id].append(ChunkId.of(document_id, version, number))
        return found

    def count_chunks(self, collection_id: str, document_ids: Iterable[str]) -> int:
        """How many chunks these documents have, as far as they are in the collection."""
        plus = self.database.UNINDEXED
        rows = self._read(
            f"SELECT coalesce(sum(chunks), 0) FROM documents WHERE {plus}collection_id = :collection "
            "AND id IN (SELECT value FROM json_each(:ids))",
            collection=collection_id,
            ids=json.dumps(list(document_ids)),
        )
        return int(rows[0][0])

    def count_vectors(self, collection_id: str) -> int:
        """How many vectors the collection's live chunks need."""
        chunks = f"{_LIVE_CHUNKS} WHERE d.collection_id = :id"
        return int(self._read(f"SELECT count(DISTINCT k.vector_id) FROM {chunks}", id=collection_id)[0][0])

    # ------------------------------------------------------------------------------------------------ the write side

    def _note_names(self) -> None:
        """Note the names of all documents, if another version of the program noted them or none did."""
        if self.property("names") == name_tokens.NAMES_VERSION:
            return
        with self._transaction() as connection:
            for document_id, title, source in connection.execute("SELECT id, title, source FROM documents").fetchall():
                name_tokens.put_names(connection, document_id, title, source)
        self.set_property("names", name_tokens.NAMES_VERSION)

    @property
    def revision(self) -> int:
        """A number that grows with every change of documents; an index that has seen it is up to date."""
        return int(self._read("SELECT value FROM properties WHERE name = 'revision'")[0][0])

    def property(self, name: str) -> str | None:
        """A stored property of the whole catalog, such as the fingerprint that the vectors were made with."""
        row = self.database.first("SELECT value FROM properties WHERE name = :name", name=name)
        return None if row is None else str(row.value)

    def set_property(self, name: str, value: str) -> None:
        """Store a property of the whole catalog."""
        self.database.write(PUT_PROPERTY, name=name, value=value)

    def begin(self, versions: Sequence[VersionedChunks], vectors: Mapping[str, Iterable[str]]) -> None:
        """Note what is about to be written, so that a crash leaves a trace: versions, and vector ids by collection."""
        with self._transaction() as connection:
            connection.executemany(upsert(schema.unfinished), [asdict(version) for version in versions])
            connection.executemany(
                upsert(schema.loose_vectors),
                [
                    {"collection_id": collection_id, "vector_id": vector_id}
                    for collection_id, ids in vectors.items()
                    for vector_id in ids
                ],
            )

    def commit_document(
        self, document: Document, sections: Sequence[Section], chunks: Sequence[Chunk], vector_ids: Sequence[str]
    ) -> None:
        """Make this the live version: the commit point. The one before becomes `unfinished`. Raises Conflict when
        another writer has swept away what was begun."""
        with self._transaction() as connection:
            collection_id = self.collection(document.collection).id
            begun = connection.execute(
                "DELETE FROM unfinished WHERE document_id = :id AND version = :version",
                id=document.id,
                version=document.version,
            )
            require_begun(begun.rowcount == 1)
            _note_live_version(connection, document.id)
            put_document(connection, document, collection_id)
            for table in ("sections", "chunks", "staged"):
                connection.execute(f"DELETE FROM {table} WHERE document_id = :id", id=document.id)
            put_sections(connection, document.id, sections)
            put_chunks(connection, document.version, chunks, vector_ids)
            connection.execute(NEXT_REVISION)

    def put_record(self, document: Document) -> None:
        """Store what is known of a document without touching its text: a failure, a new modification time.

        Nothing happens when the document was deleted, or got a newer version, since the caller read it, or another has
        its source; one that was never stored (version 0) is added."""
        with self._transaction() as connection:
            row = connection.execute("SELECT version FROM documents WHERE id = :id", id=document.id).fetchone()
            other = self.document_of_source(document.collection, document.source)
            if (row[0] if row else 0) == document.version and (other is None or other.id == document.id):
                put_document(connection, document, self.collection(document.collection).id)

    def delete_documents(self, document_ids: Sequence[str]) -> None:
        """Delete documents and their text; the commit point of it. Raises NotFound before anything is done."""
        with self._transaction() as connection:
            for document_id in document_ids:
                _note_live_version(connection, document_id)
                if not connection.execute("DELETE FROM documents WHERE id = :id", id=document_id).rowcount:
                    raise unknown_document(document_id)
                for repository in (conversations, feedback, response_conversations, responses):  # what may quote it
                    repository.delete_of_document(connection, document_id)
            connection.execute(NEXT_REVISION)

    def unfinished(self) -> list[VersionedChunks]:
        """Versions whose words are not wanted: never committed, replaced, or deleted."""
        rows = self._read("SELECT document_id, version, collection_id FROM unfinished")
        return [VersionedChunks(*row) for row in rows]

    def loose_vectors(self) -> dict[str, list[str]]:
        """Vectors, by collection, that no live chunk needs (any more)."""
        loose = defaultdict(list)
        needed = f"SELECT 1 FROM {_LIVE_CHUNKS} WHERE k.vector_id = l.vector_id AND d.collection_id = l.collection_id"
        sql = f"SELECT collection_id, vector_id FROM loose_vectors l WHERE NOT EXISTS ({needed})"
        for collection_id, vector_id in self._read(sql):
            loose[collection_id].append(vector_id)
        return loose

    def has_loose_vectors(self) -> bool:
        """Whether vectors are noted whose need is to be looked at."""
        return bool(self._read("SELECT 1 FROM loose_vectors LIMIT 1"))

    def finish(self) -> None:
        """Note that all that was unfinished or loose is gone from words and vectors."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM unfinished")
            connection.execute("DELETE FROM loose_vectors")


def _within(scope: Scope | None, plus: str = "") -> tuple[str, dict[str, object]]:
    """What keeps chunks `k` of documents `d` to the scope's documents and pages, and the values for it."""
    where, values = "", dict[str, object]()
    if scope is not None and scope.document_ids is not None:
        where += f" AND {plus}d.id IN (SELECT value FROM json_each(:documents))"
        values["documents"] = json.dumps(sorted(scope.document_ids))
    if scope is not None and scope.pages is not None:
        where += " AND k.page_index BETWEEN :first AND :last"
        values |= {"first": scope.pages[0] - 1, "last": scope.pages[1] - 1}
    return where, values


def _note_live_version(connection: Connection, document_id: str) -> None:
    """The live version is about to go: its words become unfinished, its vectors loose."""
    connection.execute(
        "INSERT INTO unfinished (document_id, version, collection_id) "
        "SELECT id, version, collection_id FROM documents WHERE id = :id ON CONFLICT DO NOTHING",
        id=document_id,
    )
    connection.execute(
        f"INSERT INTO loose_vectors (collection_id, vector_id) SELECT d.collection_id, k.vector_id "
        f"FROM {_LIVE_CHUNKS} WHERE d.id = :id ON CONFLICT DO NOTHING",
        id=document_id,
    )
