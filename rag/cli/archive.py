"""The commands for archives: `rag export` and `rag import`, `rag backup` and `rag restore`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, follow
from rag.errors import StorageLocked
from rag.operations.server_client import find_server, require_index
from rag.settings import Settings, load_settings

if TYPE_CHECKING:
    from rag.operations.archive.backup import BackupResult
    from rag.operations.archive.export import ExportResult
    from rag.operations.archive.format import ArchiveProgress
    from rag.operations.archive.import_ import ImportResult
    from rag.operations.archive.restore import RestoreResult


@click.command("export")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Only this set; may be repeated.")
@click.option("--without-files", is_flag=True, help="Leave the documents' own files out: texts and vectors only.")
@click.option("--force", is_flag=True, help="Write over a file of that name.")
@debug_option
def export_archive(archive: Path, collections: tuple[str, ...], without_files: bool, force: bool) -> None:
    """Write documents, texts, vectors and files into one archive.

    \b
    rag export backup.zip                        everything
    rag export staff.zip --collection staff      one set of documents
    rag export small.zip --without-files         footnotes will open no page unless the files are there, too

    `rag import` takes the archive in on any machine, and embeds nothing. The archive is an ordinary zip with a
    manifest; it gets its name when it is whole. It holds the text of all documents: keep it as safe as those. A file
    that is gone, or has changed since it was ingested, is left out and named. Ingest may go on meanwhile.
    """
    exported = follow(_exporting(load_settings(), archive, collections, not without_files, force))
    for source in exported.left_out:
        click.echo(f"note    {source}: its file is gone or has changed since; its text is exported.", err=True)
    files = "no files" if without_files else f"{exported.files} files"
    click.echo(
        f"{archive}: {exported.documents} documents, {exported.chunks} chunks, {files}, {exported.size / 1e6:,.1f} MB."
    )


def _exporting(
    settings: Settings, archive: Path, collections: tuple[str, ...], with_files: bool, overwrite: bool
) -> Iterator[ArchiveProgress | ExportResult]:
    server = find_server(settings)
    if server is not None:
        yield from server.export(archive, collections, with_files=with_files, overwrite=overwrite)
        return
    require_index(settings)
    from rag.operations.archive.export import export
    from rag.operations.services import open_index

    with open_index(settings) as index:
        yield from export(index, archive, collections, with_files=with_files, overwrite=overwrite)


@click.command("import")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Only this set; may be repeated.")
@debug_option
def import_archive(archive: Path, collections: tuple[str, ...]) -> None:
    """Take in an archive that `rag export` wrote.

    All of it is checked first: if a single bit is wrong, nothing is taken in. Then its documents are added to the sets
    they came from; nothing is read or embedded anew. A document that is here already stays; one with the same name and
    other content is replaced by the archive's. An import that was interrupted can be run again.

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
    server = find_server(settings)
    if server is not None:
        raise StorageLocked(
            "A server owns the storage folder; nothing can be imported while it runs.",
            hint="End the server, run the import, and start it again.",
        )
    from rag.operations.archive.import_ import import_archive
    from rag.operations.archive.reader import Archive
    from rag.operations.services import open_index

    with Archive(path) as archive:
        yield from archive.verify()
        with open_index(settings, archive.manifest.embedding) as index:
            yield from import_archive(index, archive, settings.storage.dir, collections)


@click.command()
@click.argument("backup", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file of that name.")
@debug_option
def backup(backup: Path, force: bool) -> None:
    """Write everything that is stored into FILE: documents, vectors, uploads, users, keys, jobs, kept answers.

    The server may run, and ingest may go on: the backup is what was stored when it began. It gets its name when it is
    whole, and only you can read it: keep it as safe as the documents. Files that are ingested from folders of yours are
    not in it, only their texts and vectors; back those folders up as you do anyway.
    """
    written: BackupResult = follow(_backing_up(load_settings(), backup, force))
    for name in written.left_out:
        click.echo(
            f"note    {name}: its bytes were deleted meanwhile, or are damaged; all else of it is there.", err=True
        )
    click.echo(
        f"{backup}: {written.documents} documents, {written.vectors} vectors, {written.files} uploaded files, "
        f"{written.size / 1e6:,.1f} MB."
    )


def _backing_up(settings: Settings, path: Path, overwrite: bool) -> Iterator[ArchiveProgress | BackupResult]:
    server = find_server(settings)
    if server is not None:
        yield from server.back_up(path, overwrite=overwrite)
        return
    require_index(settings)
    from rag.operations.archive.backup import back_up
    from rag.operations.services import open_index

    with open_index(settings) as index:
        yield from back_up(index, settings.storage.dir, path, overwrite=overwrite)


@click.command()
@click.argument("backup", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Lose what is in the storage folder now.")
@debug_option
def restore(backup: Path, overwrite: bool) -> None:
    """Make the storage folder (RAG_STORAGE__DIR) what the backup FILE says.

    All of it is checked first: if a single bit is wrong, nothing is changed. Then a storage folder is made of it and
    opened, and only then takes its place. The server must not run meanwhile. Restore only what you wrote yourself: a
    backup brings users and keys with it.
    """
    restored: RestoreResult = follow(_restoring(load_settings(), backup, overwrite))
    click.echo(
        f"{restored.documents} documents, {restored.vectors} vectors and {restored.files} uploaded files are back."
    )


def _restoring(settings: Settings, path: Path, overwrite: bool) -> Iterator[ArchiveProgress | RestoreResult]:
    if find_server(settings) is not None:
        raise StorageLocked(
            "A server owns the storage folder; nothing can be restored while it runs.",
            hint="End the server, restore, and start it again.",
        )
    from rag.operations.archive.backup_format import Backup
    from rag.operations.archive.restore import restore

    with Backup(path) as opened:
        yield from opened.verify()
        yield from restore(settings, opened, overwrite=overwrite)
