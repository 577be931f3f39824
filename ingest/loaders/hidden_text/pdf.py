"""Text on a PDF page that nobody can see: white on white, transparent, drawn invisibly, too small to be read, or on a
layer that is switched off.

The colour of a text says little, since white on a dark table header is common. What looks suspicious is therefore
looked up in a picture of the page: where that is blank, the text is hidden. The invisible text of a scan lies on its
image and stays.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.loaders.pdf.raw import pdfium_function

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage

_NEARLY_WHITE = 0xE8  # of each colour, at least
_NEARLY_TRANSPARENT = 0x18  # alpha, at most
_UNPAINTED = frozenset({3, 7})  # text rendering modes that draw nothing
_TINY = 1.0  # points: a lower letter is no letter,
_LARGE_PAGE = 400.0  # on a page at least so long
_BLANK = 6  # of 255: colours that differ by no more look alike
_SCAN_SHARE = 0.5  # of a page covered by images: a scan, whose text is drawn invisibly on it
_MOST_LAYERS = 20  # of a page that are looked at, a picture each
_PICTURE_SIDE = 1200.0  # pixels, at most


class CharacterBox(NamedTuple):
    """A character of the page, by its number, and its box as the page is shown, in points; y grows upwards."""

    number: int
    left: float
    right: float
    bottom: float
    top: float


def remove_hidden(
    page: PdfPage,
    text_page: PdfTextPage,
    places: Sequence[CharacterBox],
    left: float,
    top: float,
    shown_layers: set[str],
) -> bool:
    """Take the text objects of these characters off the page if nobody can see them; whether there were any.

    `left` and `top` are the edges of what is shown of the page, in the coordinates of the places. `shown_layers` are
    those of the document of which it is known by now, and takes in more. The text page is outdated afterwards. Raises
    PdfiumError if the page cannot be drawn.
    """
    if not places:
        return False
    objects = _objects(text_page, [place.number for place in places])
    tiny = _tiny(page, places, objects)
    layered = _on_hidden_layers(page, set(objects) - {0}, shown_layers)
    suspects = _suspects(page, set(objects) - tiny - layered)
    hidden = tiny | layered | (suspects - _shown(page, places, objects, suspects, left, top) if suspects else set())
    for address in hidden - {0}:
        pdfium_function("FPDFPageObj_SetIsActive", ctypes.c_int, ctypes.c_int)(address, 0)
    return bool(hidden - {0})


def _objects(text_page: PdfTextPage, indices: Sequence[int]) -> list[int]:
    """The address of each character's text object; 0 where it has none (a space that pdfium made up)."""
    handle = ctypes.cast(text_page.raw, ctypes.c_void_p).value
    found = map(pdfium_function("FPDFText_GetTextObject", ctypes.c_void_p, ctypes.c_int), repeat(handle), indices)
    return [address or 0 for address in found]


def _tiny(page: PdfPage, places: Sequence[CharacterBox], objects: Sequence[int]) -> set[int]:
    if max(page.get_size()) < _LARGE_PAGE or all(top - bottom >= _TINY for _, _, _, bottom, top in places):
        return set()
    # Narrow letters and low dashes are common: all that is known of the object must be small in both directions.
    sizes: dict[int, float] = {}
    for (_, left, right, bottom, top), address in zip(places, objects, strict=True):
        sizes[address] = max(sizes.get(address, 0.0), right - left, top - bottom)
    return {address for address, size in sizes.items() if 0.0 < size < _TINY}  # 0: its font does not tell


def _on_hidden_layers(page: PdfPage, objects: set[int], shown_layers: set[str]) -> set[int]:
    """Those on layers that make no difference to the picture of the page, whatever the file says of them; a layer that
    was seen once is not looked at again."""
    layers: dict[str, set[int]] = {}
    count = pdfium_function("FPDFPageObj_CountMarks", ctypes.c_int)
    mark_of = pdfium_function("FPDFPageObj_GetMark", ctypes.c_void_p, ctypes.c_ulong)
    names: dict[int, str] = {}  # by the address of the mark, which many objects share
    for address, marks in zip(objects, map(count, objects), strict=True):
        for number in range(marks):
            mark = mark_of(address, number) or 0
            if mark not in names:
                names[mark] = _layer(mark)
            if names[mark] and names[mark] not in shown_layers:
                layers.setdefault(names[mark], set()).add(address)
    set_active = pdfium_function("FPDFPageObj_SetIsActive", ctypes.c_int, ctypes.c_int)
    hidden: set[int] = set()
    with_all = _picture(page) if layers else None
    for layer, on_layer in islice(layers.items(), _MOST_LAYERS):
        for address in on_layer:
            set_active(address, 0)
        if (_picture(page) == with_all).all():
            hidden |= on_layer
        else:
            shown_layers.add(layer)
        for address in on_layer:
            set_active(address, 1)
    return hidden


