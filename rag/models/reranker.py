"""An optional reranker: a cross-encoder that reads question and passage together, slower and better than either leg."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from rag.models.sentence_transformer import load_model
from rag.settings import RetrievalSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_BATCH = 16
_HINT = (
    "Set RAG_RETRIEVAL__RERANKER to a cross-encoder with one output: a folder, or a name at the hub that this machine "
    "can reach or has cached; or leave it empty."
)


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder in this process; safe to use from several threads."""

    def __init__(self, settings: RetrievalSettings) -> None:
        self.name = settings.reranker
        self._model: CrossEncoder = load_model("CrossEncoder", settings.reranker, _HINT, num_labels=1)
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
