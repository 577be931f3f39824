"""Spreadsheets (xlsx, xlsm, xlsb, xls, ods): each sheet's rows as tables (table_sections.py), values as stored.

Formulas give the results that the file holds. In workbooks of today (xlsx and its kin) a number is read as it is shown
where that says more, with the stored value beside it: 15% (0.15); in other ones as it is stored. Dates and times become
ISO 8601.
"""

from __future__ import annotations

import datetime as dt
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ingest.loaders.base import HEADING_SEPARATOR, INVISIBLE, Extracted, Limits, not_what_it_says, quoted, unreadable
from ingest.loaders.csv import load_csv
from ingest.loaders.html import load_html
from ingest.loaders.number_formats import NumberFormats, column_number, shown
from ingest.loaders.sheet_notes import sheet_notes
from ingest.loaders.table_sections import row_sections
from ingest.loaders.zip_container import (
    ODS,
    OLD_OFFICE,
    XLSX,
    ZIP,
    Archive,
    begins_with,
    damaged_error,
    encrypted_error,
    old_office_error,
    old_office_kind,
)
from rag.errors import UnreadableDocument
from rag.types.documents import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from python_calamine import CalamineSheet

    from ingest.loaders.number_formats import Formats
    from ingest.loaders.table_sections import Row

_MOST_CELLS = 60_000_000  # of the rectangle around a sheet's values: the library takes 46 bytes for each
_LONGEST_REPEATED = 60  # characters of a merged cell that are repeated in the columns it spans
_TALLEST_REPEATED = 10_000  # rows of a merged cell that is repeated in each
_UNPACKED = re.compile(r"xl/.+\.(xml|bin)|content\.xml")
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_FAR_RIGHT = re.compile(rb' r="([A-Z]{2,3})\d{1,7}"[^<>]{0,200}[^/<>]>')  # a cell with a value, in column AA or beyond
_FAR_DOWN = re.compile(rb' r="[A-Z]{1,3}(\d{1,7})"[^<>]{0,200}[^/<>]>')
_TAIL = 64 * 1024  # bytes; rows are in order, so the last is near the end
_NO_RESULT = re.compile(rb"</f><v(?:></v| ?/)>|</f></c>")

_Value = int | float | str | bool | dt.time | dt.date | dt.datetime | dt.timedelta


def load_spreadsheet(path: Path, name: str, limits: Limits) -> Extracted:
    """Groups of whole rows as sections, headed "sheet › rows 2–14"; hidden sheets are read, and named in the notice.

    What the bytes are counts, not the suffix. Raises UnreadableDocument: encrypted, damaged, too large, none at all.
    """
    title, notices = "", list[str]()
    if begins_with(ZIP, path):
        title, notices = _check_archive(path, name, limits)
    elif not begins_with(OLD_OFFICE, path):
        return _load_export(path, name, limits)
    from python_calamine import CalamineError, PasswordError

    try:
        sections, more = _sections(path, name, limits)
    except PasswordError as error:
        raise encrypted_error(name, XLSX.program) from error
    except CalamineError as error:
        if begins_with(OLD_OFFICE, path) and old_office_kind(path) not in ("", ".xls"):
            raise old_office_error(path, name, XLSX) from error
        raise damaged_error(name, "its sheets cannot be read") from error
    except BaseException as error:  # the library's panics are no Exceptions
        if type(error).__name__ != "PanicException":
            raise
        raise damaged_error(name, "its sheets cannot be read") from error
    return Extracted(title=title, sections=sections, notice=" ".join(notices + more))


