"""Search speed over a large index: alone, eight at once, in a narrow scope; beside embedding plus a bare Chroma query.

    python -m benchmarks.search [CHUNKS]     default: 100,000

Texts are words drawn as often as words of real text are (Zipf), vectors as in benchmarks/scale.py; questions are
embedded by the real model.
"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.scale import CHUNKS_A_DOCUMENT, DOCUMENTS_A_GROUP, Corpus, RandomEmbedding, random_words
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.retrieval.retriever import HybridRetriever
from rag.settings import EmbeddingSettings, RetrievalSettings
from rag.storage.selection import scope_of
from rag.types.documents import Scope

if TYPE_CHECKING:
    from rag.types.documents import Vector

QUESTIONS = 200
AT_ONCE = 8
WORDS_A_QUESTION = 9
LIMIT = 10


class QuestionsEmbedded(RandomEmbedding):
    """Vectors of passages are made elsewhere; questions are embedded by the default model."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        super().__init__(settings)
        self._model = open_embedding(EmbeddingSettings())

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (DIMENSION,), float32, of length 1."""
        return self._model.embed_query(text)


def main(total: int) -> int:
    """Fill an index, search it, and print the times."""
    chance = random.Random(1)
    words = random_words(chance)
    population = chance.choices(words, weights=[1 / rank for rank in range(1, len(words) + 1)], k=2_000_000)
    embedding = QuestionsEmbedded(EmbeddingSettings(model="bag-of-words"))
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Index(Path(folder), embedding)) as index,
        asyncio.Runner() as runner,
    ):
        corpus = Corpus(population)
        for _ in range(0, total // CHUNKS_A_DOCUMENT, DOCUMENTS_A_GROUP):
            index.replace_documents(corpus.next_group())
        retriever = HybridRetriever(index, RetrievalSettings())
        scope = scope_of(index.catalog, "default")
        narrow = Scope(scope.collection_ids, frozenset(f"doc_{number}" for number in (1, 50, 90)))
        questions = [" ".join(chance.choices(population, k=WORDS_A_QUESTION)) for _ in range(QUESTIONS)]
        vector = embedding.embed_query(questions[0])
        collection = index._vectors._collection(scope.collection_ids[0])  # noqa: SLF001 - Chroma itself

        rows = {
            "embed the question": timed(embedding.embed_query, questions),
            "bare Chroma query": timed(
                lambda _: collection.query(query_embeddings=vector[None, :], n_results=LIMIT), questions
            ),
            "search": timed(
                lambda question: runner.run(retriever.retrieve(question, scope, LIMIT, snippets=False)), questions
            ),
            "search in 3 documents": timed(
                lambda question: runner.run(retriever.retrieve(question, narrow, LIMIT, snippets=False)), questions
            ),
            f"search, {AT_ONCE} at once": runner.run(crowded(retriever, scope, questions)),
        }
    table = Table(f"{total:,} chunks", "p50 ms", "p95 ms")
    for name, times in rows.items():
        table.add_row(name, f"{statistics.median(times):.1f}", f"{statistics.quantiles(times, n=20)[-1]:.1f}")
    Console().print(table)
    bare = statistics.median(rows["embed the question"]) + statistics.median(rows["bare Chroma query"])
    print(f"A search takes {statistics.median(rows['search']) / bare:.2f} × embedding plus a bare Chroma query.")
    print(f"Peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.")
    return 0


def timed(call: Callable[[str], object], questions: list[str]) -> list[float]:
    """Milliseconds of each call, after a few to warm up."""
    for question in questions[:10]:
        call(question)
    times = []
    for question in questions:
        began = time.perf_counter()
        call(question)
        times.append((time.perf_counter() - began) * 1000)
    return times


async def crowded(retriever: HybridRetriever, scope: Scope, questions: list[str]) -> list[float]:
    """Milliseconds of each search while AT_ONCE people ask one after another."""
    waiting = iter(questions * 2)
    times: list[float] = []

    async def person() -> None:
        for question in waiting:
            began = time.perf_counter()
            await retriever.retrieve(question, scope, LIMIT, snippets=False)
            times.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(person() for _ in range(AT_ONCE)))
    return times


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
