"""Dense vectors in Chroma, embedded or a server: one Chroma collection per document collection and fingerprint.

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
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rag.index.chroma_server import QUESTION_PATIENCE, WRITE_PATIENCE, ChromaServer
from rag.models.privacy import overwrite_freed_memory

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection as ChromaCollection
    from chromadb.api.types import GetResult, Include

    from rag.types.documents import Vector

_SPACE = {"hnsw": {"space": "cosine", "ef_search": 200}}
_IS_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LARGEST_BODY = 1_000  # vectors sent to a server at once: it takes 40 MB, and a vector may have 3,072 dimensions
DIRECT_COMPARISON = 2_000  # up to so many vectors, comparing all is cheaper than asking for more and dropping


def vector_id(text: str) -> str:
    """The id of the vector of `text`: the same text is the same vector."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


_Answer = TypeVar("_Answer")


class VectorIndex:
    """The vectors of all collections, made by one embedding model, in a folder or at a server. One process may have a
    folder open at a time. With a server, everything raises BackendUnavailable while it cannot be reached: what reads
    soon, what writes after it has waited for the server to come back."""

    def __init__(self, place: Path | ChromaServer, fingerprint: str, client: ClientAPI | None = None) -> None:
        self._place = place
        self._fingerprint = fingerprint
        if isinstance(place, ChromaServer):
            self._client = client or place.connect()
            self._batch = min(_LARGEST_BODY, place.retry(self._client.get_max_batch_size, WRITE_PATIENCE))
        else:
            self._client = client or _open(place)
            self._batch = self._client.get_max_batch_size()
        self._collections: dict[str, ChromaCollection] = {}

    def close(self) -> None:
        """Release the files, or the connections."""
        self._collections.clear()
        if isinstance(self._place, ChromaServer):
            self._place.disconnect(self._client)
        else:
            self._client.close()  # type: ignore[attr-defined]

    def of_model(self, fingerprint: str) -> VectorIndex:
        """The vectors of another embedding model in the same place; closed with this one."""
        return VectorIndex(self._place, fingerprint, self._client)

    def delete_other_models(self, kept: Collection[str] = ()) -> None:
        """Delete the vectors of all embedding models but this one and those `kept` by fingerprint."""
        for collection in self._request(self._client.list_collections, WRITE_PATIENCE):
            if collection.name.rpartition("-")[2] not in (self._fingerprint, *kept):
                self._delete_collection(collection.name)

    def _delete_collection(self, name: str) -> None:
        from chromadb.errors import NotFoundError

        def request() -> None:
            with suppress(NotFoundError):  # the answer to the first attempt was lost
                self._client.delete_collection(name)

        self._request(request, WRITE_PATIENCE)

    def count(self, collection_id: str) -> int:
        """How many vectors the collection has."""
        return self._ask(collection_id, lambda collection: collection.count())

    def ids(self, collection_id: str) -> list[str]:
        """All ids of the collection; reads the whole of it."""
        found = self._ask(collection_id, lambda collection: collection.get(include=[]), WRITE_PATIENCE)
        return list(found["ids"])

    def present(self, collection_id: str, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that are there."""
        found: set[str] = set()
        for start in range(0, len(ids), self._batch):
            batch = list(ids[start : start + self._batch])
            found.update(self._ask(collection_id, partial(_get, batch, []), WRITE_PATIENCE)["ids"])
        return found

    def add(self, collection_id: str, ids: Sequence[str], vectors: Vector | Sequence[Vector]) -> None:
        """Store vectors of shape (len(ids), dimension) under their ids; an id that is there gets the new vector."""
        for start in range(0, len(ids), self._batch):
            end = start + self._batch
            self._ask(collection_id, partial(_upsert, list(ids[start:end]), vectors[start:end]), WRITE_PATIENCE)

    def delete(self, collection_id: str, ids: Sequence[str]) -> None:
        """Delete vectors; ids that are not there do not matter."""
        for start in range(0, len(ids), self._batch):
            self._ask(collection_id, partial(_delete, list(ids[start : start + self._batch])), WRITE_PATIENCE)

    def search(self, collection_id: str, query: Vector, limit: int) -> list[tuple[str, float]]:
        """The nearest ids with their cosine similarity, best first."""
        # a collection may have fewer, or none: Chroma gives what there is, and takes long to count
        found = self._ask(
            collection_id,
            lambda collection: collection.query(
                query_embeddings=query[None, :], n_results=limit, include=["distances"]
            ),
        )
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

        vectors: dict[str, Vector] = {}
        for start in range(0, len(ids), self._batch):
            found = self._ask(collection_id, partial(_get, list(ids[start : start + self._batch]), ["embeddings"]))
            assert found["embeddings"] is not None
            vectors |= zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True)
        return vectors

    def _request(self, request: Callable[[], _Answer], patience: float) -> _Answer:
        return self._place.retry(request, patience) if isinstance(self._place, ChromaServer) else request()

    def _ask(
        self,
        collection_id: str,
        question: Callable[[ChromaCollection], _Answer],
        patience: float = QUESTION_PATIENCE,
    ) -> _Answer:
        """What `question` has of a collection, which is made if need be."""
        return self._request(lambda: question(self._collection(collection_id)), patience)

    def _collection(self, collection_id: str) -> ChromaCollection:
        if collection_id not in self._collections:
            self._collections[collection_id] = self._client.get_or_create_collection(
                f"{collection_id}-{self._fingerprint}",
                configuration=_SPACE,  # type: ignore[arg-type]
                embedding_function=None,
            )
        return self._collections[collection_id]


def _get(ids: list[str], include: Include, collection: ChromaCollection) -> GetResult:
    return collection.get(ids=ids, include=include)


def _upsert(ids: list[str], vectors: Vector | Sequence[Vector], collection: ChromaCollection) -> None:
    collection.upsert(ids=ids, embeddings=vectors)  # type: ignore[arg-type]


def _delete(ids: list[str], collection: ChromaCollection) -> None:
    collection.delete(ids=ids)


def _open(path: Path) -> ClientAPI:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient
    from chromadb.config import Settings as ChromaSettings

    overwrite_freed_memory()
    path.mkdir(parents=True, exist_ok=True)
    _delete_left_folders(path)
    try:
        return chromadb.PersistentClient(path, settings=ChromaSettings(anonymized_telemetry=False))
    except Exception:
        SharedSystemClient.clear_system_cache()  # else a later attempt at this path gets the broken one again
        raise


def _delete_left_folders(path: Path) -> None:
    """Delete the graphs of collections that are no more: Chroma deletes a collection's records and leaves its files."""
    database = path / "chroma.sqlite3"
    if not database.exists():
        return
    with closing(sqlite3.connect(database)) as connection:
        segments = {name for (name,) in connection.execute("SELECT id FROM segments")}
    for folder in path.iterdir():
        if folder.is_dir() and _IS_SEGMENT.fullmatch(folder.name) and folder.name not in segments:
            shutil.rmtree(folder)
