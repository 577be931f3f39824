"""Dense vectors in an embedded Chroma: one Chroma collection per document collection and embedding fingerprint.

Records are thin (id and vector): text and metadata live in the catalog, and a metadata filter costs Chroma a hundred
times an unfiltered query. A narrow scope is therefore searched by fetching its vectors by id and comparing them
directly, a wide one by the caller dropping what it may not see. The id is made from the text that was embedded, so
equal texts are one record: a thousand equal vectors would hide their neighbours from each other in the graph.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rag.privacy import overwrite_freed_memory

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection as ChromaCollection

    from rag.types import Vector

_SPACE = {"hnsw": {"space": "cosine", "ef_search": 200}}
_IS_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIRECT_COMPARISON = 2_000  # up to so many vectors, comparing all is cheaper than asking for more and dropping


def vector_id(text: str) -> str:
    """The id of the vector of `text`: the same text is the same vector."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class VectorIndex:
    """The vectors of all collections, made by one embedding model. One process may have it open at a time."""

    def __init__(self, path: Path, fingerprint: str, client: ClientAPI | None = None) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._client = client or _open(path)
        self._batch = self._client.get_max_batch_size()
        self._collections: dict[str, ChromaCollection] = {}

    def close(self) -> None:
        """Release the files."""
        self._collections.clear()
        self._client.close()  # type: ignore[attr-defined]

    def of_model(self, fingerprint: str) -> VectorIndex:
        """The vectors of another embedding model in the same folder; closed with this one."""
        return VectorIndex(self._path, fingerprint, self._client)

    def drop_other_models(self, kept: Collection[str] = ()) -> None:
        """Delete the vectors of all embedding models but this one and those `kept` by fingerprint."""
        for collection in self._client.list_collections():
            if collection.name.rpartition("-")[2] not in (self._fingerprint, *kept):
                self._client.delete_collection(collection.name)

    def count(self, collection_id: str) -> int:
        """How many vectors the collection has."""
        return self._collection(collection_id).count()

    def ids(self, collection_id: str) -> list[str]:
        """All ids of the collection; reads the whole of it."""
        return list(self._collection(collection_id).get(include=[])["ids"])

    def present(self, collection_id: str, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that are there."""
        collection = self._collection(collection_id)
        found: set[str] = set()
        for start in range(0, len(ids), self._batch):
            found.update(collection.get(ids=list(ids[start : start + self._batch]), include=[])["ids"])
        return found

    def add(self, collection_id: str, ids: Sequence[str], vectors: Vector | Sequence[Vector]) -> None:
        """Store vectors of shape (len(ids), dimension) under their ids; an id that is there gets the new vector."""
        collection = self._collection(collection_id)
        for start in range(0, len(ids), self._batch):
            end = start + self._batch
            collection.upsert(ids=list(ids[start:end]), embeddings=vectors[start:end])  # type: ignore[arg-type]

    def remove(self, collection_id: str, ids: Sequence[str]) -> None:
        """Remove vectors; ids that are not there do not matter."""
        collection = self._collection(collection_id)
        for start in range(0, len(ids), self._batch):
            collection.delete(ids=list(ids[start : start + self._batch]))

    def search(self, collection_id: str, query: Vector, limit: int) -> list[tuple[str, float]]:
        """The nearest ids with their cosine similarity, best first."""
        collection = self._collection(collection_id)
        # a collection may have fewer, or none: Chroma gives what there is, and takes long to count
        found = collection.query(query_embeddings=query[None, :], n_results=limit, include=["distances"])
        assert found["distances"] is not None
        return [(chunk_id, 1.0 - float(d)) for chunk_id, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def compare(self, collection_id: str, query: Vector, ids: Sequence[str], limit: int) -> list[tuple[str, float]]:
        """The nearest among `ids` with their cosine similarity, best first; exact, and in time linear in `ids`."""
        import numpy as np

        found = self.get(collection_id, ids)
        if not found:
            return []
        similarities = np.stack(list(found.values())) @ query
        best = np.argsort(-similarities, kind="stable")[:limit]
        names = list(found)
        return [(names[place], float(similarities[place])) for place in best]

    def get(self, collection_id: str, ids: Sequence[str]) -> dict[str, Vector]:
        """The stored vectors by id; ids that are not there are left out."""
        import numpy as np

        collection = self._collection(collection_id)
        vectors: dict[str, Vector] = {}
        for start in range(0, len(ids), self._batch):
            found = collection.get(ids=list(ids[start : start + self._batch]), include=["embeddings"])
            assert found["embeddings"] is not None
            vectors |= zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True)
        return vectors

    def _collection(self, collection_id: str) -> ChromaCollection:
        if collection_id not in self._collections:
            self._collections[collection_id] = self._client.get_or_create_collection(
                f"{collection_id}-{self._fingerprint}",
                configuration=_SPACE,  # type: ignore[arg-type]
                embedding_function=None,
            )
        return self._collections[collection_id]


def _open(path: Path) -> ClientAPI:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient
    from chromadb.config import Settings as ChromaSettings

    overwrite_freed_memory()
    path.mkdir(parents=True, exist_ok=True)
    _drop_left_folders(path)
    try:
        return chromadb.PersistentClient(path, settings=ChromaSettings(anonymized_telemetry=False))
    except Exception:
        SharedSystemClient.clear_system_cache()  # else a later attempt at this path gets the broken one again
        raise


def _drop_left_folders(path: Path) -> None:
    """Delete the graphs of collections that are no more: Chroma deletes a collection's records and leaves its files."""
    database = path / "chroma.sqlite3"
    if not database.exists():
        return
    with closing(sqlite3.connect(database)) as connection:
        segments = {name for (name,) in connection.execute("SELECT id FROM segments")}
    for folder in path.iterdir():
        if folder.is_dir() and _IS_SEGMENT.fullmatch(folder.name) and folder.name not in segments:
            shutil.rmtree(folder)
