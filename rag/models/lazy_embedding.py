"""An embedding model of which only the name is needed: exports and imports have all their vectors at hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.models.embedding import EMBEDDINGS, open_embedding
from rag.models.embedding_base import BUNDLED_SHA256, fingerprint, require_same_embedding
from rag.models.minilm import MiniLMEmbedding
from rag.settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from rag.types.documents import Embedding, Vector


class LazyEmbedding:
    """Has the fingerprint of the vectors that are there, and loads the model that the settings name if it must embed
    after all (to mend a damaged index). Then raises IndexMismatch when that is another one."""

    dimension = 0  # what the model alone knows is not to be asked here
    max_tokens = 0
    tokenizer = ""

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
    if settings.model == DEFAULT_EMBEDDING:
        return fingerprint(settings, BUNDLED_SHA256, MiniLMEmbedding.dimension) == made_with
    if settings.model == name and name not in EMBEDDINGS:
        return True
    return open_embedding(settings).fingerprint == made_with
