"""A copy of the vectors in a plain SQLite file beside Chroma's: where those are damaged, nothing is embedded again.

A vector of 384 numbers takes 1.7 kB here, about as much as in Chroma. Each row carries a checksum, so one that the disk
has changed counts as lacking; a file that cannot be read is put aside, and filled again from Chroma.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.types.documents import Vector

logger = logging.getLogger(__name__)

COPY_NAME = "copy.sqlite3"
_CHECKSUM = 4  # bytes behind a vector
_PRAGMAS = (
    "page_size = 16384",  # rows of long vectors fill smaller ones badly
    "auto_vacuum = INCREMENTAL",
    "journal_mode = WAL",
    "secure_delete = ON",
    "synchronous = NORMAL",
)
_TABLE = "CREATE TABLE IF NOT EXISTS vectors (collection TEXT, id TEXT, vector BLOB, PRIMARY KEY (collection, id))"
_LISTED = "collection = ? AND id IN (SELECT value FROM json_each(?))"


class VectorCopy:
    """Vectors by collection and id, float32 of shape (dimension,). Methods may be called from any thread; they raise
    sqlite3.OperationalError where the disk is full or may not be written to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / COPY_NAME
        self._lock = threading.RLock()
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            self._renew(error)

    def close(self) -> None:
        """Close the file, with nothing beside it."""
        with self._lock:
            self._connection.close()

    def put(self, collection: str, vectors: Mapping[str, Vector]) -> None:
        """Store vectors under their ids; an id that is there gets the new vector."""
        rows = [(collection, vector_id, _with_checksum(vector)) for vector_id, vector in vectors.items()]
        self._run("REPLACE INTO vectors VALUES (?, ?, ?)", *rows)

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Vector]:
        """The vectors by id; those that are not there, or not as they were stored, are left out."""
        import numpy as np

        found = self._run(f"SELECT id, vector FROM vectors WHERE {_LISTED}", (collection, json.dumps(list(ids))))  # noqa: S608
        return {
            vector_id: np.frombuffer(row[:-_CHECKSUM], np.float32) for vector_id, row in found if _is_as_stored(row)
        }

    def ids(self, collection: str) -> set[str]:
        """All ids of a collection."""
        found = self._run("SELECT id FROM vectors WHERE collection = ?", (collection,))
        return {vector_id for (vector_id,) in found}

    def count(self, collection: str) -> int:
        """How many vectors a collection has."""
        found = self._run("SELECT count(*) FROM vectors WHERE collection = ?", (collection,))
        return sum(count for (count,) in found)

    def collections(self) -> list[str]:
        """The names of the collections that have vectors."""
        return [name for (name,) in self._run("SELECT DISTINCT collection FROM vectors", ())]

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Delete vectors, from the disk too."""
        self._run(f"DELETE FROM vectors WHERE {_LISTED}", (collection, json.dumps(list(ids))))  # noqa: S608
        self._shrink()

    def delete_collection(self, collection: str) -> None:
        """Delete all vectors of a collection, from the disk too."""
        self._run("DELETE FROM vectors WHERE collection = ?", (collection,))
        self._shrink()

    def _run(self, statement: str, *rows: Sequence[object]) -> list[Any]:
        """What a statement gives, run with each row of values; nothing where the file was damaged, and is empty now."""
        with self._lock:
            for _ in range(2):
                try:
                    with self._connection:
                        if len(rows) == 1:
                            return self._connection.execute(statement, rows[0]).fetchall()
                        self._connection.executemany(statement, rows)
                        return []
                except sqlite3.OperationalError:  # the disk, or the rights
                    raise
                except sqlite3.DatabaseError as error:
                    self._connection.close()
                    self._renew(error)
        return []

    def _shrink(self) -> None:
        with self._lock:
            for pragma in ("incremental_vacuum", "wal_checkpoint(TRUNCATE)"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, check_same_thread=False)
        connection.text_factory = lambda text: text.decode(errors="replace")  # damaged names are names of nothing
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            connection.execute(_TABLE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _renew(self, error: sqlite3.DatabaseError) -> None:
        logger.error("The copy of the vectors in %s is damaged (%s), and is made again.", self._path, error)
        delete_copy(self._path.parent)
        self._connection = self._connect()


def damage_of_copy(folder: Path) -> str:
    """What is wrong with the copy in a folder, of which all is read, and nothing changed; empty where nothing is."""
    if not (folder / COPY_NAME).exists():
        return f"{COPY_NAME} is gone" if any(folder.glob("*")) else ""
    try:
        with closing(sqlite3.connect(folder / COPY_NAME)) as connection:
            [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
            rows = connection.execute("SELECT vector FROM vectors")
            damaged = sum(not _is_as_stored(row) for (row,) in rows)
    except sqlite3.DatabaseError as error:
        return f"{COPY_NAME}: {error}"
    if verdict != "ok":
        return f"{COPY_NAME}: {verdict}"
    return f"{COPY_NAME}: {damaged} vectors are damaged" if damaged else ""


def delete_copy(folder: Path) -> None:
    """Delete the copy in a folder: a new one is filled from Chroma."""
    for path in folder.glob(f"{COPY_NAME}*"):
        path.unlink()


def _with_checksum(vector: Vector) -> bytes:
    import numpy as np

    content = np.asarray(vector, np.float32).tobytes()
    return content + zlib.crc32(content).to_bytes(_CHECKSUM, "big")


def _is_as_stored(row: object) -> bool:
    return isinstance(row, bytes) and zlib.crc32(row[:-_CHECKSUM]) == int.from_bytes(row[-_CHECKSUM:], "big")
