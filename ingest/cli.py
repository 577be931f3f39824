"""The `ingest` command, and what of the `rag` command writes (`rag reindex`): both programs begin here.

Heavy libraries are imported inside the commands.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, load_settings, run, version_option
from rag.errors import InvalidRequest, NotFound, RagError
from rag.types.ingest import IngestOptions

if TYPE_CHECKING:
    from ingest.ingest_backend import LocalIngestBackend
    from rag.operations.backend import Backend
    from rag.operations.server_client import ServerClient
    from rag.types.documents import AttributeValue, Document
    from rag.types.ingest import IngestProgress


class _PathsByDefault(click.Group):
    """A group whose first argument, when it is no subcommand, begins the paths of `add`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `add` before arguments that name no subcommand."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h", "--version"):
            args = ["add", *args]
        return super().parse_args(ctx, args)


def _open_backend(ray_address: str | None = None) -> AbstractContextManager[ServerClient | LocalIngestBackend]:
    from ingest.ingest_backend import open_ingest_backend

    return open_ingest_backend(load_settings(), ray_address)


collection_option = click.option(
    "--collection", default="default", show_default=True, metavar="NAME", help="The set of documents to work on."
)


@click.group(cls=_PathsByDefault, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@version_option
def ingest() -> None:
    """Take documents in, so that they can be asked.

    \b
    ingest report.pdf notes/                a file and a folder
    ingest notes/ --collection research     into a set of documents of its own
    ingest ls                               what is there
    ingest rm report.pdf                    remove a document
    ingest tag report.pdf year=2021         note something of it, to search by
    ingest notes/ --watch                   follow every change in a folder

    Files that have not changed are skipped, a file that cannot be read is reported and passed over. If the server runs,
    it does the work. `ingest PATH…` is short for `ingest add PATH…`; a file called `ls` is `./ls`.
    """


@ingest.command("add")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@collection_option
@click.option("--prune", is_flag=True, help="Remove documents of these folders whose files are gone.")
@click.option("--retry-failed", is_flag=True, help="Read files again that failed before and have not changed.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--watch", is_flag=True, help="Stay and follow every change in these folders, until Ctrl-C.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Note this of every file, for `rag search --where`; may be repeated.",
)
@click.option(
    "--ray",
    "ray_address",
    metavar="ADDRESS",
    help="Read and embed on a Ray cluster: `auto`, HOST:PORT, ray://HOST:PORT, or `local` to start one here.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: progress, each file, the end.")
@debug_option
def add(
    paths: tuple[Path, ...],
    collection: str,
    prune: bool,
    retry_failed: bool,
    dry_run: bool,
    watch: bool,
    attributes: tuple[str, ...],
    ray_address: str | None,
    as_json: bool,
) -> int:
    """Take in files and folders (the default). Exit code 1 if a file failed."""
    from ingest.discovery import left_out
    from ingest.loaders import supported_suffixes
    from ingest.progress import print_events, print_left_out, show_left_out, show_progress
    from ingest.watch import changes
    from rag.storage.attributes import check_attributes, read_tags

    if watch and dry_run:
        raise InvalidRequest("--watch cannot be a --dry-run.", hint="Leave one of them out.")
    options = IngestOptions(prune=prune or watch, retry_failed=retry_failed, dry_run=dry_run)
    follow = print_events if as_json else show_progress
    tags = read_tags(attributes)
    suffixes = supported_suffixes(load_settings().ingest.readers)
    check_attributes({key: value for key, value in tags.items() if value is not None})
    with _open_backend(None if dry_run else ray_address) as backend:
        if as_json:
            print_left_out(left_out(paths, suffixes))  # before the event `end`
        code = 0
        for _ in changes([path.absolute() for path in paths], suffixes=suffixes) if watch else [None]:
            progresses = backend.add_paths(paths, collection, options)
            code = follow(_tagging(backend, tags, progresses, options), options)
        if not (as_json or watch):
            show_left_out(left_out(paths, suffixes))
        return code


def _tagging(
    backend: Backend,
    tags: Mapping[str, AttributeValue | None],
    progresses: Iterator[IngestProgress],
    options: IngestOptions,
) -> Iterator[IngestProgress]:
    """The same progress; the documents that come by get the tags. Where that fails, the report says so."""
    for progress in progresses:
        report = progress.report
        if tags and report and report.document_id and report.outcome != "removed" and not options.dry_run:
            try:
                backend.tag(report.document_id, tags)
            except RagError as error:  # it was deleted meanwhile, or would have too many
                report = replace(report, notice=f"{report.notice} Not tagged: {error.message}".strip())
        yield replace(progress, report=report)


@ingest.command("ls")
@click.option("--collection", default=None, metavar="NAME", help="Only this set of documents.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@debug_option
def ls(collection: str | None, as_json: bool) -> None:
    """List the documents."""
    from ingest.progress import document_line, show_lines

    with _open_backend() as backend:
        lines = [document_line(document) for document in backend.documents(collection)]
    show_lines(lines, "No documents yet. `ingest PATH` adds some.", as_json=as_json)


@ingest.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="DOCUMENT…")
@collection_option
@debug_option
def rm(names: tuple[str, ...], collection: str) -> None:
    """Remove documents, by id, source, or file name."""
    with _open_backend() as backend:
        documents = backend.documents(collection)
        chosen = [_matching(name, documents) for name in names]
        for document_id in dict.fromkeys(chosen):
            report = backend.delete(document_id)
            click.echo(f"Removed {report.source} ({report.chunks} chunks, {report.freed / 1024:,.0f} KB freed).")


@ingest.command("tag")
@click.argument("name", metavar="DOCUMENT")
@click.argument("attributes", nargs=-1, required=True, metavar="KEY=VALUE…")
@collection_option
@debug_option
def tag(name: str, attributes: tuple[str, ...], collection: str) -> None:
    """Note attributes of a document, by id, source, or file name, so that it can be searched by them.

    \b
    ingest tag report.pdf year=2021 department=legal draft=false
    ingest tag report.pdf draft=                                  take one away
    rag search "notice period" --where "year>=2021"

    2021 is a number, true and false are what they say, anything else is a text; so is "2021", with its quotation marks.
    """
    from rag.storage.attributes import read_tags

    tags = read_tags(attributes)
    with _open_backend() as backend:
        document = backend.tag(_matching(name, backend.documents(collection)), tags)
    shown = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in document.attributes.items())
    click.echo(f"{document.source}: {shown or 'no attributes'}")


