"""What lies over a PDF page: what was filled in, what readers have noted, files that are pinned to it.

What a form field or a text box shows is drawn onto the page, so that it is read where it stands. Ticked boxes, whose
sign is no letter, and fields that are drawn by the viewer alone become texts of their own. Notes are lines below.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingest.loaders.base import squeeze

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

TICK = "☒"
_MOST_ANNOTATIONS = 5_000  # a page
_LONGEST = 20_000  # characters of one
_HIDDEN = 1 << 1 | 1 << 5  # flags: hidden, and not shown on the screen
_Box = tuple[float, float, float, float]  # left, bottom, right, top, in points


@dataclass(slots=True)
class Annotations:
    """What there is beside the page's own text: texts with the boxes they stand in, notes a line each, pinned files by
    name. `own_characters` are those of the page before anything was drawn onto it, None where nothing was."""

    texts: list[tuple[str, _Box]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    own_characters: int | None = None


@contextmanager
def annotated_page(document: PdfDocument, index: int, most_bytes: int) -> Iterator[tuple[PdfPage, Annotations]]:
    """A page as it is shown, and what lies over it; pinned files of more bytes are left out. Raises PdfiumError if the
    page is broken."""
    page = document[index]
    try:
        annotations, is_drawn = _read(page, document.formenv, most_bytes)
        if is_drawn:
            with closing(page.get_textpage()) as text_page:
                annotations.own_characters = text_page.count_chars()
            _draw(page)
            page.close()
            page = document[index]
        yield page, annotations
    finally:
        page.close()


def attached_files(document: PdfDocument, most_bytes: int) -> Iterator[tuple[str, bytes | None]]:
    """The files that are attached to the whole, by name; None for one of more bytes."""
    for number in range(document.count_attachments()):
        attachment = document.get_attachment(number)
        yield attachment.get_name(), _content(attachment, most_bytes)


def _content(attachment: Any, most_bytes: int) -> bytes | None:
    from pypdfium2 import raw

    size = ctypes.c_ulong()
    has_size = raw.FPDFAttachment_GetFile(attachment, None, 0, size)
    return bytes(attachment.get_data()) if has_size and 0 < size.value <= most_bytes else None


def _read(page: PdfPage, form: Any, most_bytes: int) -> tuple[Annotations, bool]:
    """What lies over the page, and whether some of it is to be drawn onto it."""
    from pypdfium2 import raw

    found, is_drawn = Annotations(), False
    for number in range(min(raw.FPDFPage_GetAnnotCount(page), _MOST_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, number)
        if not annotation:
            continue
        try:
            if raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                continue
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            if kind == raw.FPDF_ANNOT_WIDGET:
                is_drawn |= _read_field(annotation, form, found) if form else False
            elif kind == raw.FPDF_ANNOT_FREETEXT and raw.FPDFAnnot_HasKey(annotation, b"AP"):
                is_drawn = True
            elif kind == raw.FPDF_ANNOT_FILEATTACHMENT:
                _read_file(annotation, most_bytes, found)
            elif kind not in (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP) and (text := _string(annotation, b"Contents")):
                author = _string(annotation, b"T")
                found.notes.append(f"Comment{f' by {author}' if author else ''}: {text}")
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return found, is_drawn


def _read_field(annotation: Any, form: Any, found: Annotations) -> bool:
    """Takes in a form field that does not draw what it holds as letters; whether it does."""
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        raw.FPDFAnnot_SetFlags(annotation, raw.FPDFAnnot_GetFlags(annotation) | _HIDDEN)  # its sign is no letter
        if raw.FPDFAnnot_IsChecked(form, annotation):
            found.texts.append((TICK, _box(annotation)))
        return False
    if raw.FPDFAnnot_HasKey(annotation, b"AP"):
        return True
    text = _utf16(lambda *buffer: raw.FPDFAnnot_GetFormFieldValue(form, annotation, *buffer))
    if text and kind != raw.FPDF_FORMFIELD_PUSHBUTTON:
        found.texts.append((text, _box(annotation)))
    return False


def _read_file(annotation: Any, most_bytes: int, found: Annotations) -> None:
    from pypdfium2 import PdfAttachment, raw

    pinned = raw.FPDFAnnot_GetFileAttachment(annotation)
    if pinned and (data := _content(attachment := PdfAttachment(pinned, None), most_bytes)) is not None:
        found.files.append((attachment.get_name(), data))


def _draw(page: PdfPage) -> None:
    from pypdfium2 import raw

    raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)


def _box(annotation: Any) -> _Box:
    from pypdfium2 import raw

    box = raw.FS_RECTF()
    raw.FPDFAnnot_GetRect(annotation, box)
    return box.left, box.bottom, box.right, box.top


def _string(annotation: Any, key: bytes) -> str:
    from pypdfium2 import raw

    return _utf16(lambda *buffer: raw.FPDFAnnot_GetStringValue(annotation, key, *buffer))


def _utf16(read: Any) -> str:
    """A text on one line, which `read` writes into a buffer of so many bytes."""
    size = min(read(None, 0), 2 * _LONGEST)
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    read(buffer, size)
    return squeeze(bytes(buffer).decode("utf-16-le", "replace").partition("\0")[0])
