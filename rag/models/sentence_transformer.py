"""Any sentence-transformers model, by torch: on a GPU, or where the model is not the default one."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag.errors import ConfigurationError
from rag.models.embedding_base import BUNDLED_SHA256, COSINE, bundled_model, fingerprint, room_for_text
from rag.models.known_embeddings import with_known_prefixes
from rag.settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from rag.types.documents import Vector

logger = logging.getLogger(__name__)

# Whose a model is when its name does not say, and what it is called here.
_KINDS = {
    "SentenceTransformer": ("sentence-transformers", "embedding model"),
    "CrossEncoder": ("cross-encoder", "reranker"),
}
_LOADING_ERRORS = (OSError, ValueError, RuntimeError)
_LARGEST_OF_ENGLISH = 100_000  # pieces: models of one language have 30,000 to 50,000, of many 105,000 and more
_CPU_BATCH = 32
_LARGEST_BATCH = 1024
_ACTIVATIONS = 32  # float32 values a token and dimension that a batch may need at once, on the safe side


class SentenceTransformerEmbedding:
    """A sentence-transformers model in this process; safe to use from several threads."""

    passages_at_once = 1

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.name = settings.model
        self._given = settings
        self._settings = with_known_prefixes(settings)
        self._model = _load(settings)
        # One thread, first come first served: a question waits for one batch of an ingest, not for its end.
        self._worker = ThreadPoolExecutor(1, "embedding")
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        if self.dimension < settings.dimensions:
            raise ConfigurationError(
                f"{settings.model} has {self.dimension} dimensions, and not {settings.dimensions}.",
                hint="Lower RAG_EMBEDDING__DIMENSIONS, or leave it out.",
            )
        self._weights = _weights_identity(settings.model, self._model)
        self.fingerprint = fingerprint(self._settings, self._weights, self.dimension)
        self.tokenizer = _tokenizer(self._model)
        self.is_multilingual = len(self._model.tokenizer) > _LARGEST_OF_ENGLISH
        self.similarity_scale = self.scale_across_languages = COSINE
        model_tokens = int(self._model.max_seq_length or 512)
        self.max_tokens = room_for_text(self._settings, self.tokenizer, model_tokens)
        self._batch = settings.batch_size or _batch_size(self._model.device.type, 4 * model_tokens * self.dimension)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        return self._encode([(self._settings.passage_prefix or "") + text for text in texts])

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        vector: Vector = self._encode([(self._settings.query_prefix or "") + text])[0]
        return vector

    def adopt(self, fingerprint_there: str) -> None:
        """Go without the prefixes that are known of the model where the vectors that are there were made so: nobody had
        set any, and none were known then."""
        query, passage = self._given.query_prefix or "", self._given.passage_prefix or ""
        without = self._given.model_copy(update={"query_prefix": query, "passage_prefix": passage})
        if fingerprint(without, self._weights, self.dimension) == fingerprint_there:
            self._settings, self.fingerprint = without, fingerprint_there
            logger.warning(
                "The index was made without the prefixes that %s was trained with: `rag reindex` makes it with them.",
                self.name,
            )

    def _encode(self, texts: list[str]) -> Vector:
        encode = partial(
            self._model.encode,
            batch_size=self._batch,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors: Vector = self._worker.submit(encode, texts).result()
        return vectors


def _load(settings: EmbeddingSettings) -> SentenceTransformer:
    folder = bundled_model() if settings.model == DEFAULT_EMBEDDING else None
    hint = (
        "Set RAG_EMBEDDING__MODEL to a sentence-transformers model: a folder, or a name at the hub that this machine "
        f"can reach or has cached. The default, {DEFAULT_EMBEDDING}, needs no download."
    )
    options = {"device": settings.device or None, "truncate_dim": settings.dimensions or None}
    model: SentenceTransformer = load_model("SentenceTransformer", str(folder or settings.model), hint, **options)
    return model


def load_model(kind: Literal["SentenceTransformer", "CrossEncoder"], name: str, hint: str, **options: Any) -> Any:
    """The model of that class in a folder, or of a name at the hub, which is asked only for what is not cached. Raises
    ConfigurationError with that hint."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import sentence_transformers
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    load = partial(getattr(sentence_transformers, kind), trust_remote_code=False, **options)
    organisation, what = _KINDS[kind]
    try:
        try:
            return load(name, local_files_only=True)
        except _LOADING_ERRORS:
            if Path(name).is_dir():
                raise
            _require_hub(name if "/" in name else f"{organisation}/{name}")
            return load(name)
    except _LOADING_ERRORS as error:
        reason = str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
        raise ConfigurationError(f"The {what} {name!r} cannot be loaded: {reason}.", hint=hint) from error


def _require_hub(repository: str) -> None:
    """Ask the hub once before loading: left to itself the loader retries an unreachable hub for over a minute."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().model_info(repository, timeout=10)
    except HfHubHTTPError as error:
        raise OSError(
            f"the hub has no model of that name, or does not give it to you ({type(error).__name__})"
        ) from error
    except Exception as error:  # the hub's client lets the transport's own exceptions through, whichever it uses
        raise OSError(f"it is not on this machine and the hub does not answer ({type(error).__name__})") from error


def _batch_size(device: str, text_bytes: int) -> int:
    """Texts at once: what a quarter of the device's free memory holds, where one text's states take `text_bytes`."""
    import torch

    if device == "cuda":
        free = torch.cuda.mem_get_info()[0]
    elif device == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    else:
        return _CPU_BATCH
    fitting = max(1, free // 4 // (text_bytes * _ACTIVATIONS))
    return min(_LARGEST_BATCH, 1 << int(fitting).bit_length() - 1)


def _weights_identity(name: str, model: SentenceTransformer) -> str:
    """A hash of the weights: it changes when they do, and not when the hub's page or the folder's path does."""
    if name == DEFAULT_EMBEDDING:
        return BUNDLED_SHA256
    import torch

    digest = hashlib.sha256()
    for parameter, values in sorted(model.state_dict().items()):
        digest.update(parameter.encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tokenizer(model: SentenceTransformer) -> str:
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConfigurationError(
            f"{model.tokenizer.__class__.__name__} cannot say where its tokens stand in the text.",
            hint="Choose an embedding model with a fast tokenizer (tokenizer.json).",
        )
    return str(backend.to_str())
