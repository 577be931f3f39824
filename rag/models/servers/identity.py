"""Which model a server has, seen by the vectors of a few fixed texts: the name alone may mean another one tomorrow.

A server computes a little differently with every version, device and batch, so its model's fingerprint holds a sketch
of those vectors that can be compared, beside a hash of what must be equal. The same texts tell the model's scale: what
its cosines are for questions with their answers, and with others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rag.models.embedding_base import COSINE, fingerprint
from rag.settings import EmbeddingSettings

if TYPE_CHECKING:
    from rag.types.documents import Vector

QUESTIONS = (
    "How long is the warranty on the heating element?",
    "Who repairs the roof of a rented flat?",
    "When is the annual report due?",
    "Which bus goes to the airport?",
    "How do I reset my password?",
    "What does the pump need every spring?",
)
PASSAGES = (
    "The manufacturer guarantees the heating element for five years from the day of purchase.",
    "Repairs of roof and walls are for the landlord to pay, not for the tenant.",
    "The yearly report must be handed in by the end of March.",
    "Line 12 runs from the main station to the airport every twenty minutes.",
    "To choose a new password, open the settings and follow the link in the mail.",
    "Before each spring the pump is drained, oiled and checked for frost damage.",
)
_RELATED, _UNRELATED = 0.6144, 0.0613  # mean cosines of the default model for these questions and passages
_LEAST_DISTANCE = 0.02  # between the two, for a model that tells anything at all
_ROUNDING = 0.02  # of a scale: less is the default model's own
_BITS = 256
_MOST_DIFFERENT = 32  # bits; the same model in 16 bits differs by few, another one by 100 and more
_COMPARED = 4  # pairs of texts


def fingerprint_of(settings: EmbeddingSettings, questions: Vector, passages: Vector) -> str:
    """The fingerprint of the model that gave these vectors of `QUESTIONS` and `PASSAGES`, each of shape (6, n)."""
    import numpy as np

    dimension = passages.shape[1]
    # Differences: what all vectors of a model have in common says nothing of it.
    differences = (questions - np.roll(passages, 1, axis=0))[:_COMPARED].ravel()
    noise = hashlib.shake_256(b"footnote").digest(_BITS * len(differences) // 8)
    signs = np.unpackbits(np.frombuffer(noise, np.uint8)).reshape(_BITS, -1).astype(np.float32) * 2 - 1
    sketch = np.packbits(signs @ differences > 0).tobytes().hex()
    return f"{fingerprint(settings, 'server', dimension)}.{sketch}"


def is_same_model(mine: str, other: str) -> bool:
    """Whether two fingerprints are of one model, with the same prefixes and as many dimensions."""
    (settings, _, sketch), (other_settings, _, other_sketch) = mine.partition("."), other.partition(".")
    if settings != other_settings or not sketch or len(sketch) != len(other_sketch):
        return False
    return (int(sketch, 16) ^ int(other_sketch, 16)).bit_count() <= _MOST_DIFFERENT


def scale_of(questions: Vector, passages: Vector) -> tuple[float, float]:
    """The cosines that mean as much as 0 and 1 do with the default model: its own means lie on the line as its do."""
    cosines = questions @ passages.T
    count = len(cosines)
    related = float(cosines.trace()) / count
    unrelated = float(cosines.sum() - cosines.trace()) / (count * (count - 1))
    if related - unrelated < _LEAST_DISTANCE:
        return COSINE
    width = (related - unrelated) / (_RELATED - _UNRELATED)
    low = unrelated - _UNRELATED * width
    is_same = abs(low) < _ROUNDING and abs(low + width - 1) < _ROUNDING
    return COSINE if is_same else (low, low + width)
