"""What was taken in since the program was started, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """Files by outcome, failures by their error's code, the pages and
    chunks of the files that were added or updated."""

    files: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    pages: int = 0
    chunks: int = 0
