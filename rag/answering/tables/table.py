"""Tables out of the stored text of spreadsheets and CSV files, each row with its place, in SQLite's memory.

The loaders write a row as `Name: Ana; City: Lyon` (ingest/loaders/table_sections.py). Where these lines, and the counts
that stand above large tables, do not give every row and cell back with certainty, there is no table.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
import weakref
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rag.answering.tables.values import Column, Value, read_columns
from rag.storage.catalog import Catalog
from rag.types.documents import Document, Section

SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
NAME = "records"  # of the table in SQL
LIMIT_SECONDS = 2.0  # of a query
_MOST_ROWS = 200_000
_MOST_CHARACTERS = 30_000_000  # of a document; SQLite takes about twice as many bytes
_MOST_COLUMNS = 200
_KEPT_DOCUMENTS = 4
_GROUP_BYTES = 600  # longer rows were cut by the loader
_LONGEST_VALUE = 1_000_000  # bytes
_HEADING = re.compile(r"(?:(?P<sheet>.*) › )?rows? [\d–]+", re.DOTALL)
_SUMMARY = re.compile(r"(?P<count>[\d,]{1,12}) rows; columns: (?P<names>.{1,980})\n")
_TOTAL = re.compile(
    r"(?:grand |sub-?)?totals?|sum|(?:zwischen|gesamt)?summe|gesamt|sous-total|total général|total general|somme|suma"
    r"|average|mean|durchschnitt|mittelwert|moyenne|promedio|media",
    re.IGNORECASE,
)
_FUNCTIONS = re.compile(
    "count|sum|total|avg|min|max|round|abs|lower|upper|trim|length|substr|instr|like|coalesce|ifnull|nullif|strftime|date"
)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Table:
    """A sheet or CSV file. Row n is the record with rowid n, from 1; `starts` and `ends` are its character offsets in
    the text of the file, at n - 1. Safe to be asked from several threads."""

    sheet: str
    columns: tuple[Column, ...]
    starts: array[int]
    ends: array[int]
    _connection: sqlite3.Connection
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, sql: str, parameters: Sequence[Value] = (), most_rows: int = _MOST_ROWS) -> list[tuple[Value, ...]]:
        """The first rows of a SELECT over `records`. Raises sqlite3.Error: not allowed, wrong, or too slow."""
        with self._lock:
            deadline = time.monotonic() + LIMIT_SECONDS
            self._connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            cursor = self._connection.execute(sql, parameters)
            try:
                return cursor.fetchmany(most_rows)
            finally:
                cursor.close()

    def distinct(self, column: Column, most: int, where: str = "") -> Sequence[Value]:
        """Up to `most` different values of a column, in the rows that fulfil ` WHERE …`. Raises sqlite3.Error."""
        name = quoted(column.name)
        rows = self.run(f"SELECT DISTINCT {name} FROM {NAME}{where}", (), most + 1)  # noqa: S608  (quoted)
        return [value for (value,) in rows if value is not None][:most]

    def is_unique(self, column: Column) -> bool:
        """Whether no value of a column comes twice. Raises sqlite3.Error."""
        name = quoted(column.name)
        rows = self.run(f"SELECT count(DISTINCT {name}) = count({name}) FROM {NAME}")  # noqa: S608  (quoted)
        return bool(rows[0][0])


def quoted(name: str) -> str:
    """A column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def is_table(source: str) -> bool:
    """Whether a document's source is a spreadsheet or a CSV file."""
    return source.lower().endswith(SUFFIXES)


def tables_of(catalog: Catalog, document: Document) -> tuple[Table, ...]:
    """The tables of a document; none where it is too large. Kept for the last few documents. Blocking: seconds."""
    mark = "" if document.source.lower().endswith((".csv", ".tsv")) else "."  # as numbers come out of spreadsheets
    return _tables(catalog, document.id, document.version, mark)


@lru_cache(maxsize=_KEPT_DOCUMENTS)
def _tables(catalog: Catalog, document_id: str, _version: int, default_mark: str) -> tuple[Table, ...]:
    return read_tables(catalog.sections(document_id), default_mark)


def read_tables(sections: Sequence[Section], default_mark: str = "") -> tuple[Table, ...]:
    """The tables in the sections of a document. `default_mark` is the decimal mark where the numbers do not tell."""
    if sum(len(section.text) for section in sections) > _MOST_CHARACTERS:
        return ()
    return tuple(filter(None, (_built(block, default_mark) for block in _blocks(sections))))


# ------------------------------------------------------------------------------------------------- from text to rows


@dataclass(slots=True)
class _Block:
    """The lines of what may be one table, with their offsets; names and number of its rows where these are told."""

    sheet: str
    lines: list[tuple[int, str]] = field(default_factory=list)
    names: list[str] | None = None
    count: int | None = None


