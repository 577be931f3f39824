"""Ingest speed: from files to searchable chunks, beside embedding the same chunks from memory and beside a baseline.

    python -m benchmarks.ingest [--starter PYTHON] [PATH …]     default: data/sample
    python -m benchmarks.ingest --attach NUMBER                 so many small files, attached to a vector store

The first ratio says how much of the time is the embedding model's: 1.0 would mean that reading, splitting, storing and
indexing cost nothing. With `--starter`, a Python that has the packages named in benchmarks/llama_index_starter.py, that
pipeline ingests the same files, and the CPU seconds of both whole processes are compared. All is measured in one run,
because machines differ and drift.

With `--attach` small files (1–3 KB) are attached in one batch, and as many one after the other, each when the one
before is done; both beside embedding the same chunks from memory.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.auth.principals import OF_THIS_MACHINE
from rag.operations.services import open_index
from rag.settings import Settings, StorageSettings, load_settings
from rag.text.analysis import contextual_text

STARTER = Path(__file__).with_name("llama_index_starter.py")
SLICE = 64


@dataclass(frozen=True)
class Cost:
    """What a process and its children took: seconds by the clock, seconds of processors, MB of the largest of them."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def cost_of(command: Sequence[str], environment: dict[str, str]) -> Cost:
    """Run a command to its end and measure it; what it says goes to standard error."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, **environment}, stdout=sys.stderr, check=False)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, cpu, after.ru_maxrss / 1024)


def embed_alone(settings: Settings) -> tuple[int, float]:
    """How many vectors the index in the storage folder has, and how many seconds their texts take from memory."""
    with open_index(settings) as index:
        texts: dict[str, str] = {}
        for document in index.catalog.documents():
            chunks = index.catalog.chunks_of(document.id)
            for vector_id, chunk in zip(index.catalog.vector_ids(document.id), chunks, strict=True):
                texts[vector_id] = contextual_text(document.title, chunk.heading, chunk.text)
        by_length = sorted(texts.values(), key=len)
        index.embedding.embed_passages(["warm-up"])
        began = time.perf_counter()
        for start in range(0, len(by_length), SLICE):
            index.embedding.embed_passages(by_length[start : start + SLICE])
        return len(by_length), time.perf_counter() - began


def ingest_here(settings: Settings, paths: Sequence[Path]) -> tuple[int, float, float]:
    """Files, seconds of a first ingest with the model loaded, and of a second one."""
    with open_index(settings) as index, Ingestor(settings, index) as ingestor:
        index.embedding.embed_passages(["warm-up"])
        began = time.perf_counter()
        files = sum(1 for progress in ingestor.add_paths(paths) if progress.report)
        first = time.perf_counter() - began
        began = time.perf_counter()
        list(ingestor.add_paths(paths))
        return files, first, time.perf_counter() - began


def small_file(number: int, source: Sequence[str]) -> bytes:
    """A text of 1 to 3 KB that no other number has."""
    chance = random.Random(number)
    words = (word for word in chance.choices(source, k=chance.randrange(150, 450)))
    return " ".join(f"{word}." if n % 12 == 11 else word for n, word in enumerate(words)).encode()


def attach(settings: Settings, numbers: Sequence[int], *, together: bool) -> float:
    """Seconds until small files are in a new vector store."""
    with open_index(settings) as index, Ingestor(settings, index) as ingestor:
        index.embedding.embed_passages(["warm-up"])
        words = Path(__file__).with_name("ingest.py").read_text().split()
        ids = [ingestor.keep(BytesIO(small_file(n, words)), f"{n}.txt", "assistants", OF_THIS_MACHINE) for n in numbers]
        collection = index.catalog.create_collection("small files").id
        began = time.perf_counter()
        for batch in [ids] if together else [[file_id] for file_id in ids]:
            ingestor.attach({file_id: {} for file_id in batch}, collection)
            for job in [job for job in ingestor.jobs() if not job.is_over]:
                while not ingestor.wait(job.id, 60).is_over:
                    pass
        seconds = time.perf_counter() - began
        assert len(index.catalog.documents(collection)) == len(ids)
        return seconds


def measure_attach(base: dict[str, Any], number: int, console: Console) -> None:
    """Attach so many files in both ways, and print."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"in one batch": True, "one after the other": False}
        storages = {name: Settings(**{**base, "storage": StorageSettings(dir=Path(folder) / name)}) for name in kinds}
        seconds = {name: attach(storages[name], range(number), together=kind) for name, kind in kinds.items()}
        chunks, alone = embed_alone(storages["in one batch"])
    table = Table(f"{number} small files, {chunks} chunks", "seconds", "files/s")
    for name, spent in {**seconds, "embedding the same chunks from memory": alone}.items():
        table.add_row(name, f"{spent:.1f}", f"{number / spent:.1f}")
    console.print(table)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("data/sample")])
    parser.add_argument("--starter", metavar="PYTHON", help="compare with the llama-index starter pipeline")
    parser.add_argument("--attach", metavar="NUMBER", type=int, help="attach so many small files instead")
    arguments = parser.parse_args()
    console = Console()
    base = dict(load_settings())
    if arguments.attach:
        measure_attach(base, arguments.attach, console)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(**{**base, "storage": StorageSettings(dir=Path(folder) / "here")})
        files, first, second = ingest_here(settings, arguments.paths)
        chunks, alone = embed_alone(settings)
        console.print(f"{files} files, {chunks} different chunks")
        table = Table("", "seconds", "chunks/s")
        table.add_row("ingest", f"{first:.1f}", f"{chunks / first:.1f}")
        table.add_row("embedding the same chunks from memory", f"{alone:.1f}", f"{chunks / alone:.1f}")
        table.add_row("second ingest, nothing changed", f"{second:.3f}", "")
        console.print(table)
        console.print(
            f"End to end {alone / first:.2f} of the embedding speed; second run {second / files * 1000:.2f} ms a file."
        )

        program = [sys.executable, "-P", "-c", "from ingest.cli import main; main()", *map(str, arguments.paths)]
        costs = {"footnote": cost_of(program, {"RAG_STORAGE__DIR": f"{folder}/process"})}
        if arguments.starter:
            paths = [*map(str, arguments.paths), f"{folder}/starter"]
            costs["llama-index starter"] = cost_of([arguments.starter, str(STARTER), *paths], {})
        table = Table("whole process", "seconds", "CPU seconds", "peak MB")
        for name, cost in costs.items():
            table.add_row(name, f"{cost.seconds:.1f}", f"{cost.cpu_seconds:.1f}", f"{cost.peak_mb:.0f}")
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
