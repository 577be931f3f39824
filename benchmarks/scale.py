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
from contextlib import closing
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from rag.index.dense import vector_id
from rag.index.index import DocumentVersion, Index
from rag.models.bag_of_words import BagOfWordsEmbedding
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


def make_version(
    number: int, chance: random.Random, generator: np.random.Generator, words: list[str]
) -> DocumentVersion:
    """A document of random words with random vectors."""
    document_id = f"doc_{number}"
    texts = [" ".join(chance.choices(words, k=WORDS_A_CHUNK)) for _ in range(CHUNKS_A_DOCUMENT)]
    chunks = [
        Chunk(f"{document_id}:1:{place}", document_id, place, place, str(place + 1), "", None, 0, len(text), text)
        for place, text in enumerate(texts)
    ]
    vectors = random_vectors(generator, len(texts))
    ids = [vector_id(text) for text in texts]
    name = Path(f"/{document_id}.txt")
    facts = ("text/plain", "", 0, 0, "", 1, "ready", len(texts), len(texts), "", "", "", "")
    document = Document(document_id, "default", "prn_local", None, str(name), document_id, name, *facts)
    sections = [Section(text, place, str(place + 1)) for place, text in enumerate(texts)]
    return DocumentVersion(document, sections, chunks, ids, dict(zip(ids, vectors, strict=True)))


def main(total: int) -> int:
    """Store, and print the cost per chunk of each tenth part."""
    chance, generator = random.Random(1), np.random.default_rng(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(30_000)]
    costs: list[tuple[int, float]] = []
    embedding = RandomEmbedding(EmbeddingSettings(model="bag-of-words"))
    with tempfile.TemporaryDirectory() as folder, closing(Index(Path(folder), embedding)) as index:
        stored = number = 0
        while stored < total:
            began_at, seconds = stored, 0.0
            while stored < began_at + total // 20:
                group = [make_version(number + n, chance, generator, words) for n in range(DOCUMENTS_A_GROUP)]
                number += DOCUMENTS_A_GROUP
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
