"""Files read by a reader of llama-index, such as those of LlamaHub: `RAG_INGEST__READERS` names one for a suffix.

A reader is a class of llama-index (BaseReader), or a function that makes an object of one, which has `load_data(path)`.
Where it numbers its documents (`page_label` in their metadata), each is a page. It runs in the sandbox: without the
network's keys, within the limits of time and memory, and found where packages are installed, or by PYTHONPATH.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path, PurePath
from typing import Any

from ingest.loaders.base import Extracted, Limits, Section, sensible_title, unreadable


def load_by_reader(reader: str, path: Path, name: str, limits: Limits) -> Extracted:
    """What `package.module:Reader` reads. Raises UnreadableDocument where there is no such reader."""
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, f"file{PurePath(name).suffix.lower()}")  # readers go by the suffix
        named.symlink_to(path)
        try:
            made_reader = made(reader, "load_data")
        except LookupError as error:
            hint = "Install it beside Footnote, or correct RAG_INGEST__READERS."
            raise unreadable(name, f"is to be read with {error}", hint) from error
        documents = made_reader.load_data(named)
    limits.check_pages(len(documents), name)
    are_pages = all(document.metadata.get("page_label") for document in documents)
    sections = [
        Section(document.get_content(), index, str(document.metadata["page_label"]))
        if are_pages
        else Section(document.get_content() + "\n\n")
        for index, document in enumerate(documents)
    ]
    title = next((str(document.metadata["title"]) for document in documents if document.metadata.get("title")), "")
    return Extracted(sensible_title(title), sections)


def made(reference: str, method: str) -> Any:
    """What `package.module:function` makes, which has that method. Raises LookupError, which says what is wrong."""
    module, _, attribute = reference.partition(":")
    try:
        instance = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # a foreign program
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise LookupError(f"{reference}, which cannot be had: {words}") from error
    if not hasattr(instance, method):
        raise LookupError(f"{reference}, which has no {method}.")
    return instance
