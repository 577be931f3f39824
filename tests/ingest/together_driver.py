"""One of several processes at one catalog and Chroma server: `python -m tests.ingest.together_driver URL CHROMA DIR`.

Reads commands as JSON lines, `[name, argument…]`, and answers each with a JSON line. While the file DIR/hold is there,
it embeds nothing but questions.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ingest.ingestor import Ingestor
from rag.auth.principals import OF_THIS_MACHINE
from rag.index.chroma_server import chroma_server
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings, Settings
from rag.storage.connect import open_database
from rag.storage.lock import StorageLock
from rag.types.documents import Scope


class Held:
    """An embedding model that waits while a file is there."""

    def __init__(self, hold: Path) -> None:
        self._embedding = open_embedding(EmbeddingSettings(model="bag-of-words"))
        self._hold = hold

    def __getattr__(self, name: str) -> object:
        return getattr(self._embedding, name)

    def embed_passages(self, texts: list[str]) -> object:
        while self._hold.exists():
            time.sleep(0.02)
        return self._embedding.embed_passages(texts)


class Commands:
    def __init__(self, index: Index, ingestor: Ingestor) -> None:
        self._index = index
        self._ingestor = ingestor
        self._scope = Scope((index.catalog.collection().id,))

    def submit(self, path: str) -> str:
        return self._ingestor.submit(Path(path), Path(path).name, "default", OF_THIS_MACHINE).id

    def wait(self, job_id: str, seconds: float) -> str:
        return self._ingestor.wait(job_id, seconds).state

    def cancel(self, job_id: str) -> str:
        return self._ingestor.cancel(job_id).state

    def words(self, question: str) -> list[str]:
        return [chunk_id for chunk_id, _ in self._index.search_lexical(question, self._scope, 50)]

    def meaning(self, question: str) -> list[str]:
        return [chunk_id for chunk_id, _ in self._index.search_dense(question, self._scope, 50)]

    def ingest(self, path: str) -> list[str]:
        return sorted(p.report.outcome for p in self._ingestor.add_paths([Path(path)]) if p.report)

    def remove(self, source: str) -> None:
        (document,) = [d for d in self._index.catalog.documents() if Path(d.source).name == source]
        self._ingestor.delete(document.id)

    def state(self) -> dict[str, object]:
        """What there is, in catalog, vectors and this process's words."""
        catalog = self._index.catalog
        documents = catalog.documents()
        return {
            "sources": sorted(Path(document.source).name for document in documents),
            "chunks": sum(document.chunks for document in documents),
            "words": self._index._words.count(),
            "vectors": sorted(self._index._vectors.ids(catalog.collection().id)),
            "needed": sorted({vector for document in documents for vector in catalog.vector_ids(document.id)}),
            "unfinished": len(catalog.unfinished()) + len(catalog.loose_vectors()),
        }


def main() -> None:
    url, chroma, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    settings = Settings(
        _env_file=None,
        storage={"dir": folder / "storage", "database_url": url, "chroma_url": chroma},
        embedding={"model": "bag-of-words"},
    )
    lock = StorageLock(settings.storage.dir, shared=settings.storage.is_shared).acquire()
    index = Index(
        settings.storage.dir, Held(folder / "hold"), open_database(settings.storage), chroma_server(settings.storage)
    )
    with Ingestor(settings, index) as ingestor:
        commands = Commands(index, ingestor)
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            try:
                answer = getattr(commands, name)(*arguments)
            except Exception as error:  # noqa: BLE001 - the test is told
                answer = f"{type(error).__name__}: {error}"
            print(json.dumps(answer), flush=True)
    index.close()
    lock.release()


if __name__ == "__main__":
    main()
