"""Dense vectors in Chroma, embedded or a server: one Chroma collection per document collection and fingerprint.

Records are thin (id and vector): text and metadata live in the catalog, and a metadata filter costs Chroma a hundred
times an unfiltered query. A narrow scope is therefore searched by fetching its vectors by id and comparing them
directly, a wide one by the caller dropping what it may not see. The id is made from the text that was embedded, so
equal texts are one record: a thousand equal vectors would hide their neighbours from each other in the graph.

In a folder, a copy of the vectors and a note of Chroma's files stand beside them: vector_copy.py, integrity.py.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rag.index.chroma_server import QUESTION_PATIENCE, WRITE_PATIENCE, ChromaServer
from rag.index.integrity import FolderNote
from rag.index.lexical import OTHER_WORDS_WEIGHT
from rag.index.vector_copy import VectorCopy
from rag.models.privacy import overwrite_freed_memory

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection as ChromaCollection
    from chromadb.api.types import GetResult, Include

    from rag.types.documents import Vector
    from rag.types.models import Embedding

logger = logging.getLogger(__name__)

_SPACE = {"hnsw": {"space": "cosine", "ef_search": 200}}
_IS_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LARGEST_BODY = 1_000  # vectors sent to a server at once: it takes 40 MB, and a vector may have 3,072 dimensions
DIRECT_COMPARISON = 2_000  # up to so many vectors, comparing all is cheaper than asking for more and dropping


def vector_id(text: str) -> str:
    """The id of the vector of `text`: the same text is the same vector."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


_Answer = TypeVar("_Answer")


class _Opened(NamedTuple):
    """What is open in a place: Chroma, and in a folder a copy of the vectors and a note of the files."""

    client: ClientAPI
    copy: VectorCopy | None = None
    note: FolderNote | None = None


class VectorIndex:
    """The vectors of all collections, made by one embedding model, in a folder or at a server. One process may have a
    folder open at a time. With a server, everything raises BackendUnavailable while it cannot be reached: what reads
    soon, what writes after it has waited for the server to come back."""

    def __init__(self, place: Path | ChromaServer, fingerprint: str, opened: _Opened | None = None) -> None:
        """Open what is there, or share what was `opened`; the files of a folder were looked at by the caller."""
        self._place = place
        self._fingerprint = fingerprint
        self._opened = opened or _open(place)
        self._client, self._copy, self._note = self._opened
        self._batch = self._request(self._client.get_max_batch_size, WRITE_PATIENCE)
        if isinstance(place, ChromaServer):
            self._batch = min(_LARGEST_BODY, self._batch)
        self._collections: dict[str, ChromaCollection] = {}

    def close(self) -> None:
        """Release the files, or the connections."""
        self._collections.clear()
        if isinstance(self._place, ChromaServer):
            self._place.disconnect(self._client)
        else:
            self._client.close()  # type: ignore[attr-defined]
        if self._copy is not None and self._note is not None:
            self._copy.close()
            try:
                self._note.end()
            except OSError as error:  # a full disk, say: all is stored, and the mark stays
                logger.warning("The files of the vectors are not noted, and are probed at the next start: %s", error)

    def of_model(self, fingerprint: str) -> VectorIndex:
        """The vectors of another embedding model in the same place; closed with this one."""
        return VectorIndex(self._place, fingerprint, self._opened)

    def doubt(self) -> None:
        """Have the files probed at the next start: a search failed over them."""
        if self._note is not None:
            self._note.doubt()

    def delete_other_models(self, kept: Collection[str] = ()) -> None:
        """Delete the vectors of all embedding models but this one and those `kept` by fingerprint."""
        for collection in self._request(self._client.list_collections, WRITE_PATIENCE):
            if collection.name.rpartition("-")[2] not in (self._fingerprint, *kept):
                self._delete_collection(collection.name)
        if self._copy is not None:
            for name in self._copy.collections():
                if name.rpartition("-")[2] not in (self._fingerprint, *kept):
                    self._copy.delete_collection(name)

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
        if self._copy is not None:
            self._copy.put(self._name(collection_id), dict(zip(ids, vectors, strict=True)))
        for start in range(0, len(ids), self._batch):
            end = start + self._batch
            self._ask(collection_id, partial(_upsert, list(ids[start:end]), vectors[start:end]), WRITE_PATIENCE)

    def delete(self, collection_id: str, ids: Sequence[str]) -> None:
        """Delete vectors; ids that are not there do not matter."""
        for start in range(0, len(ids), self._batch):
            self._ask(collection_id, partial(_delete, list(ids[start : start + self._batch])), WRITE_PATIENCE)
        if self._copy is not None and ids:
            self._copy.delete(self._name(collection_id), ids)

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

        vectors = self.copied(collection_id, ids)
        others = [vector_id for vector_id in ids if vector_id not in vectors]
        for start in range(0, len(others), self._batch):
            found = self._ask(collection_id, partial(_get, others[start : start + self._batch], ["embeddings"]))
            assert found["embeddings"] is not None
            vectors |= zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True)
        return vectors

    def copied(self, collection_id: str, ids: Sequence[str]) -> dict[str, Vector]:
        """Those of the vectors that the copy has, by id."""
        return self._copy.get(self._name(collection_id), ids) if self._copy is not None and ids else {}

    def is_copied(self, collection_id: str) -> bool:
        """Whether the copy, where there is to be one, has as many vectors as Chroma."""
        return self._copy is None or self._copy.count(self._name(collection_id)) == self.count(collection_id)

    def lacking_copies(self, collection_id: str) -> list[str]:
        """The ids that only Chroma has, sorted; those that only the copy has are deleted."""
        if self._copy is None or self.is_copied(collection_id):
            return []
        name = self._name(collection_id)
        present, copied = set(self.ids(collection_id)), self._copy.ids(name)
        self._copy.delete(name, sorted(copied - present))
        return sorted(present - copied)

    def copy_from_chroma(self, collection_id: str, ids: Sequence[str]) -> None:
        """Give the copy what Chroma has, which is taken to be sound: the copy was lost, or there was none."""
        if self._copy is not None:
            self._copy.put(self._name(collection_id), self.get(collection_id, ids))

    def _name(self, collection_id: str) -> str:
        return f"{collection_id}-{self._fingerprint}"

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
                self._name(collection_id),
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


def _open(place: Path | ChromaServer) -> _Opened:
    if isinstance(place, ChromaServer):
        return _Opened(place.connect())
    place.mkdir(parents=True, exist_ok=True)
    note = FolderNote(place)
    note.begin()  # Chroma writes already now, and again when it first reads a graph
    client = open_client(place)
    try:
        return _Opened(client, VectorCopy(place), note)
    except BaseException:
        client.close()  # type: ignore[attr-defined]
        raise


def open_client(path: Path) -> ClientAPI:
    """Chroma over the files of a folder, which is made if need be. Raises what Chroma raises."""
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


def embed_query(model: Embedding, question: str, other_words: str) -> Vector:
    """The vector of a question; the `other_words` for it have less weight."""
    vector = model.embed_query(question)
    if not other_words:
        return vector
    import numpy as np

    joined: Vector = vector + OTHER_WORDS_WEIGHT * model.embed_query(f"{question} {other_words}")
    joined /= np.linalg.norm(joined)
    return joined
