"""The kind of answer a message wants: labelled messages, and real questions that must all reach the documents.

    python -m benchmarks.routing [MESSAGES.jsonl…]     default: benchmarks/routing_messages.jsonl

A line of such a file is {"kind", "language", "text"} and, where it is so, "has_history" and "has_documents". The
questions are those of the sets in RAG_EVALS_DIR; each is tried as the first message and as a later one, with documents
and without.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rag.answering.routing import route_message

MESSAGES = Path(__file__).with_name("routing_messages.jsonl")
QUESTIONS = {
    "XQuAD en": ("xquad/en/queries.jsonl", "text"),
    "XQuAD es": ("xquad/es/queries.jsonl", "text"),
    "FinanceBench": ("financebench-dev/questions.jsonl", "question"),
    "chunking": ("chunking/questions.jsonl", "question"),
}


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def messages_table(path: Path) -> Table:
    """How many messages of each kind are taken for it, and what the others are taken for."""
    table = Table("kind", "messages", "right", "taken for", title=path.name)
    right, total, others = Counter(), Counter(), {}
    for line in read_lines(path):
        kind = route_message(
            line["text"], has_history=line.get("has_history", False), has_documents=line.get("has_documents", False)
        )
        total[line["kind"]] += 1
        right[line["kind"]] += kind == line["kind"]
        if kind != line["kind"]:
            others.setdefault(line["kind"], []).append(f"{kind}: {' '.join(line['text'].split())[:50]}")
    for kind, count in total.items():
        table.add_row(kind, str(count), str(right[kind]), "\n".join(others.get(kind, [])))
    table.add_row("all", str(total.total()), f"{right.total()} = {right.total() / total.total():.1%}", "")
    return table


def questions_table(folder: Path) -> Table:
    """Which share of real questions is kept from the documents, and how long a message takes."""
    table = Table("questions", "number", "kept from the documents", "µs a message")
    for name, (file, field) in QUESTIONS.items():
        questions = [line[field] for line in read_lines(folder / file)]
        begin = time.perf_counter()
        kinds = [
            route_message(question, has_history=history, has_documents=documents)
            for question, history, documents in product(questions, (False, True), (False, True))
        ]
        seconds = time.perf_counter() - begin
        kept = sum(kind != "question" for kind in kinds) / len(kinds)
        table.add_row(name, str(len(questions)), f"{kept:.2%}", f"{seconds / len(kinds) * 1e6:.0f}")
    return table


def main() -> None:
    console = Console()
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else [MESSAGES]:
        console.print(messages_table(path))
    if folder := os.environ.get("RAG_EVALS_DIR"):
        console.print(questions_table(Path(folder)))
    else:
        console.print("RAG_EVALS_DIR names no folder with questions: that part is left out.")


if __name__ == "__main__":
    main()
