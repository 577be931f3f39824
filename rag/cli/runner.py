"""The edge of the command line: settings in, errors out as two lines and an exit code.

Whether a command works through the server or opens the storage folder itself: rag/operations/backend.py.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rag.errors import RagError, set_caller
from rag.storage.private import make_files_private

if TYPE_CHECKING:
    from rag.operations.archive.format import ArchiveProgress
    from rag.operations.archive.import_ import ImportResult
    from rag.operations.archive.restore import RestoreResult
    from rag.operations.archive.writer import WrittenArchive
    from rag.settings import Settings

# What is mended by the way is told, whatever the command is.
_NOTICES = ("rag.index.repair", "rag.storage.exchange")
_Result = TypeVar("_Result", "WrittenArchive", "ImportResult", "RestoreResult")


def run(command: click.Command) -> None:
    """Run a click command as the program: errors become `error:` and `hint:` on stderr, and an exit code."""
    make_files_private()
    set_caller(runs_footnote=True)
    debug = is_debugging()
    logging.basicConfig(level=logging.INFO if debug else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    for name in _NOTICES:
        logging.getLogger(name).setLevel(min(logging.WARNING, logging.getLogger().level))
    try:
        code = command.main(standalone_mode=False)
    except RagError as error:
        if debug:
            raise
        fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("\nStopped. What was finished is kept.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        from rag.storage.unwritable import unwritable

        if failure := unwritable(error, load_settings().storage.dir):
            fail(failure)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        fail(RagError(f"Something went wrong: {reason}", hint="The same command with --debug shows where."))
    sys.exit(code if isinstance(code, int) else 0)


def load_settings() -> Settings:
    """The settings: see rag/settings.py. What reads them is loaded with the first command, not to show the help."""
    from rag.settings import load_settings as load

    return load()


def is_debugging() -> bool:
    """Whether the program was started with `--debug`."""
    return "--debug" in sys.argv or os.environ.get("FOOTNOTE_DEBUG") == "1"


def fail(error: RagError) -> None:
    """Say what went wrong and what to do, and exit."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    sys.exit(error.exit_code)


def version_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--version`: that of the installed package."""
    return click.version_option(package_name="footnote", message="Footnote %(version)s")(command)


def debug_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--debug`: the trace of an error, and what happens meanwhile. Read by `run`."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show traces and the log.")(command)


def follow(progresses: Iterator[ArchiveProgress | _Result]) -> _Result:
    """Show progress until the result comes."""
    from rich.console import Console
    from rich.progress import Progress

    from rag.operations.archive.format import ArchiveProgress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        for progress in progresses:
            if not isinstance(progress, ArchiveProgress):
                return progress
            bar.update(task, description=progress.step, completed=progress.done, total=progress.total)
    raise AssertionError("it ends with a result")
