"""Numbers as a workbook (xlsx) shows them, where that says more than what is stored: 00417, 555-0142, 15%, 12.00 €."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from posixpath import join, normpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.loaders.zip_container import Archive

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_BUILT_IN = {"9": "0%", "10": "0.00%"}  # the others depend on the country, or show no more than the value
_CELL = re.compile(rb"<c ([^<>]{1,200})>")
_PLACE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
_STYLE = re.compile(rb'\bs="(\d{1,6})"')
_TOKEN = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]{0,60})[^\]]{0,60}\]|\[[^\]]{0,60}\]|[_*].|(.)')
_PADDED = re.compile(r"[0#(][0#\-/ ()]*")
_AMOUNT = re.compile(r"([^\d#]{0,60})(#,##)?#{0,60}0(\.0+)?(\D*)")
_LONGEST = 60  # characters of a format

Formats = Iterator[tuple[int, dict[int, str]]]  # rows from 0, in order, and the formats of columns from 0


class NumberFormats:
    """The formats of a workbook's cells, as far as they tell something."""

    def __init__(self, archive: Archive) -> None:
        self._members: dict[str, str] = {}
        self._formats: dict[bytes, str] = {}
        needed = {"xl/styles.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"}
        if not needed <= {*archive.names()}:
            return
        styles = archive.xml("xl/styles.xml")
        codes = {code.get("numFmtId"): code.get("formatCode", "") for code in styles.iter(f"{_MAIN}numFmt")}
        for number, style in enumerate(styles.iterfind(f"{_MAIN}cellXfs/{_MAIN}xf")):
            identifier = style.get("numFmtId", "0")
            code = codes.get(identifier) or _BUILT_IN.get(identifier, "")
            if shown(1.0, code) or shown(2.5, code):
                self._formats[str(number).encode()] = code
        names = {name.lower(): name for name in archive.names()}  # as programs that read workbooks compare them
        targets = {part.get("Id"): part.get("Target", "") for part in archive.xml("xl/_rels/workbook.xml.rels")}
        for sheet in archive.xml("xl/workbook.xml").iter(f"{_MAIN}sheet"):
            target = normpath(join("/xl", targets.get(sheet.get(_RELATION), ""))).lower().lstrip("/")
            if target in names:
                self._members[sheet.get("name", "")] = names[target]

    @property
    def tell(self) -> bool:
        """Whether any of the formats says more than the stored values do."""
        return bool(self._formats)

    def member(self, sheet: str) -> str | None:
        """The part that holds a sheet, None where it is not found."""
        return self._members.get(sheet)

    def rows(self, cells: Iterable[bytes]) -> Formats:
        """The formats of the cells in a sheet's bytes, which are parted between cells."""
        for row, places in groupby(self._places(cells), key=lambda place: place[0]):
            yield row, {column: code for _, column, code in places}

    def _places(self, cells: Iterable[bytes]) -> Iterator[tuple[int, int, str]]:
        for piece in cells:
            for cell in _CELL.finditer(piece):
                style, place = _STYLE.search(cell[1]), _PLACE.search(cell[1])
                if style and place and (code := self._formats.get(style[1])):
                    yield int(place[2]) - 1, column_number(place[1]) - 1, code


def column_number(letters: bytes) -> int:
    """The column that a spreadsheet names so, from 1."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def shown(value: float, code: str) -> str:
    """The number as the format shows it; "" where that says no more than the value."""
    section = code.split(";", maxsplit=1)[0]
    if not section or len(section) > _LONGEST:
        return ""
    pattern, literals = "", list[str]()
    for quoted, escaped, currency, plain in _TOKEN.findall(section):
        literal = quoted or escaped or currency
        literals += literal
        pattern += literal if literal and literal in "-/ ()." else "\0" * len(literal) if literal else plain
    if "%" in pattern:
        places = re.fullmatch(r"#*0(\.0+)? ?%", pattern)
        return f"{value * 100:.{max(len(places[1] or '') - 1, 0)}f}%" if places else ""
    if (
        "." not in pattern
        and len(re.findall("[0#]", pattern)) > 1
        and pattern.strip("#")
        and _PADDED.fullmatch(pattern)
    ):
        return _filled(value, pattern)
    amount = _AMOUNT.fullmatch(pattern)
    if not amount or not (amount[1] + amount[4]).strip() or re.search(r"[^\0 $€£¥]", amount[1] + amount[4]):
        return ""
    written = f"{abs(value):{',' if amount[2] else ''}.{max(len(amount[3] or '') - 1, 0)}f}"
    rest = iter(literal for literal in literals if literal not in "-/ ().")
    before, after = ("".join(next(rest, "") if c == "\0" else c for c in part) for part in (amount[1], amount[4]))
    return f"{'-' * (value < 0)}{before}{written}{after}".strip()


def _filled(value: float, pattern: str) -> str:
    """The digits of a number in the places of a pattern, from the right."""
    if value < 0 or not float(value).is_integer() or value >= 1e15:
        return ""
    digits = str(int(value))
    places = pattern.count("0") + pattern.count("#")
    if len(digits) > places:
        return "" if pattern.strip("0#") else digits
    rest = iter(digits.rjust(places, "\0"))
    return "".join(next(rest).replace("\0", "0" if c == "0" else "") if c in "0#" else c for c in pattern)
