"""Functions that make embedding classes of llama-index, as a user would write them for `package.module:function`."""

from __future__ import annotations

from typing import Any

from llama_index.core.embeddings import BaseEmbedding

from rag.models.embedding import BagOfWordsEmbedding
from rag.settings import EmbeddingSettings

WORDS = BagOfWordsEmbedding(EmbeddingSettings(model="bag-of-words"))


class OfWords(BaseEmbedding):
    """Counts words; vectors of whatever length. `key` must be the right one."""

    key: str = "right"
    length: float = 3.0
    asked: list[str] = []  # noqa: RUF012 (a field: each object has its own)

    def _get_text_embedding(self, text: str) -> list[float]:
        self.asked.append(text)
        if self.key != "right":
            raise PermissionError(f"the key {self.key} is refused")
        return [self.length * float(value) for value in WORDS.embed_query(text)]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def of_words(**arguments: Any) -> OfWords:
    return OfWords(model_name="of-words", **arguments)


def nothing_of_the_kind() -> str:
    return "a text"


def without_vectors() -> OfWords:
    return OfWords(length=float("nan"))
