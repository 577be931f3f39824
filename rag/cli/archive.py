"""The commands for archives: `rag export` and `rag import`, `rag backup` and `rag restore`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, follow, load_settings
from rag.errors import StorageLocked
from rag.operations.backend import find_server, open_backend

if TYPE_CHECKING:
    from rag.operations.archive.format import ArchiveProgress
    from rag.operations.archive.import_ import ImportResult
    from rag.operations.archive.reader import Archive
    from rag.operations.archive.restore import RestoreResult
    from rag.operations.archive.writer import WrittenArchive
    from rag.settings import Settings

_force_option = click.option("--force", is_flag=True, help="Write over a file of that name.")
_collections_option = click.option(
    "--collection", "collections", multiple=True, metavar="NAME", help="Only this set; may be repeated."
)


@click.command("export")
@click.argument("archive", type=click.Path(path_type=Path))
@_collections_option
@click.option("--without-files", is_flag=True, help="Leave the documents' own files out: texts and vectors only.")
@_force_option
@debug_option
def export_archive(archive: Path, collections: tuple[str, ...], without_files: bool, force: bool) -> None:
    """Write documents, texts, vectors and files into one archive.

    \b
    rag export backup.zip                        everything
    rag export staff.zip --collection staff      one set of documents
    rag export small.zip --without-files         footnotes will open no page unless the files are there, too

    `rag import` takes the archive in on any machine, and embeds nothing. The archive is an ordinary zip with a
    manifest; it gets its name when it is whole, and only you can read it. It holds the text of all documents: keep it
    as safe as those. A file that is gone, or has changed since it was ingested, is left out and named. Ingest may go on
    meanwhile.
    """
    from rag.operations.control_protocol import ExportRequest

    request = ExportRequest(
        archive=archive, collections=list(collections), with_files=not without_files, overwrite=force
    )
    with open_backend(load_settings()) as backend:
        written = follow(backend.export(request))
    for source in written.left_out:
        click.echo(f"note    {source}: its file is gone or has changed since; its text is exported.", err=True)
    _show(archive, written, "no files" if without_files else f"{written.files} files")


def _show(archive: Path, written: WrittenArchive, files: str) -> None:
    size = f"{written.size / 1e6:,.1f} MB"
    click.echo(f"{archive}: {written.documents} documents, {written.chunks} chunks, {files}, {size}.")


@click.command("import")
@click.argument("archive", type=click.Path(path_type=Path))
@_collections_option
@debug_option
def import_archive(archive: Path, collections: tuple[str, ...]) -> None:
    """Take in an archive that `rag export` or `rag backup` wrote, beside what is here.

    All of it is checked first: if a single bit is wrong, nothing is taken in. Then its documents are added to the sets
    they came from; nothing is read or embedded anew. A document that is here already stays; one with the same name and
    other content is replaced by the archive's. An import that was interrupted can be run again. The users and keys of a
    backup are not taken in.

    The server must not run meanwhile. The embedding model (RAG_EMBEDDING__MODEL) must be the archive's.
    """
    imported = follow(_importing(load_settings(), archive, collections))
    click.echo(
        f"{imported.added} documents added, {imported.replaced} replaced, {imported.unchanged} unchanged; "
        f"{imported.chunks} chunks."
    )
    if imported.without_file:
        click.echo(
            f"note    {imported.without_file} documents came without their files: they can be asked, "
            "but their footnotes open no page.",
            err=True,
        )


def _importing(
    settings: Settings, path: Path, collections: tuple[str, ...]
) -> Iterator[ArchiveProgress | ImportResult]:
    from rag.operations.archive import import_
    from rag.operations.services import open_dormant_index

    with _opened(settings, path) as archive:
        yield from archive.verify()
        with open_dormant_index(settings, archive.manifest.embedding) as index:
            yield from import_.import_archive(index, archive, settings.storage.dir, collections)


def _opened(settings: Settings, path: Path) -> Archive:
    """The archive, where it may be taken in. Raises StorageLocked, UnreadableArchive."""
    from rag.operations.archive.reader import Archive

    if find_server(settings) is not None:
        raise StorageLocked(
            "A server owns the storage folder; nothing can be imported or restored while it runs.",
            hint="End the server, run the command again, and start it again.",
        )
    return Archive(path)


@click.command()
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path))
@_force_option
@debug_option
def backup(archive: Path, force: bool) -> None:
    """Write everything that is stored into FILE: documents, vectors, uploads, users, keys, jobs, kept answers.

    The server may run, and ingest may go on: the backup is what was stored when it began. It is an archive like those
    of `rag export`, gets its name when it is whole, and only you can read it: keep it as safe as the documents. Files
    that are ingested from folders of yours are not in it, only their texts and vectors; back those folders up as you do
    anyway.
    """
    from rag.operations.control_protocol import BackupRequest

    with open_backend(load_settings()) as backend:
        written = follow(backend.back_up(BackupRequest(backup=archive, overwrite=force)))
    for name in written.left_out:
        click.echo(
            f"note    {name}: its bytes were deleted meanwhile, or are damaged; all else of it is there.", err=True
        )
    _show(archive, written, f"{written.files} uploaded files")


@click.command()
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Lose what is in the storage folder now.")
@debug_option
def restore(archive: Path, overwrite: bool) -> None:
    """Make the storage folder (RAG_STORAGE__DIR) what the backup FILE says.

    All of it is checked first: if a single bit is wrong, nothing is changed. Then a storage folder is made of it and
    opened, and only then takes its place. The server must not run meanwhile. Restore only what you wrote yourself: a
    backup brings users and keys with it.
    """
    restored = follow(_restoring(load_settings(), archive, overwrite))
    click.echo(
        f"{restored.documents} documents, {restored.chunks} chunks and {restored.files} uploaded files are back."
    )


def _restoring(settings: Settings, path: Path, overwrite: bool) -> Iterator[ArchiveProgress | RestoreResult]:
    from rag.operations.archive.restore import restore

    with _opened(settings, path) as archive:
        yield from archive.verify()
        yield from restore(settings, archive, overwrite=overwrite)
