"""Counts what was taken in since the program was started, for the figures of rag/telemetry/metrics.py."""

from __future__ import annotations

import threading
from collections import Counter

from rag.types.ingest import FileReport, IngestCounts


class IngestCounter:
    """The counts so far; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files = Counter[str]()
        self._failures = Counter[str]()
        self._pages = 0
        self._chunks = 0

    def note(self, report: FileReport) -> None:
        """A file is done."""
        with self._lock:
            self._files[report.outcome] += 1
            if report.outcome == "failed":
                self._failures[report.code or "known_failure"] += 1
            if report.outcome in ("added", "updated"):
                self._pages += report.pages
                self._chunks += report.chunks

    def counts(self) -> IngestCounts:
        """What was counted so far."""
        with self._lock:
            return IngestCounts(dict(self._files), dict(self._failures), self._pages, self._chunks)