def _blocks(sections: Sequence[Section]) -> Iterator[_Block]:
    """A table of several sections begins with one that has its count and columns; all others are of one section."""
    offset = 0
    block: _Block | None = None
    for section in sections:
        heading = _HEADING.fullmatch(section.heading)
        sheet = (heading and heading["sheet"]) or ""
        summary = _SUMMARY.fullmatch(section.text)
        if block and (summary or heading is None or sheet != block.sheet):
            yield block
            block = None
        if heading and summary:
            names = summary["names"].split("; ")
            block = _Block(sheet, names=names, count=int(summary["count"].replace(",", "")))
        elif heading:
            lines = []
            place = offset
            for line in section.text.splitlines(keepends=True):
                lines.append((place, line.rstrip("\n")))
                place += len(line)
            if block:
                block.lines += lines
            else:
                yield _Block(sheet, lines)
        offset += len(section.text)
    if block:
        yield block


def _names(lines: Sequence[tuple[int, str]]) -> list[str]:
    """The columns of a small table, in order, from what stands before the first colon of each piece."""
    names: list[str] = []
    for _, line in lines:
        place = 0
        for piece in line.split("; "):
            name, colon, _ = piece.partition(": ")
            if colon and name not in names:
                names.insert(place, name)
            if colon:
                place = names.index(name) + 1
    return names


def _built(block: _Block, default_mark: str) -> Table | None:
    names = block.names or _names(block.lines)
    if not 2 <= len(names) <= _MOST_COLUMNS or len({name.lower() for name in names}) < len(names):
        return None
    rows = _rows(block, names)
    if rows is None or not 2 <= len(rows) <= _MOST_ROWS or (block.count is not None and len(rows) != block.count):
        return None
    filled = sorted(len(cells) for *_, cells in rows)
    usual = filled[len(filled) // 2]
    records = [row for row in rows if not (len(row[2]) < usual and _is_total(row[2]))]
    if _is_total(rows[-1][2]) and rows[-1] in records:  # a sum with all cells filled, or somebody called Total
        return None
    if block.names is None and any(2 * len(cells) < len(names) for *_, cells in records):
        return None
    cells_of = [[cells.get(place, "") for *_, cells in records] for place in range(len(names))]
    columns, values = read_columns(names, cells_of, default_mark)
    starts, ends = array("q", (start for start, *_ in records)), array("q", (end for _, end, _ in records))
    connection = _connected(columns, values)
    table = Table(block.sheet, tuple(columns), starts, ends, connection)
    weakref.finalize(table, connection.close)
    return table


_Row = tuple[int, int, dict[int, str]]  # start, end, and the cells that are not empty, by column


def _rows(block: _Block, names: Sequence[str]) -> list[_Row] | None:
    """The rows; None where a line can be read in two ways."""
    places = {name: place for place, name in enumerate(names)}
    within = re.compile(": (?:" + "|".join(map(re.escape, names)) + "): ")  # the loader joins "x:" and what follows
    rows: list[_Row] = []
    bytes_of_line = 0
    for start, line in block.lines:
        cells: dict[int, str] = {}
        last = -1
        pieces = line.split("; ")
        first_new = pieces[0]
        for number, piece in enumerate(pieces):
            name, colon, value = piece.partition(": ")
            place = places.get(name, -1) if colon else -1
            if place >= 0:
                if place <= last or (number and last < 0):
                    return None
                cells[place], last = value, place
                first_new = piece if number == 1 else first_new
            elif last >= 0:
                cells[last] += f"; {piece}"
        if within.search(line):
            return None
        end = start + len(line)
        if not cells:
            bytes_of_line = 0
        elif rows and _goes_on(rows[-1][2], cells, bytes_of_line, first_new):
            rows[-1] = (rows[-1][0], end, rows[-1][2] | cells)
            bytes_of_line = len(line.encode())
        else:
            rows.append((start, end, cells))
            bytes_of_line = len(line.encode())
    return rows


def _goes_on(before: dict[int, str], cells: dict[int, str], bytes_of_line: int, first_new: str) -> bool:
    """Whether a line is the rest of the row in the line before, which has `bytes_of_line` and no room for more."""
    new = [place for place in cells if cells[place] != before.get(place)]
    is_full = bytes_of_line + 2 + len(first_new.encode()) > _GROUP_BYTES
    return bool(is_full and new and min(new) > max(before) and not set(new) & set(before))


def _is_total(cells: dict[int, str]) -> bool:
    """Whether a row may sum up those above it."""
    return any(_TOTAL.fullmatch(cell.rstrip(": ")) for cell in cells.values())


# ------------------------------------------------------------------------------------------------- from rows to SQL


def _connected(columns: Sequence[Column], values: Sequence[Sequence[Value]]) -> sqlite3.Connection:
    """A database in memory that can be read, and nothing else."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    types = ", ".join(f"{quoted(column.name)} {'REAL' if column.kind == 'number' else 'TEXT'}" for column in columns)
    connection.execute(f"CREATE TABLE {NAME} ({types})")
    marks = ", ".join("?" * len(columns))
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {NAME} VALUES ({marks})", zip(*values, strict=True))  # noqa: S608
    connection.execute("COMMIT")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(_authorize)
    return connection


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    is_known = action != sqlite3.SQLITE_READ or first == NAME
    is_harmless = action != sqlite3.SQLITE_FUNCTION or _FUNCTIONS.fullmatch(second or "") is not None
    return sqlite3.SQLITE_OK if action in _ALLOWED and is_known and is_harmless else sqlite3.SQLITE_DENY
