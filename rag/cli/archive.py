"""The commands that keep everything safe: `rag backup` and `rag restore`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, follow, load_settings
from rag.errors import StorageLocked
from rag.operations.backend import find_server, require_index

if TYPE_CHECKING:
    from rag.operations.archive.backup import BackupResult
    from rag.operations.archive.format import ArchiveProgress
    from rag.operations.archive.restore import RestoreResult
    from rag.settings import Settings


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