@ingest.command("jobs")
@click.option("--cancel", "cancelled", metavar="JOB", help="Stop this job.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@debug_option
def jobs(cancelled: str | None, as_json: bool) -> None:
    """List the uploads: waiting, being read, and the last ones done."""
    from ingest.progress import job_line, show_lines

    with _open_backend() as backend:
        jobs = backend.jobs() if cancelled is None else [backend.cancel(cancelled)]
    show_lines([job_line(job) for job in jobs], "No uploads yet.", as_json=as_json)


@click.command("reindex")
@click.option("--model", metavar="NAME", help="The embedding model; by default the one that the settings name.")
@click.option("--query-prefix", metavar="TEXT", help="Put before a question, for models trained so.")
@click.option("--passage-prefix", metavar="TEXT", help="Put before a passage, for models trained so.")
@debug_option
def reindex(model: str | None, query_prefix: str | None, passage_prefix: str | None) -> None:
    """Embed all documents anew with another embedding model.

    The new vectors are built beside the old ones, which answer until all is done; then everything switches at once. No
    file is read again. When it is broken off, run it again: it goes on where it was. Set RAG_EMBEDDING__MODEL to the
    new model afterwards.
    """
    from ingest.progress import show_reindexing

    given = {"model": model, "query_prefix": query_prefix, "passage_prefix": passage_prefix}
    chosen = load_settings().embedding.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    with _open_backend() as backend:
        show_reindexing(backend.reindex(chosen), chosen)


def _matching(name: str, documents: Sequence[Document]) -> str:
    """The id of the one document that `name` means. Raises NotFound, or InvalidRequest when it may mean several."""
    from ingest.discovery import source_name
    from ingest.loaders import printable

    shown = printable(name)  # as `ingest ls` shows it
    sources = (shown, source_name(Path(os.path.abspath(name))))  # noqa: PTH100 - keeps links, as `discover` does
    exact = [d.id for d in documents if name == d.id or d.source in sources]
    matching = exact or [d.id for d in documents if Path(d.source).name == shown]
    if not matching:
        raise NotFound(f"There is no document {name!r}.", hint="`ingest ls` lists the documents.")
    if len(matching) > 1:
        raise InvalidRequest(
            f"{name!r} may mean {len(matching)} documents.", hint="Give the id that `ingest ls` shows."
        )
    return matching[0]


def main() -> None:
    """Entry point of the console script."""
    run(ingest)


def rag_commands() -> click.Group:
    """The commands of `rag`: its own, and those that need more than reading."""
    from ingest.serve import serve
    from rag.cli.main import rag

    rag.add_command(reindex)
    rag.add_command(serve)
    return rag


def rag_main() -> None:
    """Entry point of the console script `rag`."""
    run(rag_commands())
