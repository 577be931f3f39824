"""Retrieval quality on public sets with known answers: vectors, words, both by reciprocal rank, and Footnote.

    RAG_EVALS_DIR=… python -m benchmarks.retrieval [--storage FOLDER] [--typos] [--questions SET] [SET …]

RAG_EVALS_DIR holds the sets: `financebench-dev` (filings, questions.jsonl with evidence pages), `chunking` (Chroma's
corpora with exact spans), `anthropic-docs`, and folders in the BEIR layout (corpus.jsonl, queries.jsonl, qrels/*.tsv),
e.g. `cranfield` or `xquad/en`. Everything goes through the product's own ingest and retrieval, with the settings of the
environment. With --storage the indexes are kept there, and used again. With --typos every second long word of the
questions has a slip of the finger in it. With --questions those of another set with the same ids are asked, e.g.
`--questions xquad/en xquad/es`: English ones of Spanish documents.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.evaluation.metrics import ndcg
from rag.index.index import Index
from rag.operations.services import open_index, open_retriever
from rag.retrieval.relevance_gate import best_relevance
from rag.settings import Settings, StorageSettings, load_settings
from rag.storage.selection import scope_of
from rag.types.documents import Chunk, Hit, Scope

DEFAULT_SETS = ("cranfield", "scifact-dev", "xquad/en", "xquad/es", "anthropic-docs", "chunking", "financebench-dev")
DEPTH = 50  # hits looked at
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
RRF_K = 60  # Cormack, Clarke, Büttcher: "Reciprocal Rank Fusion", SIGIR 2009


@dataclass(frozen=True, slots=True)
class Found:
    """What a system shows: the document's file name without suffix, the page from 0, the record, and the characters."""

    document: str
    page: int | None
    record: str | None
    start: int
    end: int


Judge = Callable[[Sequence[Found]], Mapping[str, float]]  # best first → measure → value, the higher the better


@dataclass(frozen=True, slots=True)
class Task:
    """Files to take in, and questions with who judges what was found for each."""

    paths: Sequence[Path]
    questions: Sequence[tuple[str, Judge]]


