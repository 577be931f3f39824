"""An embedding without a model: hashed words, counted. Deterministic and instant; meant for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.models.embedding_base import fingerprint
from rag.settings import EmbeddingSettings
from rag.text.analysis import terms
from rag.text.tokenizers import WORDS

if TYPE_CHECKING:
    from rag.types.documents import Vector


class BagOfWordsEmbedding:
    """Good enough to find a page by its words."""

    dimension = 512
    max_tokens = 256
    tokenizer = WORDS

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.name = settings.model
        self.fingerprint = fingerprint(settings, settings.model, self.dimension)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for term in terms(text):
                digest = hashlib.blake2b(term.encode(), digest_size=4).digest()
                vectors[row, int.from_bytes(digest) % self.dimension] += 1
            if not vectors[row].any():
                vectors[row, 0] = 1
        unit: Vector = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        vector: Vector = self.embed_passages([text])[0]
        return vector
