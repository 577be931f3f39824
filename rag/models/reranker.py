"""An optional reranker: a cross-encoder that reads question and passage together, slower and better than either leg."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import ConfigurationError
from rag.models.sentence_transformer import require_hub
from rag.settings import RetrievalSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_BATCH = 16


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder in this process; safe to use from several threads."""

    def __init__(self, settings: RetrievalSettings) -> None:
        self.name = settings.reranker
        self._model = _load(settings.reranker)
        self._worker = ThreadPoolExecutor(1, "reranker")

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers the question, in 0–1."""
        if not passages:
            return []
        import torch

        pairs = [(question, passage) for passage in passages]
        predict = partial(
            self._model.predict, batch_size=_BATCH, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False
        )
        return [float(score) for score in self._worker.submit(predict, pairs).result()]


def open_reranker(settings: RetrievalSettings) -> CrossEncoderReranker | None:
    """The reranker that the settings name, loaded; None if they name none. Raises ConfigurationError."""
    return CrossEncoderReranker(settings) if settings.reranker else None


def _load(name: str) -> CrossEncoder:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import CrossEncoder

    load: Callable[..., CrossEncoder] = partial(CrossEncoder, num_labels=1, trust_remote_code=False)
    try:
        if Path(name).is_dir():
            return load(name, local_files_only=True)
        try:
            return load(name, local_files_only=True)  # the cache, without a word to the hub
        except (OSError, ValueError, RuntimeError):
            require_hub(name, "cross-encoder")
            return load(name)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"The reranker {name!r} cannot be loaded: {reason}.",
            hint="Set RAG_RETRIEVAL__RERANKER to a cross-encoder with one output: a folder, or a name at the hub that "
            "this machine can reach or has cached; or leave it empty.",
        ) from error
