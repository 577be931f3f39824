"""Grounding without a language model: when it says "not in your documents", and whether its quotes hold the answer.

    RAG_EVALS_DIR=… python -m benchmarks.grounding [SET [QUESTIONS]]     default: xquad/en

The set is XQuAD in the BEIR layout (corpus.jsonl with articles as titles, queries.jsonl with answers). Every second
article is left out of the index: questions about those cannot be answered, the others can. QUESTIONS is another set
with the same ids: `xquad/es xquad/en` asks Spanish documents in English.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.answering import extractive
from rag.answering.context import collect_passages
from rag.answering.engine import CERTAIN, names_missing_in
from rag.index.index import Index
from rag.operations.services import open_index, open_retriever
from rag.retrieval.relevance_gate import best_relevance
from rag.settings import Settings, StorageSettings, load_settings
from rag.storage.selection import scope_of

THRESHOLDS = (0.5, 0.55, 0.59, 0.63, 0.65, 0.7, 0.74, 0.78)
HITS = 18


def main(name: str, asked_from: str = "") -> int:
    """Measure and print."""
    root = os.environ.get("RAG_EVALS_DIR")
    if not root or not (Path(root) / name).is_dir():
        print("Set RAG_EVALS_DIR to a folder with evaluation sets; nothing was measured.")
        return 0
    records = read_lines(Path(root) / name / "corpus.jsonl")
    questions = read_lines(Path(root) / (asked_from or name) / "queries.jsonl")
    kept = set(sorted({record["title"] for record in records})[::2])
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        corpus.write_text("".join(json.dumps(r) + "\n" for r in records if r["title"] in kept), encoding="utf-8")
        settings = Settings(**{**dict(load_settings()), "storage": StorageSettings(dir=Path(folder) / "storage")})
        with open_index(settings) as index:
            with Ingestor(settings, index) as ingestor:
                for _ in ingestor.add_paths([corpus]):
                    pass
            answerable = [question for question in questions if question["metadata"]["article"] in kept]
            others = [question for question in questions if question["metadata"]["article"] not in kept]
            seen, unseen = (asyncio.run(ask(index, settings, asked)) for asked in (answerable, others))
    console = Console()
    console.print(f"{name}: {len(seen)} answerable questions, {len(unseen)} about articles that are left out")
    table = Table("threshold", "answerable refused", "unanswerable refused", "… or a name is missing:", "unanswerable")
    for threshold in sorted({*THRESHOLDS, settings.retrieval.min_relevance}):
        is_default = threshold == settings.retrieval.min_relevance
        by_score = [[found < threshold for found, *_ in asked] for asked in (seen, unseen)]
        by_either = [[found < threshold or missing for found, missing, _ in asked] for asked in (seen, unseen)]
        shares = (sum(refused) / len(refused) for refused in (*by_score, *by_either))
        table.add_row(f"{threshold:.2f}{' (default)' if is_default else ''}", *(f"{share:.1%}" for share in shares))
    console.print(table)
    for depth in (1, 2):
        share = sum(place <= depth for *_, place in seen) / len(seen)
        console.print(f"The answer's text lies in the first {depth} quoted: {share:.1%}")
    return 0


async def ask(index: Index, settings: Settings, questions: Sequence[dict[str, Any]]) -> list[tuple[float, bool, int]]:
    """For each question its relevance, whether a name in it is known to nothing, and after how many quotes the answer's
    text was quoted."""
    retriever = open_retriever(settings, index)
    scope = scope_of(index.catalog, "default")
    results = []
    for question in questions:
        hits = await retriever.retrieve(question["text"], scope, HITS)
        relevance = best_relevance(hits)
        is_missing = relevance < CERTAIN and bool(names_missing_in(question["text"], hits, index.embedding))
        passages = collect_passages(hits, index.catalog.page_text, settings.retrieval.max_passages)
        quoted = extractive.best_sentences(question["text"], passages, index.embedding)
        answers = [text.lower() for text, _ in question["metadata"]["answers"]]
        for place in range(1, len(quoted) + 1):
            if any(answer in " ".join(citation.quote for citation in quoted[:place]).lower() for answer in answers):
                break
        else:
            place = len(quoted) + 99
        results.append((relevance, is_missing, place))
    return results


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ("xquad/en",)))
