"""Which files an `ingest PATH…` means: files as named, folders walked, in an order that never changes.

In folders, what nobody means is left out: hidden files, caches, installed packages, lock files, storage folders
of ours, formats without a loader, links that lead out of the folder, and what is not a file. Nothing is opened here.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ingest.loaders import SUPPORTED_SUFFIXES, printable, suffix_of
from rag.errors import NotFound, UnreadableDocument
from rag.storage.database import CATALOG_NAME

logger = logging.getLogger(__name__)

_IGNORED_NAMES = frozenset(
    {"__pycache__", "node_modules", "site-packages", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml"}
)
_IGNORED_PREFIXES = (".", "~$")
_IGNORED_SUFFIXES = (".min.js", ".min.mjs", ".min.cjs")


def discover(paths: Sequence[Path], suffixes: Collection[str] = SUPPORTED_SUFFIXES) -> list[Path]:
    """The files meant by `paths`, as absolute paths, each once; in folders, those of the `suffixes`.

    A file given by name is always taken, even of an unknown format, so that its owner hears why it fails. Raises
    NotFound before anything is walked when a path does not exist or is neither file nor folder, UnreadableDocument
    when a folder may not be read.
    """
    absolute = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - keeps links, unlike resolve()
    for path in absolute:
        _check_exists(path)
    found: dict[Path, Path] = {}  # real path → path; the first name of a file is kept
    for path in absolute:
        for file in _supported(path, suffixes) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def left_out(paths: Sequence[Path], suffixes: Collection[str] = SUPPORTED_SUFFIXES) -> Counter[str]:
    """How many files of each suffix (in small letters, with its dot) `discover` leaves out as no loader reads them."""
    found = (suffix_of(file.name) for path in paths if path.is_dir() for file in _walk(path))
    return Counter(suffix for suffix in found if suffix not in suffixes)


def source_name(path: Path) -> str:
    """The path as it is stored and shown: always printable, bytes that are not UTF-8 and line breaks escaped."""
    return printable(os.fspath(path))


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise NotFound(
            f"{source_name(path)} does not exist.",
            hint="Check the spelling; a relative path is meant from the folder the command runs in.",
        )
    if not path.is_dir() and not path.is_file():
        raise NotFound(f"{source_name(path)} is neither a file nor a folder.", hint="Name a file or a folder.")
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise UnreadableDocument(
            f"The folder {source_name(path)} may not be read.",
            hint="Give yourself the permission to read it.",
            source=source_name(path),
        )


def _walk(root: Path) -> Iterator[Path]:
    """The files in `root`, sorted; real files of a folder before links, so that a file goes by its own name."""
    real_root = root.resolve()
    for folder, subfolders, names in os.walk(root, onerror=_report):
        inside = {*subfolders}
        is_storage = CATALOG_NAME in names or ("lock" in names and {"words", "files"} & inside)
        if is_storage or {"words", "vectors"} <= inside:  # … of ours, with the catalog in PostgreSQL
            subfolders.clear()
            continue
        # Links to folders are never followed: what they show inside the root is walked anyway, so there are no loops.
        subfolders[:] = sorted(name for name in subfolders if not is_ignored(name))
        files = [Path(folder, name) for name in names if not is_ignored(name)]
        for file in sorted(files, key=lambda file: (file.is_symlink(), file.name)):
            if _is_wanted(file, real_root):
                yield file


def _supported(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    return (file for file in _walk(folder) if suffix_of(file.name) in suffixes)


def is_gone(path: Path) -> bool:
    """Whether there is surely nothing at `path`: what may not be looked at is taken to be there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_ignored(name: str) -> bool:
    """Whether a file or folder of that name is left out when a folder is walked."""
    return name.startswith(_IGNORED_PREFIXES) or name in _IGNORED_NAMES or name.lower().endswith(_IGNORED_SUFFIXES)


def _is_wanted(file: Path, real_root: Path) -> bool:
    try:
        return file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(real_root))
    except OSError as error:
        _report(error)
        return False


def _report(error: OSError) -> None:
    logger.warning("%s is left out: %s.", printable(str(error.filename)), error.strerror)
