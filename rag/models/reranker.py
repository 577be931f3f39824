"""An optional reranker: a cross-encoder that reads question and passage together, slower and better than either leg;
in this process, or behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from rag.models.sentence_transformer import load_model
from rag.models.servers.reranker import ServerReranker
from rag.settings import RerankerSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from rag.types.models import Reranker

_BATCH = 16
_HINT = (
    "Set RAG_RERANKER__MODEL to a cross-encoder with one output: a folder, or a name at the hub that this machine "
    "can reach or has cached; or leave it empty."
)


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder in this process; safe to use from several threads."""

    def __init__(self, settings: RerankerSettings) -> None:
        self.name = settings.model
        self._model: CrossEncoder = load_model("CrossEncoder", settings.model, _HINT, num_labels=1)
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


def open_reranker(settings: RerankerSettings) -> Reranker | None:
    """The reranker that the settings name, loaded, or at a server, which is not asked yet; None if they name none.
    Raises ConfigurationError."""
    if settings.provider != "local":
        return ServerReranker(settings)
    return CrossEncoderReranker(settings) if settings.model else None
