"""What a person sees of an ingest: a progress bar with rate and time left, then a table, and what went wrong."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ingest.loaders import SUPPORTED_SUFFIXES
from rag.types import Document, FileReport, IngestProgress

_WIDE = 1_000  # columns, where no screen limits them


def show_progress(progresses: Iterable[IngestProgress]) -> int:
    """Follow an ingest to its end; 1 if a file failed, else 0."""
    reports: list[FileReport] = []
    began = time.monotonic()
    chunks = 0
    columns = (
        TextColumn("Ingesting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TextColumn("{task.fields[chunks]} chunks, {task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, chunks=0, rate=0.0)
        for progress in progresses:
            chunks = progress.chunks
            rate = chunks / max(time.monotonic() - began, 0.001)
            bar.update(task, total=progress.files_total, completed=progress.files_done, chunks=chunks, rate=rate)
            if progress.report is not None:
                reports.append(progress.report)
                _tell(bar.console, progress.report)
    _show_summary(reports, chunks, time.monotonic() - began)
    return 1 if any(report.outcome == "failed" for report in reports) else 0


def _tell(console: Console, report: FileReport) -> None:
    """A line about a file that needs attention; the rest is in the table."""
    name = PurePath(report.source).name
    if report.outcome == "failed":
        console.print(Text(f"failed  {name}: {report.error} {report.hint}".rstrip(), style="red"), soft_wrap=True)
    elif report.notice and report.outcome != "unchanged":
        console.print(Text(f"note    {name}: {report.notice}", style="yellow"), soft_wrap=True)


def _show_summary(reports: Sequence[FileReport], chunks: int, seconds: float) -> None:
    console = Console()
    if not reports:
        console.print("No documents found: no file of a known type lies there.")
        console.print(f"Known are {', '.join(sorted(SUPPORTED_SUFFIXES))}.")
        return
    table = Table("", "files", "pages", "chunks", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    counts = Counter(report.outcome for report in reports)
    for outcome in ("added", "updated", "unchanged", "failed"):
        if counts[outcome]:
            of_kind = [report for report in reports if report.outcome == outcome]
            pages, of_chunks = sum(r.pages for r in of_kind), sum(r.chunks for r in of_kind)
            table.add_row(outcome, str(counts[outcome]), str(pages), str(of_chunks))
    console.print(table)
    if chunks:
        console.print(f"{chunks} chunks embedded in {seconds:.1f} s ({chunks / seconds:.0f}/s).", highlight=False)


def document_line(document: Document) -> dict[str, object]:
    """A document as `ingest ls --json` gives it."""
    return {
        "id": document.id,
        "collection": document.collection,
        "source": document.source,
        "status": document.status,
        "pages": document.pages,
        "chunks": document.chunks,
        "error": document.error or None,
    }


def show_documents(documents: Sequence[Document]) -> None:
    """A table of documents."""
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    if not documents:
        console.print("No documents yet. `ingest PATH` adds some.")
        return
    table = Table(box=None, pad_edge=False)
    for name in document_line(documents[0]):
        table.add_column(name, no_wrap=name == "id", overflow="fold")
    for document in documents:
        cells = document_line(document).values()
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))
    console.print(table)
