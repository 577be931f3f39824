"""What a deletion costs as the index grows: one document and five at once, from a small and from a large index.

    python -m benchmarks.deletion [CHUNKS…]     default: 1000 10000 50000

Each size is an index of its own, of the documents that `benchmarks.scale` stores: random words and vectors, 64 chunks a
document. "Delete" is the time until nobody finds the documents any more: the median, and the longest, of several
deletions, each made while nothing else is going on, and the processor's share of it, which a busy machine does not
change. Neither should depend on what else there is; the ratios are to the first size. "Gone from the disk" is when the
last of their words have left tantivy's files and their text SQLite's, which happens in the background; what a search by
words takes before and during that is a median, too.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.scale import Corpus, open_empty
from rag.index.index import Index
from rag.types.documents import Scope

_SINGLE = 9  # deletions of one document
_AT_ONCE = 5  # documents deleted together
_LOOK = 0.02  # seconds
_REST = 1.0  # seconds before a deletion, for the merges that followed upon the last one


@dataclass
class Result:
    """Milliseconds, and for `gone` seconds."""

    chunks: int = 0
    single: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    together: float = 0.0
    gone: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    purging: list[float] = field(default_factory=list)


def measure(chunks: int) -> Result:
    """Fill an index and delete from it."""
    corpus, result = Corpus(), Result()
    with tempfile.TemporaryDirectory() as folder, closing(open_empty(Path(folder))) as index:
        texts: dict[str, str] = {}
        while result.chunks < chunks:
            group = corpus.next_group()
            index.replace_documents(group)
            result.chunks += sum(len(version.chunks) for version in group)
            texts |= {version.document.id: version.chunks[0].text for version in group}
        questions = itertools.cycle(text[:60] for text in texts.values())
        with _searching(index, questions, result.idle):
            time.sleep(2)
        ids = iter(list(texts)[:: len(texts) // (_SINGLE + _AT_ONCE)])
        for _ in range(_SINGLE):
            time.sleep(_REST)
            work = time.process_time()
            result.single.append(_delete(index, [next(ids)]))
            result.work.append((time.process_time() - work) * 1000)
            with _searching(index, questions, result.purging):
                result.gone.append(_wait_until_gone(index))
        result.together = _delete(index, [next(ids) for _ in range(_AT_ONCE)])
        result.gone.append(_wait_until_gone(index))
    return result


def _delete(index: Index, document_ids: list[str]) -> float:
    began = time.perf_counter()
    index.delete_documents(document_ids)
    return (time.perf_counter() - began) * 1000


def _wait_until_gone(index: Index) -> float:
    began = time.perf_counter()
    while index.is_purge_pending():
        time.sleep(_LOOK)
    return time.perf_counter() - began


@contextmanager
def _searching(index: Index, questions: Iterator[str], took: list[float]) -> Iterator[None]:
    """Search by words ten times a second meanwhile, and note how many milliseconds it took."""
    scope, stop = Scope((index.catalog.collection().id,)), threading.Event()

    def search() -> None:
        while not stop.wait(0.1):
            began = time.perf_counter()
            index.search_lexical(next(questions), scope, 50)
            took.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def main(sizes: list[int]) -> int:
    """Measure and print."""
    table = Table(
        "chunks",
        "delete one, ms",
        "ratio",
        "longest",
        "of it CPU",
        "ratio",
        f"delete {_AT_ONCE} at once, ms",
        "gone from the disk, s",
        "search before, ms",
        "search meanwhile, ms",
    )
    first: tuple[float, float] | None = None
    for size in sizes:
        result = measure(size)
        single, work = statistics.median(result.single), statistics.median(result.work)
        first = first or (single, work)
        table.add_row(
            f"{result.chunks:,}",
            f"{single:.1f}",
            f"{single / first[0]:.2f}",
            f"{max(result.single):.1f}",
            f"{work:.1f}",
            f"{work / first[1]:.2f}",
            f"{result.together:.1f}",
            f"{statistics.median(result.gone):.1f} (longest {max(result.gone):.1f})",
            f"{statistics.median(result.idle):.2f}",
            f"{statistics.median(result.purging):.2f}",
        )
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [1_000, 10_000, 50_000]))
