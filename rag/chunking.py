"""How a document is to be cut, where somebody says so: OpenAI's static chunking strategy.

Without one Footnote cuts by the document's structure: see ingest/splitting.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunking:
    """Sizes in tokens of the embedding model: of a chunk at most, and of what it repeats of the one before."""

    tokens: int
    overlap: int

    def __str__(self) -> str:
        return f"{self.tokens}/{self.overlap}"


def chunking_of(text: str | None) -> Chunking | None:
    """What was written as a string."""
    if not text:
        return None
    tokens, overlap = text.split("/")
    return Chunking(int(tokens), int(overlap))
