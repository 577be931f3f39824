"""Asks Chroma for what it has, in a process of its own: `python -m rag.index.probe FOLDER [--deep]`.

Over damaged files it may crash or hang. Otherwise this prints what is wrong, or nothing: each vector must be there, be
what the copy says, and be found as its own nearest. Without `--deep` so many are looked for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag.index.dense import open_client
from rag.index.vector_copy import VectorCopy, damage_of_copy

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

_BATCH = 1_000
_SAMPLE = 5_000  # vectors of a collection that are looked for
_SAME = 1e-3  # cosine distance


def main() -> None:
    """Print what is wrong."""
    folder, is_deep = Path(sys.argv[1]), "--deep" in sys.argv
    client = open_client(folder)
    copy = None if damage_of_copy(folder) else VectorCopy(folder)  # which would delete a damaged one
    collections = (client.get_collection(named.name, embedding_function=None) for named in client.list_collections())
    problems = (_problem(collection, copy, is_deep) for collection in collections)
    print(next(filter(None, problems), ""))


def _problem(collection: Collection, copy: VectorCopy | None, is_deep: bool) -> str:
    ids = collection.get(include=[])["ids"]
    step = 1 if is_deep else 1 + len(ids) // _SAMPLE
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        found = collection.get(ids=batch, include=["embeddings"])
        vectors = dict(zip(found["ids"], np.asarray(found["embeddings"], np.float32), strict=True))
        if len(vectors) < len(batch):
            return f"{len(batch) - len(vectors)} vectors of {collection.name} are gone"
        copied = copy.get(collection.name, batch) if copy is not None else {}
        for vector_id, stored in copied.items():
            if not 1 - _cosine(stored, vectors[vector_id]) < _SAME:
                return f"a vector of {collection.name} is not what it was"
        for vector_id in batch[::step]:
            nearest = collection.query(query_embeddings=vectors[vector_id][None, :], n_results=1, include=["distances"])
            distances = nearest["distances"]
            if not distances or not distances[0] or not distances[0][0] < _SAME:
                return f"a vector of {collection.name} is not found"
    return ""


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) or 1.0))


if __name__ == "__main__":
    main()
