"""Opening the indexes of a storage folder: what is damaged is put aside, and an empty one opened, to be filled."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rag.index.chroma_server import ChromaServer
from rag.index.dense import VectorIndex
from rag.index.integrity import FolderNote, damage_of_vectors, damage_of_words
from rag.index.lexical import LexicalIndex, LexicalWriter
from rag.index.vector_copy import COPY_NAME, damage_of_copy, delete_copy
from rag.storage.catalog import Catalog
from rag.storage.unwritable import unwritable
from rag.text.analysis import ANALYSIS_VERSION

logger = logging.getLogger(__name__)

_AnyIndex = TypeVar("_AnyIndex", VectorIndex, LexicalWriter)


def open_vectors(place: Path | ChromaServer, fingerprint: str, *, deep: bool) -> VectorIndex:
    """The vectors of a storage folder, or at a server; `deep` looks for damage in all files, and for every vector."""
    if isinstance(place, ChromaServer):
        return VectorIndex(place, fingerprint)
    folder = place / "vectors"
    _bring_back_copy(folder)
    problem = damage_of_vectors(folder, deep=deep)
    # a copy that is damaged beside vectors that are known to be sound is made again from them
    if deep and not problem and folder.exists() and FolderNote(folder).is_certain and (bad := damage_of_copy(folder)):
        logger.error("The copy of the vectors is damaged (%s), and is made again.", bad)
        delete_copy(folder)
    return _open_or_set_aside(lambda path: VectorIndex(path, fingerprint), folder, problem)


def open_words(storage: Path, catalog: Catalog, *, deep: bool) -> LexicalWriter:
    """The words of a storage folder; `deep` looks for damage in all files. Words of another analysis are deleted."""
    folder = storage / "words"
    if catalog.property("words") != ANALYSIS_VERSION:
        shutil.rmtree(folder, ignore_errors=True)
    problem = damage_of_words(folder, deep=deep)
    return _open_or_set_aside(lambda path: LexicalWriter(LexicalIndex(path)), folder, problem)


def delete_set_aside(storage: Path) -> None:
    """Delete what was put aside, and is whole again."""
    for name in ("words", "vectors"):
        for folder in storage.glob(f"{name}.damaged-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _open_or_set_aside(open_index: Callable[[Path], _AnyIndex], folder: Path, problem: str) -> _AnyIndex:
    """The index in `folder`; where there is a problem, or it cannot be opened, it is put aside, and an empty one is
    opened."""
    if problem:
        _set_aside(folder, problem)
    try:
        return open_index(folder)
    except (OSError, ImportError, MemoryError):  # the disk, the rights, the installation or the machine, not the index
        raise
    except Exception as error:
        if unwritable(error, folder):  # nor a full disk, told in other words
            raise
        _set_aside(folder, " ".join(str(error).split()) or repr(error))
        return open_index(folder)


def _set_aside(folder: Path, problem: str) -> None:
    aside = folder.with_name(f"{folder.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    message = "The %s in %s are damaged: %s. They are made again from the catalog; until then they are kept as %s."
    logger.error(message, folder.name, folder, problem, aside.name)
    folder.rename(aside)
    folder.mkdir()
    _bring_back_copy(folder)


def _bring_back_copy(folder: Path) -> None:
    """Where the copy of the vectors lacks, take it from what was put aside last: it has checksums. After a kill on the
    way, the next start does the rest."""
    if (folder / COPY_NAME).exists():
        return
    for aside in sorted(folder.parent.glob(f"{folder.name}.damaged-*"), reverse=True):
        if (aside / COPY_NAME).exists():
            folder.mkdir(exist_ok=True)
            for file in sorted(aside.glob(f"{COPY_NAME}*"), reverse=True):  # the file itself after what is beside it
                file.rename(folder / file.name)
            return
