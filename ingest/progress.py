"""What a person sees of an ingest: a progress bar with rate and time left, then a table, and what went wrong."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import PurePath
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ingest.loaders import FORMATS
from rag.settings import EmbeddingSettings
from rag.types.documents import Document
from rag.types.ingest import FileOutcome, FileReport, IngestOptions, IngestProgress, Job

_REDRAWN = 0.1  # seconds between two signs of progress
_WIDE = 1_000  # columns, where no screen limits them


def show_progress(progresses: Iterable[IngestProgress], options: IngestOptions = IngestOptions()) -> int:
    """Follow an ingest to its end; 1 if a file failed, else 0."""
    reports: list[FileReport] = []
    began = time.monotonic()
    chunks = 0
    with _bar("Ingesting", "files") as (console, show):
        for progress in progresses:
            chunks = progress.chunks
            if progress.report is not None:
                reports.append(progress.report)
                _tell(console, progress.report)
            show(progress)
    _show_summary(reports, chunks, time.monotonic() - began, options)
    return 1 if any(report.outcome == "failed" for report in reports) else 0


def show_reindexing(progresses: Iterable[IngestProgress], chosen: EmbeddingSettings) -> None:
    """Follow a switch to another embedding model to its end."""
    began = time.monotonic()
    chunks = documents = 0
    with _bar("Embedding anew", "documents") as (_, show):
        for progress in progresses:
            chunks, documents = progress.chunks, progress.files_total
            show(progress)
    console = Console()
    console.print(
        f"{documents} documents, {chunks} chunks embedded in {time.monotonic() - began:.1f} s.", highlight=False
    )
    names = ("provider", "base_url", "model", "dimensions", "query_prefix", "passage_prefix")
    usual = EmbeddingSettings(model="")
    values = {name: getattr(chosen, name) for name in names if getattr(chosen, name) != getattr(usual, name)}
    settings = " ".join(f"RAG_EMBEDDING__{name.upper()}={value!r}" for name, value in values.items())
    console.print(f"For every later start, set {settings}.", highlight=False, soft_wrap=True)


@contextmanager
def _bar(what: str, unit: str) -> Iterator[tuple[Console, Callable[[IngestProgress], None]]]:
    """A progress bar on standard error: how many are done, pages, chunks, rate, time left. Yields its console, and what
    draws a progress on it."""
    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.fields[done]}, {task.fields[chunks]} chunks, {task.fields[rate]:.0f} chunks/s"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()

    def show(progress: IngestProgress) -> None:
        pages = f", {progress.pages} pages" if progress.pages else ""
        bar.update(
            task,
            total=progress.bytes_total or progress.files_total,
            completed=progress.bytes_done or progress.files_done,
            done=f"{progress.files_done}/{progress.files_total} {unit}{pages}",
            chunks=progress.chunks,
            rate=progress.chunks / max(time.monotonic() - began, _REDRAWN),
        )

    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, done="", chunks=0, rate=0.0)
        yield bar.console, show


def print_events(progresses: Iterable[IngestProgress], options: IngestOptions = IngestOptions()) -> int:
    """The same as JSON lines, for programs: `progress` while it works, `file` for each file, `end`."""
    counts: Counter[str] = Counter()
    began = shown = time.monotonic()
    state: dict[str, object] = {}
    for progress in progresses:
        state = {**asdict(replace(progress, report=None)), "seconds": round(time.monotonic() - began, 3)}
        del state["report"]
        if progress.report:
            counts[progress.report.outcome] += 1
            _print_event("file", asdict(progress.report))
        elif time.monotonic() - shown > _REDRAWN:
            shown = time.monotonic()
            _print_event("progress", state)
    _print_event("end", {**state, "outcomes": dict(counts), "dry_run": options.dry_run})
    return 1 if counts["failed"] else 0


def _print_event(event: str, body: Mapping[str, object]) -> None:
    print(json.dumps({"event": event, **body}, ensure_ascii=False), flush=True)


def _tell(console: Console, report: FileReport) -> None:
    """A line about a file that needs attention; the rest is in the table."""
    name = PurePath(report.source).name
    if report.outcome == "failed":
        console.print(Text(f"failed  {name}: {report.error} {report.hint}".rstrip(), style="red"), soft_wrap=True)
    elif report.notice and report.outcome != "unchanged":
        console.print(Text(f"note    {name}: {report.notice}", style="yellow"), soft_wrap=True)


def _show_summary(reports: Sequence[FileReport], chunks: int, seconds: float, options: IngestOptions) -> None:
    console = Console()
    if not reports:
        console.print("No documents found: no file of a known type lies there.")
        console.print(f"What can be read: {FORMATS} (docs/formats.md has every suffix).", soft_wrap=True)
        return
    if options.dry_run:
        console.print("Nothing was changed. This would be done:")
    table = Table("", "files", "pages", "chunks", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    counts = Counter(report.outcome for report in reports)
    for outcome in get_args(FileOutcome):
        if counts[outcome]:
            of_kind = [report for report in reports if report.outcome == outcome]
            pages, of_chunks = sum(r.pages for r in of_kind), sum(r.chunks for r in of_kind)
            table.add_row(outcome, str(counts[outcome]), str(pages), str(of_chunks))
    console.print(table)
    if chunks:
        console.print(f"{chunks} chunks embedded in {seconds:.1f} s ({chunks / seconds:.0f}/s).", highlight=False)
    if freed := sum(report.freed for report in reports):
        console.print(f"{freed / 1024:,.0f} KB freed.", highlight=False)


def show_left_out(counts: Mapping[str, int]) -> None:
    """Say what of the folders was left out, by suffix."""
    kinds = [f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(counts.items())]
    if kinds:
        Console().print(Text(f"Left out, as no loader reads them: {', '.join(kinds)}."), soft_wrap=True)


def print_left_out(counts: Mapping[str, int]) -> None:
    """The same as a JSON line."""
    _print_event("left_out", {"suffixes": dict(counts)})


def document_line(document: Document) -> dict[str, object]:
    """A document as `ingest ls --json` gives it."""
    names = ("id", "collection", "source", "status", "pages", "chunks")
    shown: dict[str, object] = {name: getattr(document, name) for name in names}
    return shown | {"error": document.error or None, "attributes": dict(document.attributes)}


def job_line(job: Job) -> dict[str, object]:
    """A job as `ingest jobs --json` gives it."""
    shown: dict[str, object] = {name: getattr(job, name) for name in ("id", "name", "collection", "state")}
    chunks, error = (job.report.chunks, job.report.error or None) if job.report else (job.chunks, None)
    return shown | {"chunks": chunks, "created": job.created_at, "error": error}


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
    return "" if value is None else str(value)


def show_lines(lines: Sequence[Mapping[str, object]], none: str, *, as_json: bool) -> None:
    """What a command lists, as a table (or what to say of `none`), or with one JSON object a line."""
    if as_json:
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
        return
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    if not lines:
        console.print(none)
        return
    table = Table(box=None, pad_edge=False)
    for name in lines[0]:
        table.add_column(name, no_wrap=name == "id", overflow="fold")
    for line in lines:
        table.add_row(*(Text(_cell(value)) for value in line.values()))
    console.print(table)
