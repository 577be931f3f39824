"""The process that draws one page: `python -m rag.api.rendering.worker FILE INDEX` writes a line of JSON and a PNG.

A PDF is a stranger's program for a large parser, so it is opened in a process that lives for one page, may write no
file, and has limits on memory and time. It gives back plain data: the picture, and each character with its box.
"""

from __future__ import annotations

import ctypes
import io
import json
import logging
import resource
import sys
from typing import TYPE_CHECKING, Any

from rag.text.right_to_left import RIGHT_TO_LEFT, lines_in_order

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

MEMORY = 1 << 30  # bytes of address space
SECONDS = 15  # of processor time
UNITS = 10_000  # boxes are given in this many parts of the page's width and height
NO_SUCH_PAGE = 3  # the exit status for a page that the file does not have

_WIDTH, _HEIGHT = 1240, 2000  # pixels at most
_MAX_SCALE = 4.0  # pixels a point
_MAX_CHARACTERS = 50_000  # beyond, boxes are left out


def main() -> None:
    """Draw the page that the arguments name."""
    logging.disable()
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    from pypdfium2 import PdfDocument, raw

    document = PdfDocument(sys.argv[1])
    index = int(sys.argv[2])
    if not 0 <= index < len(document):
        sys.exit(NO_SUCH_PAGE)
    document.init_forms()  # what was filled in belongs to the page
    page = document[index]
    picture, size = _drawn(page)
    if raw.FPDFPage_GetAnnotCount(page):
        raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
        page = document[index]
    head = {"pages": len(document), "size": size, **_characters(page)}
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + picture)


def _drawn(page: PdfPage) -> tuple[bytes, tuple[int, int]]:
    """The page as a PNG, and its width and height in pixels."""
    width, height = (max(side, 1.0) for side in page.get_size())
    image = page.render(scale=min(_WIDTH / width, _HEIGHT / height, _MAX_SCALE)).to_pil().convert("RGB")
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=4)
    return file.getvalue(), image.size


def _characters(page: PdfPage) -> dict[str, Any]:
    """The page's characters as `text`, in the order in which they were drawn, and four numbers for each in `boxes`:
    left, top, right, bottom."""
    from pypdfium2 import raw

    # From the page's own coordinates to those of the picture, whatever its rotation and crop box are.
    x, y = ctypes.c_int(), ctypes.c_int()

    def on_picture(left: float, top: float) -> tuple[int, int]:
        raw.FPDF_PageToDevice(page, 0, 0, UNITS, UNITS, 0, left, top, x, y)
        return min(max(x.value, 0), UNITS), min(max(y.value, 0), UNITS)

    text_page = page.get_textpage()
    count = text_page.count_chars()
    if count > _MAX_CHARACTERS:
        return {"text": "", "boxes": []}
    text: list[str] = []
    boxes: list[int] = []
    for number in range(count):
        code = raw.FPDFText_GetUnicode(text_page, number)
        text.append(chr(code) if code == 10 or 31 < code < 0xD800 or 0xDFFF < code < 0x110000 else " ")
        left, bottom, right, top = text_page.get_charbox(number, loose=True)
        (x1, y1), (x2, y2) = on_picture(left, top), on_picture(right, bottom)
        boxes += min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    return _as_read("".join(text), boxes)


def _as_read(text: str, boxes: list[int]) -> dict[str, Any]:
    """Both in the order in which they are read, as the loader has it, where some runs from right to left."""
    if not RIGHT_TO_LEFT.search(text):
        return {"text": text, "boxes": boxes}
    places = [(boxes[i], boxes[i + 2], boxes[i + 1], boxes[i + 3]) for i in range(0, len(boxes), 4)]
    order = [number for line in lines_in_order(text, places) for number in line if number is not None]
    return {
        "text": "".join(text[i] for i in order),
        "boxes": [edge for i in order for edge in boxes[4 * i : 4 * i + 4]],
    }


if __name__ == "__main__":
    main()
