"""Plain text files: one section, the decoded text as it is."""

from __future__ import annotations

from pathlib import Path

from ingest.loaders.base import Extracted, Limits, Section
from ingest.loaders.encoding import decode


def load_text(path: Path, name: str, limits: Limits) -> Extracted:
    """The whole file as one section. Raises UnreadableDocument when it is not text."""
    text, notice = decode(path.read_bytes(), name)
    limits.check_text(len(text), name)
    return Extracted(title="", sections=[Section(text)], notice=notice)
