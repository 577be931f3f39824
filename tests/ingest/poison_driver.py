"""Starts a server's write side again and again over one storage folder: `python -m tests.ingest.poison_driver STORAGE`.

Five small files are attached at once; embedding one of them ends the process. Each start is a forked child. Prints, as
JSON, a list of the jobs' states by file name, after every start.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from ingest.ingestor import Ingestor
from ingest.jobs import JobStore
from rag.auth.principals import OF_THIS_MACHINE
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings, Settings
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase

STARTS = 4
EMBEDDING = open_embedding(EmbeddingSettings(model="bag-of-words"))


class Deadly:
    """An embedding model that one text is the end of."""

    def __getattr__(self, name):
        return getattr(EMBEDDING, name)

    def embed_passages(self, texts):
        if any("poison" in text for text in texts):
            os._exit(9)
        return EMBEDDING.embed_passages(texts)


def start(storage: Path, *, is_first: bool) -> None:
    settings = Settings(_env_file=None, storage={"dir": storage}, embedding={"model": "bag-of-words"})
    with closing(Index(storage, Deadly())) as index, Ingestor(settings, index) as ingestor:
        if is_first:
            words = ["one", "two", "poison", "four", "five"]
            ids = [
                ingestor.keep(io.BytesIO(word.encode()), f"{word}.txt", "assistants", OF_THIS_MACHINE) for word in words
            ]
            ingestor.attach({file_id: {} for file_id in ids}, "default")
        while not all(job.is_over for job in ingestor.jobs()):
            time.sleep(0.05)


def main() -> None:
    storage = Path(sys.argv[1])
    states = []
    for number in range(STARTS):
        child = os.fork()
        if child == 0:
            start(storage, is_first=number == 0)
            os._exit(0)
        os.waitpid(child, 0)
        with closing(SqliteDatabase(storage / CATALOG_NAME)) as database:
            states.append({job.name: job.state for job in JobStore(database).all()})
    print(json.dumps(states))


if __name__ == "__main__":
    main()
