"""Makes the files that the tests of the loaders read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from ingest.loaders import Limits, LoadedDocument, load_document

if TYPE_CHECKING:
    from pathlib import Path

Outline = list[tuple[str, int, int]]  # heading, level from 0, page from 0


def make_pdf(path: Path, pages: list[list[str]], *, title: str = "", outline: Outline | None = None) -> Path:
    """A PDF with the given lines on each page; a page without lines has no text layer."""
    canvas = Canvas(str(path), pageCompression=1)
    if title:
        canvas.setTitle(title)
    for number, lines in enumerate(pages):
        for heading, level, page in outline or []:
            if page == number:
                key = f"{heading}-{page}"
                canvas.bookmarkPage(key)
                canvas.addOutlineEntry(heading, key, level)
        for row, line in enumerate(lines):
            canvas.drawString(72, 760 - 16 * row, line)
        if not lines:
            canvas.rect(72, 300, 200, 200, fill=1)
        canvas.showPage()
    canvas.save()
    return path


def rewrite_pdf(path: Path, change: object) -> Path:
    """Lets `change` act on a pypdf writer that holds the file, and writes it back."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(path.read_bytes())))
    change(writer)  # type: ignore[operator]
    writer.write(path)
    return path


def load(path: Path, name: str = "", limits: Limits | None = None) -> LoadedDocument:
    return load_document(path, name or path.name, limits or Limits())


def texts(document: LoadedDocument) -> list[str]:
    return [section.text for section in document.sections]


def headings(document: LoadedDocument) -> list[str]:
    return [section.heading for section in document.sections]