def _sections(path: Path, name: str, limits: Limits) -> tuple[list[Section], list[str]]:
    """The sections of all sheets, and notices. Raises CalamineError when no sheet can be read."""
    from python_calamine import CalamineError, SheetTypeEnum, SheetVisibleEnum, load_workbook

    sections: list[Section] = []
    hidden, damaged = [], []
    characters = 0
    with path.open("rb") as file, load_workbook(file) as workbook, ExitStack() as stack:
        archive = stack.enter_context(Archive(path, name, limits, XLSX, ODS)) if begins_with(ZIP, path) else None
        formats = NumberFormats(archive) if archive else None
        sheets = [sheet for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        for sheet in sheets:
            try:
                member = formats.member(sheet.name) if formats else None
                in_rows: Formats = iter(())
                if archive and formats and member and formats.tell:
                    in_rows = formats.rows(_whole_cells(archive.pieces(member)))
                rows = _rows(workbook.get_sheet_by_name(sheet.name), in_rows)
            except CalamineError:
                if len(sheets) == 1:
                    raise
                damaged.append(sheet.name)
                continue
            found = row_sections(rows, name, limits, sheet.name)
            if archive and member and (notes := sheet_notes(archive, member)):
                found.append(Section("\n".join(notes) + "\n", heading=f"{sheet.name}{HEADING_SEPARATOR}notes"))
            characters += sum(len(section.text) for section in found)
            limits.check_text(characters, name)
            sections += found
            if found and sheet.visible != SheetVisibleEnum.Visible:
                hidden.append(sheet.name)
    named = (("Sheets that could not be read", damaged), ("Hidden sheets were read too", hidden))
    return sections, [f"{what}: {', '.join(names)}." for what, names in named if names]


def _load_export(path: Path, name: str, limits: Limits) -> Extracted:
    """Web pages and text that a program exported under the name of a spreadsheet, as spreadsheet programs open them."""
    with path.open("rb") as file:
        start = file.read(4096).lower()
    if b"\0" in start.replace(b"\xff\xfe", b"") and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise not_what_it_says(
            name, "a spreadsheet", "It may be damaged: open it in its own program and save it again."
        )
    if b"<html" in start or b"<table" in start:
        return load_html(path, name, limits)
    if start.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<?xml"):
        raise unreadable(
            name, "is XML, not a spreadsheet file of today.", "Open it in Excel or LibreOffice and save it as .xlsx."
        )
    return load_csv(path, name, limits)


def _check_archive(path: Path, name: str, limits: Limits) -> tuple[str, list[str]]:
    """Title and notices of a workbook whose parts unpack to what they say, and whose sheets fit in memory."""
    without_result = 0
    with Archive(path, name, limits, XLSX, ODS) as archive:
        for member in filter(_UNPACKED.fullmatch, archive.names()):
            column = row = 0
            for cells in _whole_cells(archive.pieces(member)):
                if _SHEET.fullmatch(member):
                    column = max([column, *map(column_number, {*_FAR_RIGHT.findall(cells)})])
                    row = max([row, *map(int, _FAR_DOWN.findall(cells[-_TAIL:]))])
                    without_result += len(_NO_RESULT.findall(cells))
            if column * row > _MOST_CELLS:
                raise UnreadableDocument(
                    f"A sheet of {quoted(name)} has values as far away as row {row} and column {column}.",
                    hint="Delete what stands far below or right of the tables, and save it again.",
                    source=name,
                )
        title = archive.title()
    notice = f"{without_result:,} formulas hold no result: open it in a spreadsheet program and save it again."
    return title, [notice] if without_result else []


def _whole_cells(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, parted where a cell begins."""
    rest = b""
    for piece in pieces:
        border = max(piece.rfind(b"<c "), 0)
        yield rest + piece[:border]
        rest = piece[border:]
    yield rest


def _rows(sheet: CalamineSheet, formats: Formats) -> Iterator[Row]:
    """Rows that are not blank; merged cells are repeated in the rows and columns they span."""
    spans: dict[int, list[tuple[int, int, int]]] = {}
    left = sheet.start[1] if sheet.start else 0
    for (top, first), (bottom, last) in sheet.merged_cell_ranges or []:
        if bottom - top < _TALLEST_REPEATED:
            for row in range(top, bottom + 1):
                spans.setdefault(row, []).append((top, first - left, last - left))
    values: dict[tuple[int, int], str] = {}
    for index, cells in enumerate(_texts(sheet, left, formats)):
        for top, first, last in spans.get(index, ()):
            if top == index:
                values[top, first] = cells[first] if first < len(cells) else ""
            value = values.get((top, first), "")
            if value and any(cell for column, cell in enumerate(cells) if not first <= column <= last):
                end = min(last, len(cells) - 1) if len(value) <= _LONGEST_REPEATED else first
                cells[first : end + 1] = [value] * (end + 1 - first)
        if any(cells):
            yield index + 1, cells


def _texts(sheet: CalamineSheet, left: int, formats: Formats) -> Iterator[list[str]]:
    """The cells of each row as they are shown; `left` is the first column, `formats` are those of the cells."""
    formatted, codes = next(formats, (-1, {}))
    for index, values in enumerate(sheet.iter_rows()):
        cells = [_text(value) for value in values]
        while 0 <= formatted < index:
            formatted, codes = next(formats, (-1, {}))
        for column, code in codes.items() if formatted == index else ():
            if 0 <= column - left < len(cells):
                cells[column - left] = _formatted(values[column - left], cells[column - left], code)
        yield cells


def _formatted(value: _Value, stored: str, code: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return stored
    written = shown(float(value), code)
    return f"{written} ({stored})" if written and written != stored else stored


def _text(value: _Value) -> str:
    if isinstance(value, str):
        return value and " ".join((value if value.isascii() else value.translate(INVISIBLE)).split())
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "auto" if value.second or value.microsecond else "minutes")
    if isinstance(value, dt.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)