def _layer(mark: int) -> str:
    """The name of the layer that a mark begins; empty where it is no layer's."""
    if _text_of_mark("FPDFPageObjMark_GetName", mark) != "OC":
        return ""
    return _text_of_mark("FPDFPageObjMark_GetParamStringValue", mark, b"Name") or str(mark)


def _text_of_mark(function: str, mark: int, *key: bytes) -> str:
    read = pdfium_function(
        function, ctypes.c_int, *[ctypes.c_char_p] * len(key), ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p
    )
    buffer, size = (ctypes.c_ushort * 64)(), ctypes.c_ulong()
    if not read(mark, *key, ctypes.addressof(buffer), ctypes.sizeof(buffer), ctypes.addressof(size)):
        return ""
    return bytes(buffer)[: size.value].decode("utf-16-le", "replace").partition("\0")[0]


def _picture(page: PdfPage) -> Any:
    scale = min(_PICTURE_SIDE / max(*page.get_size(), 1.0), 1.0)
    return page.render(scale=scale).to_numpy()


def _suspects(page: PdfPage, objects: set[int]) -> set[int]:
    """Those painted in a colour that may not show, or not painted at all, unless the page is a scan."""
    addresses = list(objects - {0})
    mode = pdfium_function("FPDFTextObj_GetTextRenderMode", ctypes.c_int)
    unpainted = {address for address in addresses if mode(address) in _UNPAINTED}
    colours = (ctypes.c_uint * (4 * len(addresses)))()
    start = ctypes.addressof(colours)
    end = start + 16 * len(addresses)
    fill_colour = pdfium_function("FPDFPageObj_GetFillColor", ctypes.c_int, *[ctypes.c_void_p] * 4)
    # One call for each object, in a loop that runs in C.
    deque(map(fill_colour, addresses, *(range(start + 4 * part, end + 4 * part, 16) for part in range(4))), maxlen=0)
    numbers = colours[:]
    faint = {
        address
        for address, red, green, blue, alpha in zip(
            addresses, numbers[0::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True
        )
        if alpha <= _NEARLY_TRANSPARENT or (red >= _NEARLY_WHITE and green >= _NEARLY_WHITE and blue >= _NEARLY_WHITE)
    }
    if unpainted and _is_scan(page):
        return faint - unpainted
    return faint | unpainted


def _is_scan(page: PdfPage) -> bool:
    from pypdfium2.raw import FPDF_PAGEOBJ_FORM, FPDF_PAGEOBJ_IMAGE

    covered = 0.0
    for picture in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE, FPDF_PAGEOBJ_FORM], max_depth=1):
        left, bottom, right, top = picture.get_bounds()
        covered += (right - left) * (top - bottom)
    width, height = page.get_size()
    return bool(covered >= _SCAN_SHARE * width * height)


def _shown(
    page: PdfPage, places: Sequence[CharacterBox], objects: Sequence[int], suspects: set[int], left: float, top: float
) -> set[int]:
    """The suspects of which something can be seen, or of which it cannot be told."""
    suspicious = [(place, address) for place, address in zip(places, objects, strict=True) if address in suspects]
    page_width, page_height = page.get_size()
    # Cut off to the left, below, to the right and above: what lies between is drawn.
    cut = (
        max(min(place.left for place, _ in suspicious) - left - 1, 0.0),
        max(min(place.bottom for place, _ in suspicious) - (top - page_height) - 1, 0.0),
        max(left + page_width - max(place.right for place, _ in suspicious) - 1, 0.0),
        max(top - max(place.top for place, _ in suspicious) - 1, 0.0),
    )
    if cut[0] + cut[2] >= page_width or cut[1] + cut[3] >= page_height:  # off the page
        return suspects
    scale = min(_PICTURE_SIDE / max(page_width, page_height, 1.0), 1.0)
    picture: Any = page.render(scale=scale, crop=cut).to_numpy()[:, :, :3]
    height, width = picture.shape[:2]
    shown: set[int] = set()
    for place, address in suspicious:
        x0, x1 = (round((x - left - cut[0]) * scale) for x in (place.left, place.right))
        y0, y1 = (round((top - cut[3] - y) * scale) for y in (place.top, place.bottom))
        box = picture[max(y0, 0) : min(max(y1, y0 + 1), height), max(x0, 0) : min(max(x1, x0 + 1), width)]
        if box.size == 0 or int((box.max(axis=(0, 1)).astype(int) - box.min(axis=(0, 1))).max()) > _BLANK:
            shown.add(address)
    return shown
