"""Cost per chunk as the index grows: storing documents into an empty index, and into one of 200,000 chunks.

    python -m benchmarks.scale [CHUNKS]     default: 200,000

Texts are random words and vectors are random in a space of LATENT dimensions, about as many as vectors of real text
have, so that nothing but the storing is measured: catalog, vectors, words.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from rag.index.dense import vector_id
from rag.index.index import DocumentVersion, Index
from rag.models.embedding import BagOfWordsEmbedding
from rag.settings import EmbeddingSettings
from rag.types.documents import Chunk, Document, Section

CHUNKS_A_DOCUMENT = 64
DOCUMENTS_A_GROUP = 4
WORDS_A_CHUNK = 140
DIMENSION = 384
LATENT = 32


class RandomEmbedding(BagOfWordsEmbedding):
    """Says of itself what the index wants to know; its vectors are made elsewhere."""

    dimension = DIMENSION


def random_vectors(generator: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of shape (count, DIMENSION) and length 1."""
    basis = np.random.default_rng(0).standard_normal((LATENT, DIMENSION), dtype=np.float32)
    vectors = generator.standard_normal((count, LATENT), dtype=np.float32) @ basis
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_words(chance: random.Random) -> list[str]:
    """A vocabulary of 30,000 words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(chance.choices(letters, k=chance.randint(3, 9))) for _ in range(30_000)]


class Corpus:
    """Documents of random words, drawn evenly from `words`, with random vectors: the same for the same words."""

    def __init__(self, words: Sequence[str] | None = None) -> None:
        self._chance, self._generator = random.Random(1), np.random.default_rng(1)
        self._words = random_words(self._chance) if words is None else words
        self._documents = 0

    def next_group(self) -> list[DocumentVersion]:
        """The next DOCUMENTS_A_GROUP documents, with ids from `doc_0` on."""
        return [self._next_document() for _ in range(DOCUMENTS_A_GROUP)]

    def _next_document(self) -> DocumentVersion:
        document_id = f"doc_{self._documents}"
        self._documents += 1
        texts = [" ".join(self._chance.choices(self._words, k=WORDS_A_CHUNK)) for _ in range(CHUNKS_A_DOCUMENT)]
        chunks = [
            Chunk(f"{document_id}:1:{place}", document_id, place, place, str(place + 1), "", None, 0, len(text), text)
            for place, text in enumerate(texts)
        ]
        vectors = random_vectors(self._generator, len(texts))
        ids = [vector_id(text) for text in texts]
        document = Document(
            id=document_id,
            collection="default",
            owner_id="prn_local",
            file_id=None,
            source=f"/{document_id}.txt",
            title=document_id,
            content=Path(f"/{document_id}.txt"),
            media_type="text/plain",
            sha256="",
            size=0,
            modified_ns=0,
            fingerprint="",
            version=1,
            status="ready",
            pages=len(texts),
            chunks=len(texts),
            error="",
            hint="",
            created_at="",
            updated_at="",
        )
        sections = [Section(text, place, str(place + 1)) for place, text in enumerate(texts)]
        return DocumentVersion(document, sections, chunks, ids, dict(zip(ids, vectors, strict=True)))


def open_empty(folder: Path) -> Index:
    """An index for the corpus."""
    return Index(folder, RandomEmbedding(EmbeddingSettings(model="bag-of-words")))


def main(total: int) -> int:
    """Store, and print the cost per chunk of each tenth part."""
    corpus = Corpus()
    costs: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder, closing(open_empty(Path(folder))) as index:
        stored = 0
        while stored < total:
            began_at, seconds = stored, 0.0
            while stored < began_at + total // 20:
                group = corpus.next_group()
                before = time.process_time()
                index.replace_documents(group)
                seconds += time.process_time() - before
                stored += DOCUMENTS_A_GROUP * CHUNKS_A_DOCUMENT
            costs.append((stored, seconds / (stored - began_at) * 1000))
    table = Table("chunks in the index", "CPU ms a chunk", "of the first 10,000's")
    for count, cost in costs:
        table.add_row(f"{count:,}", f"{cost:.2f}", f"{cost / costs[0][1]:.2f}")
    Console().print(table)
    print(f"Peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
