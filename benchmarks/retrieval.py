"""Retrieval quality on public sets with known answers: the fusion beside each leg alone, in one run.

    RAG_EVALS_DIR=… python -P benchmarks/retrieval.py [SET …]

RAG_EVALS_DIR holds sets in the BEIR layout (corpus.jsonl, queries.jsonl, qrels/*.tsv), e.g. `cranfield` or `xquad/en`.
Everything goes through the product's own ingest and retrieval, with the settings of the environment.
"""

from __future__ import annotations

import asyncio
import csv
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.retrieval import HybridRetriever
from rag.services import open_storage, scope_of
from rag.settings import Settings, StorageSettings, load_settings
from rag.types import Hit

DEFAULT_SETS = ("cranfield", "scifact-dev", "xquad/en", "xquad/es")
DEPTH = 10
LEGS = {"vectors": lambda hit: hit.dense_rank, "words": lambda hit: hit.lexical_rank}


def main(names: Sequence[str]) -> int:
    """Measure each set and print one table."""
    root = os.environ.get("RAG_EVALS_DIR")
    if not root:
        print("Set RAG_EVALS_DIR to a folder with evaluation sets; nothing was measured.")
        return 0
    table = Table("set", "questions", "chunks", "vectors", "words", "fused", "over better leg", "p50 ms")
    for name in names or DEFAULT_SETS:
        if not (Path(root) / name / "corpus.jsonl").is_file():
            print(f"{name} is not there; passed over.")
            continue
        table.add_row(name, *measure(Path(root) / name))
    Console().print(f"nDCG@{DEPTH}, {load_settings().embedding.model}")
    Console().print(table)
    return 0


def measure(folder: Path) -> list[str]:
    """The cells of one set's row."""
    relevant = read_relevance(folder)
    questions = [item for item in read_lines(folder / "queries.jsonl") if item["_id"] in relevant]
    scores: dict[str, list[float]] = defaultdict(list)
    times: list[float] = []
    with tempfile.TemporaryDirectory() as storage:
        settings = Settings(**{**dict(load_settings()), "storage": StorageSettings(dir=Path(storage))})
        with (
            open_storage(settings) as opened,
            Ingestor(settings, opened.index) as ingestor,
            asyncio.Runner() as runner,
        ):
            chunks = [progress.chunks for progress in ingestor.add_paths([folder / "corpus.jsonl"], "default")][-1]
            retriever = HybridRetriever(opened.index, settings.retrieval)
            scope = scope_of(opened.index.catalog, "default")
            for item in questions:
                began = time.perf_counter()
                hits = runner.run(retriever.retrieve(item["text"], scope, 4 * settings.retrieval.candidates))
                times.append((time.perf_counter() - began) * 1000)
                for leg, ranking in rankings(hits).items():
                    scores[leg].append(ndcg(ranking, relevant[item["_id"]]))
    means = {leg: statistics.mean(values) for leg, values in scores.items()}
    better = max(means["vectors"], means["words"])
    return [
        str(len(questions)),
        str(chunks),
        *(f"{means[leg]:.4f}" for leg in ("vectors", "words", "fused")),
        f"{means['fused'] - better:+.4f}",
        f"{statistics.median(times):.1f}",
    ]


def rankings(hits: Iterable[Hit]) -> dict[str, list[str]]:
    """Record ids by each leg alone and fused, best first, each record once."""
    hits = list(hits)
    found = {"fused": [str(hit.chunk.record_id) for hit in hits]}
    for leg, rank in LEGS.items():
        ranked = sorted((hit for hit in hits if rank(hit)), key=rank)
        found[leg] = [str(hit.chunk.record_id) for hit in ranked]
    return {leg: list(dict.fromkeys(ids)) for leg, ids in found.items()}


def ndcg(ranking: Sequence[str], relevance: Mapping[str, float]) -> float:
    """Normalised discounted cumulative gain of the first DEPTH records (Järvelin and Kekäläinen, TOIS 2002)."""
    gain = sum(relevance.get(record, 0) / math.log2(place + 2) for place, record in enumerate(ranking[:DEPTH]))
    best = sorted(relevance.values(), reverse=True)[:DEPTH]
    ideal = sum(value / math.log2(place + 2) for place, value in enumerate(best))
    return gain / ideal if ideal else 0.0


def read_relevance(folder: Path) -> dict[str, dict[str, float]]:
    """Question id → record id → grade."""
    relevance: dict[str, dict[str, float]] = defaultdict(dict)
    path = min((folder / "qrels").glob("*.tsv"), key=lambda path: len(path.name))
    with path.open(encoding="utf-8", newline="") as file:
        for question, record, grade in list(csv.reader(file, delimiter="\t"))[1:]:
            relevance[question][record] = float(grade)
    return dict(relevance)


def read_lines(path: Path) -> list[dict[str, str]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