def main() -> int:
    """Measure each set and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=DEFAULT_SETS)
    parser.add_argument("--storage", type=Path, help="keep the indexes here, and use those that are there")
    parser.add_argument("--typos", action="store_true", help="mistype every second word of six letters and more")
    parser.add_argument("--questions", metavar="SET", help="ask those of this set, which has the same ids")
    arguments = parser.parse_args()
    root = os.environ.get("RAG_EVALS_DIR")
    if not root:
        print("Set RAG_EVALS_DIR to a folder with evaluation sets; nothing was measured.")
        return 0
    console = Console(width=110)
    table = Table("set", "questions", "measure", "vectors", "words", "RRF", "Footnote", "p50 ms")
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.sets:
            if not (Path(root) / name).is_dir():
                console.print(f"{name} is not there; passed over.")
                continue
            storage = (arguments.storage or Path(temporary)) / name.replace("/", "-")
            task = read_task(name, Path(root) / name, Path(temporary))
            if arguments.questions:
                task = replace(task, questions=beir(Path(root) / arguments.questions).questions)
            if arguments.typos:
                task = replace(task, questions=[(mistyped(question), judge) for question, judge in task.questions])
            for row in measure(name, task, storage):
                table.add_row(*row)
    console.print(f"Embedding model: {load_settings().embedding.model}")
    console.print(table)
    return 0


def measure(name: str, task: Task, storage: Path) -> Iterable[Sequence[str]]:
    """The rows of one set."""
    settings = Settings(**{**dict(load_settings()), "storage": StorageSettings(dir=storage)})
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    times: list[float] = []
    with open_index(settings) as index, Ingestor(settings, index) as ingestor, asyncio.Runner() as runner:
        for _ in ingestor.add_paths(task.paths):
            pass
        retriever = open_retriever(settings, index)
        scope = scope_of(index.catalog, "default")
        for question, judge in task.questions:
            began = time.perf_counter()
            hits = runner.run(retriever.retrieve(question, scope, DEPTH))
            times.append((time.perf_counter() - began) * 1000)
            answers = {**legs(index, question, scope), "Footnote": [of_hit(hit) for hit in hits]}
            for system, found in answers.items():
                for measured, value in judge(found).items():
                    values[measured][system].append(value)
            relevance = best_relevance(hits)
            values["past the gate"]["Footnote"].append(float(relevance >= settings.retrieval.min_relevance))
    for measured, by_system in values.items():
        means = [
            f"{statistics.mean(by_system[system]):.4f}" if system in by_system else ""
            for system in ("vectors", "words", "RRF", "Footnote")
        ]
        yield name, str(len(task.questions)), measured, *means, f"{statistics.median(times):.1f}"


def mistyped(question: str) -> str:
    """The question with a slip in every second word of six letters and more, always the same: two letters swapped, one
    left out, doubled, or the one beside it on the keyboard; the first one is right."""
    chance = random.Random(question)
    words = list(re.finditer(r"[^\W\d_]{6,}", question))[::2]
    for match in reversed(words):
        word, place = match[0], chance.randrange(1, len(match[0]) - 1)
        before, letter, after = word[:place], word[place], word[place + 1 :]
        row = next((row for row in KEYBOARD if letter.lower() in row), letter)
        beside = row[row.index(letter.lower()) - 1] if row != letter else letter
        slip = chance.choice([after[0] + letter + after[1:], after, letter * 2 + after, beside + after])
        question = question[: match.start()] + before + slip + question[match.end() :]
    return question


def legs(index: Index, question: str, scope: Scope) -> dict[str, list[Found]]:
    """What each leg finds by itself, and both by reciprocal rank."""
    ranked = {
        "vectors": [chunk_id for chunk_id, _ in index.search_dense(question, scope, 4 * DEPTH)],
        "words": [chunk_id for chunk_id, _ in index.search_lexical(question, scope, 4 * DEPTH)],
    }
    scores: dict[str, float] = defaultdict(float)
    for chunk_ids in ranked.values():
        for rank, chunk_id in enumerate(chunk_ids, start=1):
            scores[chunk_id] += 1 / (RRF_K + rank)
    ranked["RRF"] = sorted(scores, key=lambda chunk_id: -scores[chunk_id])
    live = index.live_chunks(sorted(scores), scope)
    return {
        name: [of_chunk(live[chunk_id].chunk, live[chunk_id].source) for chunk_id in chunk_ids[:DEPTH]]
        for name, chunk_ids in ranked.items()
    }


def of_hit(hit: Hit) -> Found:
    """What a search shows of a hit."""
    start, end = hit.snippet
    return of_chunk(hit.chunk, hit.source, start, end)


def of_chunk(chunk: Chunk, source: str, start: int = 0, end: int | None = None) -> Found:
    """The characters from `start` to `end` of a chunk."""
    end = len(chunk.text) if end is None else end
    return Found(Path(source).stem, chunk.page_index, chunk.record_id, chunk.start + start, chunk.start + end)


# ---------------------------------------------------------------------------------------------------------------- sets


def read_task(name: str, folder: Path, temporary: Path) -> Task:
    """The set in `folder`, whichever kind it is; `temporary` takes files that have to be made from it."""
    if (folder / "corpus.jsonl").is_file():
        return beir(folder)
    if (folder / "pdfs").is_dir():
        return filings(folder)
    if (folder / "corpora").is_dir():
        return spans(folder)
    if (folder / "anthropic_docs.json").is_file():
        return documentation(folder, temporary)
    raise SystemExit(f"{name} is of no known kind.")


def beir(folder: Path) -> Task:
    """Records with grades (Thakur et al., "BEIR", NeurIPS 2021)."""
    relevance = read_relevance(folder)

    def judge(question: str) -> Judge:
        return lambda found: {"nDCG@10": ndcg(records(found), relevance[question], 10)}

    lines = [line for line in read_lines(folder / "queries.jsonl") if line["_id"] in relevance]
    return Task([folder / "corpus.jsonl"], [(line["text"], judge(line["_id"])) for line in lines])


def filings(folder: Path) -> Task:
    """Reports with the pages that hold the evidence (Islam et al., "FinanceBench", 2023)."""

    def judge(line: dict[str, Any]) -> Judge:
        evidence = {(item["doc_name"], item["page_0based"]) for item in line["evidence"]}

        def judged(found: Sequence[Found]) -> dict[str, float]:
            pages = [(item.document, item.page) for item in found]
            return {
                "page@5": float(any(page in evidence for page in pages[:5])),
                "page@10": float(any(page in evidence for page in pages[:10])),
                "right document first": float(bool(pages) and pages[0][0] == line["doc_name"]),
            }

        return judged

    return Task([folder / "pdfs"], [(line["question"], judge(line)) for line in read_lines(folder / "questions.jsonl")])


def spans(folder: Path) -> Task:
    """Texts with the exact characters that answer, five passages (Smith and Troynikov, Chroma, 2024); in per cent."""

    def judge(line: dict[str, Any]) -> Judge:
        gold = merged((reference["start_index"], reference["end_index"]) for reference in line["references"])

        def judged(found: Sequence[Found]) -> dict[str, float]:
            shown = found[:5]
            own = merged((item.start, item.end) for item in shown if item.document == line["corpus_id"])
            shared = sum(max(0, min(end, b) - max(start, a)) for start, end in own for a, b in gold)
            wanted = sum(end - start for start, end in gold)
            total = sum(item.end - item.start for item in shown)
            return {"recall@5 %": 100 * shared / wanted, "IoU@5 %": 100 * shared / (wanted + total - shared)}

        return judged

    return Task(
        [folder / "corpora"], [(line["question"], judge(line)) for line in read_lines(folder / "questions.jsonl")]
    )


def documentation(folder: Path, temporary: Path) -> Task:
    """Documentation in sections, with the sections that answer (Anthropic's contextual retrieval cookbook)."""
    corpus = temporary / "anthropic-docs.jsonl"
    sections = json.loads((folder / "anthropic_docs.json").read_text(encoding="utf-8"))
    with corpus.open("w", encoding="utf-8") as file:
        for item in sections:
            record = {"_id": item["chunk_link"], "title": item["chunk_heading"], "text": item["text"]}
            file.write(json.dumps(record) + "\n")

    def judge(item: dict[str, Any]) -> Judge:
        gold = set(item["correct_chunks"])

        def judged(found: Sequence[Found]) -> dict[str, float]:
            first = records(found)[:3]
            place = next((place for place, record in enumerate(first, start=1) if record in gold), None)
            return {"recall@3": len(gold & set(first)) / len(gold), "MRR@3": 1 / place if place else 0.0}

        return judged

    questions = json.loads((folder / "docs_evaluation_dataset.json").read_text(encoding="utf-8"))
    return Task([corpus], [(item["question"], judge(item)) for item in questions])


def read_relevance(folder: Path) -> dict[str, dict[str, float]]:
    """Question id → record id → grade, in the BEIR layout."""
    relevance: dict[str, dict[str, float]] = defaultdict(dict)
    qrels = min((folder / "qrels").glob("*.tsv"), key=lambda path: len(path.name))
    with qrels.open(encoding="utf-8", newline="") as file:
        for question, record, grade in list(csv.reader(file, delimiter="\t"))[1:]:
            relevance[question][record] = float(grade)
    return relevance


def records(found: Iterable[Found]) -> list[str]:
    """Record ids, best first, each once."""
    return list(dict.fromkeys(str(item.record) for item in found))


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same characters in ranges that do not overlap."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(main())
