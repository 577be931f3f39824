"""Kills an ingest at random moments: `python -m tests.ingest.kill_driver BEFORE FOLDER SCRATCH POINTS`.

BEFORE is a storage folder in which an older state of FOLDER was ingested. For every point a fresh copy of it is
ingested by a forked child that gets SIGKILL at a random moment, every other time while the catalog is being written;
the copy is then judged as it lies there, ingested again to the end, and judged again. Prints a JSON line a point: how
far the killed run had come, and what was wrong.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import chromadb  # noqa: F401 - imported once, before the children are forked
import tantivy  # noqa: F401

from ingest.ingestor import Ingestor
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings, Settings
from rag.types.ingest import IngestOptions

State = dict[str, list[str]]
CATALOG_LOG = "catalog.sqlite3-wal"
EMBEDDING = open_embedding(EmbeddingSettings(model="bag-of-words"))


def take_in(storage: Path, folder: Path) -> None:
    settings = Settings(_env_file=None, storage={"dir": storage}, embedding={"model": "bag-of-words"})
    with closing(Index(storage, EMBEDDING)) as index, Ingestor(settings, index) as ingestor:
        for _ in ingestor.add_paths([folder], "default", IngestOptions(prune=True)):
            pass


def judge(storage: Path) -> State:
    """File name → texts of its chunks; raises when catalog, vectors and words do not agree."""
    with closing(Index(storage, EMBEDDING)) as index:
        documents = index.catalog.documents()
        vectors = {vector for document in documents for vector in index.catalog.vector_ids(document.id)}
        assert set(index._vectors.ids(index.catalog.collection().id)) == vectors
        assert index._lexical.count() == sum(document.chunks for document in documents)
        assert not index.catalog.unfinished()
        return {Path(d.source).name: [c.text for c in index.catalog.chunks_of(d.id)] for d in documents}


def in_child(work: Callable[[], object], kill_when: Callable[[], bool] | None = None) -> object:
    """What `work` gives in a forked process, or None when that was killed, as soon as `kill_when` says so."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        result = work()
        os.write(writable, json.dumps([result]).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        while kill_when is not None and not select.select([pipe], [], [], 0.001)[0]:
            if kill_when():
                os.kill(child, signal.SIGKILL)
                break
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGKILL and kill_when is not None:
        return None
    if status != 0:
        raise SystemExit(f"a child ended with {status}")
    return json.loads(answer)[0] or "done"


def written(storage: Path) -> int:
    """Bytes of the catalog's log of what was written, which grows until the catalog is closed."""
    log = storage / CATALOG_LOG
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def main() -> None:
    before, folder, scratch, points = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    old: State = in_child(lambda: judge(before))  # type: ignore[assignment]
    undisturbed = scratch / "undisturbed"
    shutil.copytree(before, undisturbed)
    sizes = [0]
    began = time.monotonic()
    in_child(lambda: take_in(undisturbed, folder), lambda: bool(sizes.append(written(undisturbed))))
    lasts = time.monotonic() - began
    new: State = in_child(lambda: judge(undisturbed))  # type: ignore[assignment]
    chance = random.Random(20260401)
    for point in range(points):
        storage = scratch / f"{point:02}"
        shutil.copytree(before, storage)
        moment = time.monotonic() + chance.uniform(0.02, lasts * 1.1)
        size = chance.uniform(0, max(sizes))

        def is_time(moment: float = moment) -> bool:
            return time.monotonic() >= moment

        def is_written(storage: Path = storage, size: float = size) -> bool:
            return written(storage) > size

        in_child(lambda storage=storage: take_in(storage, folder), is_written if point % 2 else is_time)
        left: State = in_child(lambda storage=storage: judge(storage))  # type: ignore[assignment]
        wrong = [name for name, texts in left.items() if texts not in (old.get(name), new.get(name))]
        wrong += [name for name in old.keys() & new.keys() if name not in left]
        in_child(lambda storage=storage: take_in(storage, folder))
        again = in_child(lambda storage=storage: judge(storage))
        shutil.rmtree(storage)
        state = "old" if left == old else "new" if left == new else "between"
        print(json.dumps({"state": state, "wrong": wrong, "same_in_the_end": again == new}), flush=True)


if __name__ == "__main__":
    main()
