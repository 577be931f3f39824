"""The embedding provider `package.module:function`: any embedding class of llama-index, which a function of one's own
makes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llama_index.core.embeddings import BaseEmbedding

from rag.errors import BackendError, BackendUnavailable, ConfigurationError
from rag.models.embedding_base import room_for_text
from rag.models.foreign import filled, load_function, shown_error
from rag.models.known_embeddings import known_embedding
from rag.models.servers.identity import PASSAGES, QUESTIONS, fingerprint_of, is_same_model, scale_of
from rag.models.servers.tokenizing import DEFAULT_TOKENS, tokenizer_of
from rag.settings import EmbeddingSettings

if TYPE_CHECKING:
    from rag.types.documents import Vector

_AT_ONCE = 64  # texts a call


class LlamaIndexEmbedding:
    """Asks an embedding class of llama-index, one call after the other; safe to use from several threads."""

    is_multilingual = True  # nobody knows
    passages_at_once = _AT_ONCE

    def __init__(self, settings: EmbeddingSettings) -> None:
        """Make the object, and ask it for a few vectors; blocking, as long as that takes. Raises ConfigurationError
        where there is no such function or it makes something else, BackendError where it gives no vectors."""
        make = load_function(settings.provider, "RAG_EMBEDDING")
        self._secrets: list[str] = []
        self._asking = threading.Lock()
        self._settings = settings
        arguments = filled(settings.options, self._secrets)
        try:
            made = make(**arguments)
        except Exception as error:  # a foreign program: whatever it raises, it could not make one
            raise ConfigurationError(
                f"{settings.provider} made no embedding model: {shown_error(error, self._secrets)}",
                hint="Correct RAG_EMBEDDING__OPTIONS, the function's arguments.",
            ) from error
        if not isinstance(made, BaseEmbedding):
            raise ConfigurationError(
                f"{settings.provider} made a {type(made).__name__}, not an embedding model of llama-index.",
                hint="It must return an object of a class from llama_index.embeddings, or of one derived from "
                "BaseEmbedding.",
            )
        self._model = made
        has_name = made.model_name not in ("", "unknown")
        self.name = made.model_name if has_name else type(made).__name__
        questions = self._units([self._ask_query(text) for text in QUESTIONS])
        passages = self.embed_passages(PASSAGES)
        self.dimension: int = passages.shape[1]
        self.fingerprint = fingerprint_of(settings, questions, passages)
        known = known_embedding(self.name)
        self.tokenizer = tokenizer_of(known)
        self.max_tokens = room_for_text(settings, self.tokenizer, known.max_tokens if known else DEFAULT_TOKENS)
        self.similarity_scale = self.scale_across_languages = scale_of(questions, passages)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1. Raises BackendError."""
        prefixed = [(self._settings.passage_prefix or "") + text for text in texts]
        with self._asking:
            try:
                return self._units(self._model.get_text_embedding_batch(prefixed))
            except Exception as error:
                raise self._failure(error) from error

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1. Raises BackendError."""
        vector: Vector = self._units([self._ask_query(text)])[0]
        return vector

    def adopt(self, fingerprint: str) -> None:
        """Have that fingerprint from now on, if it is of this model."""
        if is_same_model(self.fingerprint, fingerprint):
            self.fingerprint = fingerprint

    def _ask_query(self, text: str) -> list[float]:
        with self._asking:
            try:
                return self._model.get_query_embedding((self._settings.query_prefix or "") + text)
            except Exception as error:
                raise self._failure(error) from error

    def _units(self, vectors: Sequence[Sequence[float]]) -> Vector:
        import numpy as np

        found = np.asarray(vectors, dtype=np.float32)
        if found.ndim != 2 or not np.isfinite(found).all():
            raise BackendError(f"{self.name} gave no vectors.", hint=f"Check what {self._settings.provider} makes.")
        if self._settings.dimensions:
            found = found[:, : self._settings.dimensions]
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        unit: Vector = found / lengths
        return unit

    def _failure(self, error: Exception) -> BackendError:
        if isinstance(error, BackendError):
            return error
        return BackendUnavailable(
            f"{self.name} failed: {shown_error(error, self._secrets)}",
            hint=f"Try again; if it fails again, check the arguments of {self._settings.provider} "
            "(RAG_EMBEDDING__OPTIONS).",
        )
