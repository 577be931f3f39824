"""Documents that the tests upload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas


def write_pdf(path: Path, pages: Sequence[str], password: str | None = None) -> Path:
    """A PDF with a line of text a page, encrypted if a password is given."""
    canvas = Canvas(str(path), encrypt=StandardEncryption(password) if password else None)
    for text in pages:
        canvas.drawString(72, 720, text)
        canvas.showPage()
    canvas.save()
    return path
