"""Ingest on a Ray cluster: one worker beside two on the same work, and both beside a plain ingest.

    python -m benchmarks.ray [--files NUMBER] [--rounds NUMBER]

Made-up text files, about five chunks each, are taken in with the default embedding model: without Ray, which uses all
cores, by one worker, and by two, each with one thread for embedding; one after the other, in several rounds, because
machines differ and drift. A round's ratios are taken within it; what is printed are the medians of all rounds. Ray, the
workers and the model are up and warm before the time begins. Two workers can only be twice as fast where two cores are
free, beside one for the process that stores.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.ingest import small_file
from ingest.ingestor import Ingestor
from ingest.ray.cluster import RayCluster
from rag.operations.services import open_index
from rag.settings import Settings, StorageSettings, load_settings

WARM_UP = 8.0  # seconds
WAYS = {"without Ray": 0, "one worker": 1, "two workers": 2}


@dataclass(frozen=True)
class Cost:
    """Of one ingest: seconds by the clock, those of processors that this process took itself, chunks."""

    seconds: float
    own_cpu_seconds: float
    chunks: int


def ingest(settings: Settings, folder: Path, workers: int) -> Cost:
    """A first ingest of the folder, with so many workers (0: without Ray)."""
    with ExitStack() as stack:
        index = stack.enter_context(open_index(settings))
        cluster = None
        if workers:
            cluster = stack.enter_context(RayCluster("local", settings, index.embedding, workers))
            list(cluster.embed("", [["warm-up"]], lambda: False))
            end = time.perf_counter() + WARM_UP
            while time.perf_counter() < end:
                list(cluster.embed("", [["warm-up"]] * 8, lambda: False))
        ingestor = stack.enter_context(Ingestor(settings, index, cluster))
        index.embedding.embed_passages(["warm-up"])
        began, before = time.perf_counter(), own_cpu_seconds()
        *_, last = ingestor.add_paths([folder])
        return Cost(time.perf_counter() - began, own_cpu_seconds() - before, last.chunks)


def own_cpu_seconds() -> float:
    """What this process has taken, without its children."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", metavar="NUMBER", type=int, default=200)
    parser.add_argument("--rounds", metavar="NUMBER", type=int, default=3)
    arguments = parser.parse_args()
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed (make setup EXTRAS=ray); nothing was measured.")
        return 0
    base = dict(load_settings())
    words = Path(__file__).with_name("ingest.py").read_text().split()
    costs: dict[str, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "documents"
        folder.mkdir()
        for number in range(arguments.files):
            (folder / f"{number}.txt").write_bytes(small_file(number, words))
        for turn in range(arguments.rounds):
            for way, workers in WAYS.items():
                storage = StorageSettings(dir=Path(scratch) / f"{turn} {way}")
                costs[way].append(ingest(Settings(**{**base, "storage": storage}), folder, workers))
    chunks = costs["one worker"][0].chunks
    table = Table(f"{arguments.files} files, {chunks} chunks", "chunks/s", "of one worker's", "own CPU ms a chunk")
    for way, found in costs.items():
        rate = statistics.median(cost.chunks / cost.seconds for cost in found)
        ratios = [one.seconds / cost.seconds for one, cost in zip(costs["one worker"], found, strict=True)]
        own = statistics.median(cost.own_cpu_seconds / cost.chunks * 1000 for cost in found)
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        table.add_row(way, f"{rate:.1f}", spread, f"{own:.1f}")
    Console().print(table)
    print("Own: of the process that decides and stores, which without Ray embeds, too.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
