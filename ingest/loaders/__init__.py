"""Files become sections of clean text: one table from suffix to loader.

To add a format, write a loader in a file of its own (see base.py) and add a row to LOADERS. Importing this package
is cheap: each loader imports its library when it is called.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from ingest.loaders.base import (
    HIDDEN_TEXT,
    MEGABYTE,
    Extracted,
    Limits,
    LoadedDocument,
    Loader,
    Section,
    over_limit,
    printable,
    quoted,
    readable_stem,
    unreadable,
)
from ingest.loaders.calendar import load_calendar
from ingest.loaders.csv import load_csv
from ingest.loaders.docx import load_docx
from ingest.loaders.email.loader import load_message
from ingest.loaders.email.mbox import load_mbox
from ingest.loaders.epub import load_epub
from ingest.loaders.html import load_html
from ingest.loaders.json import load_json, load_jsonl
from ingest.loaders.llama_reader import load_by_reader
from ingest.loaders.markdown import load_markdown
from ingest.loaders.notebook import load_ipynb
from ingest.loaders.ocr import IMAGE_SUFFIXES, load_image
from ingest.loaders.ocr import is_installed as can_recognise_text
from ingest.loaders.opendocument import load_odp, load_odt
from ingest.loaders.pdf.loader import load_pdf
from ingest.loaders.pptx import load_pptx
from ingest.loaders.rst import load_rst
from ingest.loaders.rtf import load_rtf
from ingest.loaders.source_code import SOURCE_CODE_SUFFIXES, load_source_code
from ingest.loaders.spreadsheet import load_spreadsheet
from ingest.loaders.subtitles import load_subtitles
from ingest.loaders.text import load_text
from ingest.loaders.xml import load_xml
from rag.errors import DocumentError, EmptyDocument, UnsupportedFileType
from rag.text.unicode import smuggles, without_invisible

__all__ = [
    "FORMATS",
    "LOADERS",
    "LOADER_VERSION",
    "SUPPORTED_SUFFIXES",
    "Limits",
    "LoadedDocument",
    "Section",
    "base",
    "can_recognise_text",
    "load_document",
    "printable",
    "suffix_of",
    "supported_suffixes",
]

# Part of each document's fingerprint: raise it whenever a loader's output changes, and documents are read again.
LOADER_VERSION = "6"


def _extract_attachment(data: bytes, name: str, limits: Limits) -> Extracted:
    loader = _loader_of(name)  # what has none is not written down first
    if loader is LOADERS[".pdf"]:
        loader = load_pdf  # what is attached to it is only named: else files could be nested without end
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "attachment")
        path.write_bytes(data)
        return _extract(loader, path, name, limits)


LOADERS: dict[str, Loader] = {
    ".pdf": partial(load_pdf, read_attachment=_extract_attachment),
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), load_docx),
    ".odt": load_odt,
    ".rtf": load_rtf,
    ".epub": load_epub,
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), load_pptx),
    ".odp": load_odp,
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb", ".xls", ".ods"), load_spreadsheet),
    **dict.fromkeys((".html", ".htm", ".xhtml"), load_html),
    **dict.fromkeys((".md", ".mdx", ".markdown"), load_markdown),
    ".txt": load_text,
    **dict.fromkeys((".text", ".log", ".tex", ".org", ".adoc"), load_text),
    **dict.fromkeys((".srt", ".vtt"), load_subtitles),
    ".ics": load_calendar,
    **dict.fromkeys((".csv", ".tsv"), load_csv),
    **dict.fromkeys((".jsonl", ".ndjson"), load_jsonl),
    ".json": load_json,
    ".xml": load_xml,
    ".ipynb": load_ipynb,
    ".rst": load_rst,
    **dict.fromkeys((".eml", ".msg"), partial(load_message, read_attachment=_extract_attachment)),
    ".mbox": partial(load_mbox, read_attachment=_extract_attachment),
    **dict.fromkeys(SOURCE_CODE_SUFFIXES, load_source_code),
    **(dict.fromkeys(IMAGE_SUFFIXES, load_image) if can_recognise_text() else {}),
}
SUPPORTED_SUFFIXES = frozenset(LOADERS)
FORMATS = (
    "PDF, Word, PowerPoint, Excel, OpenDocument, RTF, EPUB, mail, web pages, Markdown, CSV, JSON, XML, notebooks, "
    "subtitles, text and source code"
)
_PLAIN_TEXTS = frozenset(  # files that have no suffix
    {
        "readme",
        "license",
        "licence",
        "copying",
        "notice",
        "authors",
        "contributors",
        "maintainers",
        "changelog",
        "changes",
    }
    | {"news", "todo", "install", "makefile", "dockerfile", "jenkinsfile", "vagrantfile", "procfile", "codeowners"}
)


def supported_suffixes(readers: Mapping[str, str]) -> frozenset[str]:
    """The suffixes that can be read, with those that have a reader of their own."""
    return SUPPORTED_SUFFIXES | readers.keys()


def suffix_of(name: str) -> str:
    """The suffix by which a file is read, in small letters: that of its name, or `.txt` for the names of text files
    without one, such as README."""
    path = PurePath(name)
    return path.suffix.lower() or (".txt" if path.name.lower() in _PLAIN_TEXTS else "")


_SAVED_AS = {
    **dict.fromkeys((".doc", ".dot", ".wpd", ".wps"), ".docx"),
    **dict.fromkeys((".ppt", ".pps"), ".pptx"),
    **dict.fromkeys((".pages", ".numbers", ".key", ".pub", ".djvu", ".ps"), ".pdf"),
    **dict.fromkeys((".heic", ".heif", ".gif"), ".jpg"),
}

_LONGEST_SECTION = 100_000  # characters; so that no part of the way in has to hold a whole book at once
# Escape sequences of a document must not reach a terminal that shows a hit.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def load_document(path: Path, name: str, limits: Limits, reader: str = "") -> LoadedDocument:
    """The text of the file at `path`, which the user knows as `name`; `name`'s suffix chooses the loader, unless a
    reader of llama-index is named.

    Raises UnsupportedFileType, UnreadableDocument (encrypted, corrupt, too large) or EmptyDocument (no text).
    """
    loader = partial(load_by_reader, reader) if reader else _loader_of(name)
    return _document_of(_extract(loader, path, name, limits), name)


def _loader_of(name: str) -> Loader:
    suffix = suffix_of(name)
    loader = LOADERS.get(suffix)
    if loader is None:
        kind = f"“{printable(suffix)}” files" if suffix else "files without a suffix"
        raise UnsupportedFileType(
            f"{quoted(name)} cannot be read: no loader for {kind}.",
            hint=_unsupported_hint(suffix),
            source=name,
        )
    return loader


def _extract(loader: Loader, path: Path, name: str, limits: Limits) -> Extracted:
    """What the loader found, as it is. Raises like `load_document`."""
    _check_file(path, name, limits)
    try:
        extracted = loader(path, name, limits)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # parsers raise anything on broken files
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise unreadable(name, f"could not be read: {printable(reason)}.") from error
    limits.check_text(sum(len(section.text) for section in extracted.sections), name)
    if not any(section.text.strip() for section in extracted.sections):
        raise EmptyDocument(f"{quoted(name)} holds no text.", hint=_empty_hint(extracted.sections), source=name)
    return extracted


def _document_of(extracted: Extracted, name: str) -> LoadedDocument:
    """Control characters and what else cannot be seen removed, long sections cut, a title, the pages counted."""
    pages = {section.page_index for section in extracted.sections if section.page_index is not None}
    with_text = {section.page_index for section in extracted.sections if section.text.strip()}
    is_hidden = HIDDEN_TEXT not in extracted.notice and any(smuggles(section.text) for section in extracted.sections)
    return LoadedDocument(
        title=without_invisible(extracted.title) or readable_stem(name),
        sections=[
            replace(section, text=text, heading=without_invisible(section.heading))
            for section in extracted.sections
            for text in _portions(_CONTROL.sub("", without_invisible(section.text)))
        ],
        pages=len(pages) or 1,
        empty_pages=tuple(sorted(pages - with_text)),
        notice=" ".join(filter(None, (extracted.notice, HIDDEN_TEXT * is_hidden))),
    )


def _portions(text: str) -> Iterator[str]:
    """`text` in parts of bounded length, cut at a blank line if there is one, else at a line's end."""
    start = 0
    while len(text) - start > _LONGEST_SECTION:
        end = start + _LONGEST_SECTION
        borders = (text.rfind(mark, start, end) + len(mark) for mark in ("\n\n", "\n", " "))
        border = next((border for border in borders if border > start + _LONGEST_SECTION // 2), end)
        yield text[start:border]
        start = border
    yield text[start:]


def _check_file(path: Path, name: str, limits: Limits) -> None:
    try:
        size = path.stat().st_size if path.is_file() else -1
        if size >= 0:
            path.open("rb").close()
    except OSError as error:
        raise unreadable(
            name,
            f"cannot be opened: {error.strerror or error}.",
            "Check that the file is still there and that you may read it.",
        ) from error
    if size < 0:
        raise unreadable(name, "is not a file, or is no longer there.", "Name an ordinary file.")
    if size == 0:
        raise EmptyDocument(
            f"{quoted(name)} is empty (0 bytes).", hint="Save or copy it again: nothing has been written.", source=name
        )
    if size > limits.max_file_mb * MEGABYTE:
        raise over_limit(name, f"is larger than {limits.max_file_mb} MB.", "MAX_FILE_MB")


def _unsupported_hint(suffix: str) -> str:
    if suffix in IMAGE_SUFFIXES:
        return "Text recognition reads images: `make setup EXTRAS=ocr` installs it."
    if suffix in _SAVED_AS:
        return f"Open it in its own program and save it as {_SAVED_AS[suffix]}."
    return f"What can be read: {FORMATS} (docs/formats.md has every suffix)."


def _empty_hint(sections: Sequence[Section]) -> str:
    if all(section.page_index is None for section in sections):
        return "There is nothing to answer from in this file."
    if can_recognise_text():
        return "Its pages have no text layer, and text recognition found nothing in them."
    return (
        "Its pages seem to be scans with no text layer: install text recognition (`make setup EXTRAS=ocr`), try again."
    )
