"""The `rag` command and what it can do. Heavy libraries are imported inside the commands."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from rag.cli import archive, ask, feedback, users
from rag.cli.ask import collection_option
from rag.cli.eval import evaluate
from rag.cli.options import selection_options
from rag.cli.runner import debug_option, load_settings, version_option
from rag.errors import InvalidRequest
from rag.operations.backend import open_backend

if TYPE_CHECKING:
    from rag.storage.selection import Selection
    from rag.types.documents import Hit


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@version_option
def rag() -> None:
    """Ask your documents.

    \b
    rag serve                               the chat and the API
    rag ask "How long is the warranty?"     an answer with footnotes
    rag summarize --document report.pdf     what it says, with pages
    rag search "warranty" -k 5              the passages alone
    rag eval questions.jsonl                how well your questions are answered
    rag export backup.zip                   everything in one file
    rag import backup.zip                   the same, on another machine
    rag backup all.backup                   all that is stored, users and keys too; `rag restore` brings it back
    rag mcp                                 the documents as tools for Claude, editors and agents
    rag models                              which language models there are, and how fast they are
    rag users add anna                      who may log in; rag keys: who may use the API
    rag feedback                            what users think of answers
    rag doctor                              what is set up, and what is wrong
    rag repair                              make damaged vectors and words again, from the catalog

    If the server runs, it answers; otherwise the storage folder is opened here.
    """


for command in (
    ask.ask,
    ask.summarize,
    ask.models,
    archive.export_archive,
    archive.import_archive,
    archive.backup,
    archive.restore,
    evaluate,
    users.users,
    users.keys,
    users.share,
    feedback.feedback,
):
    rag.add_command(command)


@rag.command()
@debug_option
def mcp() -> None:
    """Serve the documents to another program as tools, over stdin and stdout (Model Context Protocol).

    Name this command in the settings of Claude, an editor or an agent. While Footnote's server runs, the same tools are
    at http://127.0.0.1:8000/mcp.
    """
    from rag.api.mcp import create_mcp
    from rag.storage.catalog import DEFAULT_COLLECTION

    with open_backend(load_settings()) as backend:
        backend.warm_up()
        create_mcp(lambda _: backend, DEFAULT_COLLECTION).run("stdio")


# ------------------------------------------------------------------------------------------------------------- search


@rag.command()
@click.argument("question", required=False)
@click.option("-k", "limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Number of passages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--batch",
    type=click.File(encoding="utf-8"),
    help='Many questions in one process: lines {"id", "question"}; gives lines {"id", "hits", "milliseconds"}.',
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="File for the results of --batch instead of the screen."
)
@collection_option
@selection_options
@debug_option
def search(
    question: str | None,
    limit: int,
    as_json: bool,
    batch: TextIO | None,
    output: Path | None,
    collection: str,
    selection: Selection,
) -> None:
    """Show the passages that fit a question, best first, without asking a model.

    \b
    rag search "warranty" -k 3
    rag search "warranty" --document manual.pdf --pages 3-7
    rag search "warranty" --where "year>=2021" --where department=legal
    rag search "warranty" --filter '{"type": "in", "key": "year", "value": [2019, 2021]}'

    `ingest tag` gives attributes to documents. These all have: source, title, file_name, media_type, pages, and in
    seconds since 1970 created_at (when it was taken in) and modified_at (of its file).
    """
    if (question is None) == (batch is None):
        raise InvalidRequest("Give either a question or --batch FILE.", hint="`rag search --help` shows both.")
    from rag.operations.control_protocol import SearchRequest

    questions = list(_read_batch(batch)) if batch else []
    settings = load_settings()
    with open_backend(settings) as backend, asyncio.Runner() as runner:

        def find(question: str) -> Sequence[Hit]:
            request = SearchRequest(question=question, collection=collection, limit=limit, selection=selection)
            return runner.run(backend.search(request))

        if question is not None:
            _show_hits(find(question), as_json, settings.retrieval.min_relevance)
            _tell_impaired(backend.impaired())
            return
        for item in questions[:1]:  # raises before the output is written over, and opens files, which is not measured
            find(item["question"])
        with nullcontext(sys.stdout) if output is None else output.open("w", encoding="utf-8") as file:
            _search_batch(find, questions, file)
        _tell_impaired(backend.impaired())


def _tell_impaired(parts: Sequence[str]) -> None:
    if parts:
        click.echo(
            f"note: The index of {' and '.join(parts)} is incomplete for now: passages may be missing.", err=True
        )


def _read_batch(lines: TextIO) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                item = json.loads(line)
                yield {"id": item["id"], "question": str(item["question"])}
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidRequest(
                    f"Line {number} of the batch is not an object with id and question.",
                    hint='Each line looks like {"id": "1", "question": "…"}.',
                ) from error


def _search_batch(find: Callable[[str], Sequence[Hit]], questions: list[dict[str, Any]], output: TextIO) -> None:
    with click.progressbar(questions, label="Searching", file=sys.stderr) as items:
        for item in items:
            began = time.perf_counter()
            hits = find(item["question"])
            milliseconds = round((time.perf_counter() - began) * 1000, 2)
            line = {"id": item["id"], "hits": [hit_line(hit) for hit in hits], "milliseconds": milliseconds}
            output.write(json.dumps(line, ensure_ascii=False) + "\n")


def hit_line(hit: Hit) -> dict[str, Any]:
    """A hit as `rag search --json` gives it: of its chunk the part that speaks to the question.

    All four offsets count characters in the page's (or file's) text.
    """
    first, last = hit.snippet
    return {
        "document": hit.chunk.document_id,
        "title": hit.title,
        "source": hit.source,
        "record_id": hit.chunk.record_id,
        "page_index": hit.chunk.page_index,
        "page_label": hit.chunk.page_label,
        "heading": hit.chunk.heading,
        "start": hit.chunk.start + first,
        "end": hit.chunk.start + last,
        "text": hit.chunk.text[first:last],
        "chunk_start": hit.chunk.start,
        "chunk_end": hit.chunk.end,
        "score": round(hit.score, 6),
        "probability": round(hit.probability, 4),
        "dense_rank": hit.dense_rank,
        "lexical_rank": hit.lexical_rank,
    }


def _show_hits(hits: Sequence[Hit], as_json: bool, least: float) -> None:
    if as_json:
        for hit in hits:
            click.echo(json.dumps(hit_line(hit), ensure_ascii=False))
        return
    from rag.retrieval.relevance_gate import best_relevance

    if not hits:
        click.echo("Nothing found.")
    elif best_relevance(hits) < least:
        click.echo("Nothing in your documents speaks to this. What comes nearest:\n")
    for number, hit in enumerate(hits, start=1):
        place = f", page {hit.chunk.page_label}" if hit.chunk.page_label else ""
        heading = f", {hit.chunk.heading}" if hit.chunk.heading else ""
        click.secho(f"{number}. {hit.title}{place}{heading}  ({hit.probability:.0%} likely)", bold=True)
        click.echo(f"   {' '.join(hit.chunk.text[slice(*hit.snippet)].split())[:300]}\n")


# ------------------------------------------------------------------------------------------------------------- doctor


@rag.command()
@click.option("--deep", is_flag=True, help="Read all files of the storage folder, and look for every vector.")
@debug_option
def doctor(deep: bool) -> int:
    """Check what is set up: each line is ok, or a problem and what to do. Exit code 1 if there is a problem."""
    from rag.operations.doctor import examine

    problems = 0
    for check in examine(load_settings(), deep=deep):
        state = click.style("ok     ", fg="green") if check.ok else click.style("problem", fg="red")
        click.echo(f"{state}  {check.subject}: {check.summary}")
        if check.advice:
            click.echo(f"         {check.advice}")
        problems += not check.ok
    return 1 if problems else 0


@rag.command()
@debug_option
def repair() -> None:
    """Make vectors and words again where they are damaged or do not fit the catalog.

    All files are read, and every vector is looked for. What is damaged is put aside until it is made again; vectors
    come from their copy, and only those that it lacks are embedded. A server does the same by itself at its start,
    where it sees that files have changed. The catalog cannot be made again: `rag restore` brings back a backup of it.
    """
    from rich.console import Console
    from rich.progress import Progress

    from rag.operations.services import open_dormant_index

    with open_dormant_index(load_settings(), deep=True) as index:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("")
            for progress in index.follow_repair():
                bar.update(task, description=progress.part, completed=progress.done, total=progress.total)
        chunks = sum(chunks for _, chunks in index.catalog.census().values())
    click.echo(f"Vectors and words are whole: {chunks} chunks.")
