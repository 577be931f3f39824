"""Ingest speed: the whole way from files to searchable chunks, against embedding the same chunks from memory.

    python -P benchmarks/ingest.py [PATH …]     default: data/sample; -P, because the file is called like the package

The ratio says how much of the time is not the embedding model's: 1.0 would mean that reading, splitting, storing and
indexing cost nothing. Both are measured in one run, because machines differ and drift.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.text import contextual_text
from rag.services import open_storage
from rag.settings import Settings, StorageSettings, load_settings

SLICE = 32


def main(paths: Sequence[Path]) -> int:
    """Ingest, ingest again, embed alone; print one table."""
    with tempfile.TemporaryDirectory() as storage:
        settings = Settings(**{**dict(load_settings()), "storage": StorageSettings(dir=Path(storage))})
        with open_storage(settings) as opened, Ingestor(settings, opened.index) as ingestor:
            opened.embedding.embed_passages(["warm-up"])
            began = time.perf_counter()
            reports = [p.report for p in ingestor.add_paths(paths, "default") if p.report]
            first = time.perf_counter() - began
            began = time.perf_counter()
            list(ingestor.add_paths(paths, "default"))
            second = time.perf_counter() - began
            documents = opened.index.catalog.documents()
            texts = sorted(
                (
                    contextual_text(document.title, chunk.heading, chunk.text)
                    for document in documents
                    for chunk in opened.index.catalog.chunks_of(document.id)
                ),
                key=len,
            )
            began = time.perf_counter()
            for start in range(0, len(texts), SLICE):
                opened.embedding.embed_passages(texts[start : start + SLICE])
            alone = time.perf_counter() - began
    table = Table("", "seconds", "chunks/s")
    table.add_row("ingest", f"{first:.1f}", f"{len(texts) / first:.1f}")
    table.add_row("embedding alone", f"{alone:.1f}", f"{len(texts) / alone:.1f}")
    table.add_row("second ingest, nothing changed", f"{second:.3f}", "")
    console = Console()
    console.print(f"{len(reports)} files, {sum(r.pages for r in reports)} pages, {len(texts)} chunks")
    console.print(table)
    console.print(
        f"End to end {alone / first:.2f} of the embedding model's speed; "
        f"second run {second / len(reports) * 1000:.2f} ms a file; "
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]] or [Path("data/sample")]))
