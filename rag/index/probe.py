"""Asks Chroma for what it has, in a process of its own: `python -m rag.index.probe FOLDER SECONDS [--deep]`.

Over damaged files it may crash or hang; after SECONDS of processor time it is ended by a signal. Otherwise this prints
what is wrong, or `sound`: each vector must be there, be what the copy says, and be found as its own nearest. Without
`--deep` so many are looked for. Whatever else goes wrong (a library, the memory, the disk) ends it with an error.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import chromadb  # noqa: F401 - where it cannot be imported, that is not the fault of the files
import numpy as np

from rag.index.dense import open_client
from rag.index.integrity import PROBED_SOUND
from rag.index.vector_copy import VectorCopy, damage_of_copy
from rag.storage.unwritable import unwritable

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

_BATCH = 1_000
_SAMPLE = 5_000  # vectors of a collection that are looked for
_ROOM, _TIMES_ITS_SIZE = 2 << 30, 4  # bytes, and times the size of the folder, that Chroma may take
_SAME = 1e-3  # cosine distance


def main() -> None:
    """Print what is wrong."""
    folder, seconds, is_deep = Path(sys.argv[1]), int(sys.argv[2]), "--deep" in sys.argv
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    _limit_memory(folder)
    try:
        problem = _first_problem(folder, is_deep)
    except (OSError, ImportError, MemoryError):
        raise
    except BaseException as error:  # Chroma's panics are no Exceptions
        is_panic = type(error).__name__ == "PanicException"
        if unwritable(error, folder) or not (is_panic or isinstance(error, Exception)):
            raise
        problem = f"Chroma fails: {' '.join(str(error).split())[:200] or repr(error)}"
    print(problem or PROBED_SOUND)


def _limit_memory(folder: Path) -> None:
    """No more than a sound folder of this size could need: a length that is read out of damaged bytes may be any."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux
        return
    taken = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmData"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    most = taken + _ROOM + _TIMES_ITS_SIZE * size
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _first_problem(folder: Path, is_deep: bool) -> str:
    client = open_client(folder)
    copy = None if damage_of_copy(folder) else VectorCopy(folder)  # which would delete a damaged one
    collections = (client.get_collection(named.name, embedding_function=None) for named in client.list_collections())
    problems = (_problem(collection, copy, is_deep) for collection in collections)
    problem = next(filter(None, problems), "")
    if copy is not None:
        copy.close()
    client.close()  # type: ignore[attr-defined]
    return problem


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
