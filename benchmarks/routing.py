"""What kind a message is taken for, on messages that nobody who wrote the examples had seen.

    python -m benchmarks.routing [FILE]     default: benchmarks/messages/test.jsonl

Each line of the file has `kind`, `language`, `text`, `has_history`, and `titles` of documents that are there. What a
message's words leave open is decided by a search; so each row says how many are right where it finds something on every
message, and where it finds nothing on any. With RAG_EVALS_DIR the questions of the sets there are tried, too: how many
would be kept from the documents.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.grounding import read_lines
from rag.answering.message_kinds import Guess, classify, language_of
from rag.answering.modes.documents import kind_of
from rag.storage.name_tokens import WORD, name_tokens, tokens_of

MESSAGES = Path(__file__).with_name("messages") / "test.jsonl"


def main(file: str) -> int:
    """Measure and print."""
    messages = read_lines(Path(file))
    begun = time.perf_counter()
    language_of("")
    learnt = time.perf_counter()
    guesses = [guess_of(message) for message in messages]
    ended = time.perf_counter()
    console = Console()
    table = Table("kind", "messages", "right, all is found", "right, nothing is found")
    kinds = [*sorted({message["kind"] for message in messages}), "all"]
    for kind in kinds:
        rows = [(m["kind"], guess) for m, guess in zip(messages, guesses, strict=True) if kind in (m["kind"], "all")]
        shares = (
            sum(kind_of(guess, is_found=found) == wanted for wanted, guess in rows) / len(rows)
            for found in (True, False)
        )
        table.add_row(kind, str(len(rows)), *(f"{share:.1%}" for share in shares))
    console.print(table)
    languages = sum(language_of(message["text"]) == message["language"] for message in messages) / len(messages)
    console.print(f"The language is right for {languages:.1%}.")
    each = (ended - learnt) / len(messages)
    console.print(f"Learnt in {learnt - begun:.1f} s; {each * 1000:.2f} ms a message.")
    for name, questions in question_sets():
        kept = Counter(kind_of(classify(question, has_history=True), is_found=True) for question in questions)
        share = 1 - kept["question"] / len(questions)
        console.print(f"{name}: {share:.2%} of {len(questions)} questions are taken for something else")
    return 0


def guess_of(message: dict[str, Any]) -> Guess:
    """What the words of the message say, with those in mind that are in the titles."""
    tokens = set[str]().union(*(name_tokens(title, title) for title in message["titles"]))
    names = {word for word in WORD.findall(message["text"]) if tokens & set(tokens_of([word]))}
    return classify(message["text"], names, has_history=message["has_history"])


def question_sets() -> Iterator[tuple[str, list[str]]]:
    """Questions that real people asked of documents."""
    if root := os.environ.get("RAG_EVALS_DIR"):
        for path in sorted(Path(root).rglob("*.jsonl")):
            if re.fullmatch("questions|queries", path.stem):
                rows = read_lines(path)
                yield str(path.parent.relative_to(root)), [row.get("question") or row["text"] for row in rows]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or (str(MESSAGES),)))
