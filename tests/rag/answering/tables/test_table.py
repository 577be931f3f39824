"""Tables are read back from the stored rows whole and typed; where that is not certain, there is none."""

from __future__ import annotations

import sqlite3
import time

import pytest

from ingest.loaders.base import Limits
from ingest.loaders.csv import load_csv
from rag.answering.tables.query import run_statement
from rag.answering.tables.table import read_tables
from rag.types.documents import Section
from tests.rag.answering.tables.sheets import ORDERS, STAFF, tables_in


def test_every_row_has_its_place_in_the_text(tmp_path):
    path = tmp_path / "staff.csv"
    path.write_text(STAFF)
    sections = load_csv(path, "staff.csv", Limits()).sections
    (table,) = read_tables(sections)
    text = "".join(section.text for section in sections)
    rows = [text[start:end] for start, end in zip(table.starts, table.ends, strict=True)]
    assert rows[0] == "Name: Ana Silva; City: Lyon; Department: Sales; Salary: 52000; Age: 41; Hired: 2021-03-01"
    assert [row.split(";")[0] for row in rows] == ["Name: " + line.split(",")[0] for line in STAFF.splitlines()[1:]]


def test_german_dates_and_amounts(tmp_path):
    (table,) = tables_in(ORDERS, tmp_path)
    assert [(c.name, c.kind, c.unit) for c in table.columns[2:4]] == [
        ("Bestelldatum", "date", ""),
        ("Betrag", "number", "€"),
    ]
    assert table.run('SELECT "Bestelldatum", "Betrag" FROM records LIMIT 1') == [("2023-01-03", 1250.0)]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("1.234,50 €|2,00 €", [1234.5, 2.0]),
        ("1,234.50|2.00", [1234.5, 2.0]),
        ("1 234,50|(2,25)", [1234.5, -2.25]),
        ("1'234.50|-2", [1234.5, -2.0]),
        ("15 %|7 %", [15.0, 7.0]),
        ("7|–", [7.0, None]),
        ("1.234|2.345", ["1.234", "2.345"]),  # thousands, or three decimals?
        ("5 EUR|7 USD", ["5 EUR", "7 USD"]),
        ("007|012", ["007", "012"]),
        ("1.5|2,5", ["1.5", "2,5"]),
        ("03.04.2024|31.12.2024", ["2024-04-03", "2024-12-31"]),
        ("03/14/2024|04/01/2024", ["2024-03-14", "2024-04-01"]),
        ("03/04/2024|04/05/2024", ["03/04/2024", "04/05/2024"]),  # March or April?
        ("2024-02-30|2024-01-01", ["2024-02-30", "2024-01-01"]),
    ],
)
def test_what_can_be_read_in_two_ways_is_text(tmp_path, cells, values):
    rows = "\n".join(f"K{number};{cell}" for number, cell in enumerate(cells.split("|")))
    (table,) = tables_in(f"Key;Value\n{rows}\n", tmp_path)
    assert [value for (value,) in table.run('SELECT "Value" FROM records')] == values


def test_long_rows_that_were_cut_are_one_row(tmp_path):
    rows = "".join(f"K{number},{'word ' * 100},{number},{'more ' * 60}\n" for number in range(1, 6))
    (table,) = tables_in(f"Key,Text,Count,Note\n{rows}", tmp_path)
    assert len(table.starts) == 5
    assert table.run('SELECT sum("Count"), count("Note") FROM records') == [(15.0, 5)]


def test_a_row_that_sums_up_is_no_record(tmp_path):
    (table,) = tables_in("Item,Place,Amount\nA,x,10\nB,y,20\nTotal,,30\n", tmp_path)
    assert table.run('SELECT sum("Amount") FROM records') == [(30.0,)]
    assert len(table.starts) == 2


@pytest.mark.parametrize(
    "text",
    [
        "A,B,B\n1,2,3\n4,5,6\n",  # two columns of one name
        "Name,Pay\nx; Name: y,1\nz,2\n",  # a cell that looks like another one
        "Remark,Pay\nsee:,1\nnone,2\n",  # the loader joins the colon and what follows
        "just\nwords\n",
    ],
)
def test_where_a_row_can_be_read_in_two_ways_there_is_no_table(tmp_path, text):
    assert tables_in(text, tmp_path) == ()


def test_a_count_that_does_not_fit_the_rows_is_refused():
    sections = [
        Section("3 rows; columns: A; B\n", heading="rows 2–4"),
        Section("A: 1; B: 2\n", heading="row 2"),
        Section("A: 3; B: 4\n", heading="rows 3–4"),
    ]
    assert read_tables(sections) == ()
    (table,) = read_tables([*sections[:2], Section("A: 3; B: 4\nA: 5; B: 6\n", heading="rows 3–4")])
    assert table.run("SELECT sum(B) FROM records") == [(12.0,)]


def test_sheets_are_tables_of_their_own():
    sections = [
        Section("A: 1; B: 2\nA: 3; B: 4\n", heading="North › rows 2–3"),
        Section("A: 5; B: 6\nA: 7; B: 8\n", heading="South › rows 2–3"),
    ]
    assert [(table.sheet, list(table.starts)) for table in read_tables(sections)] == [
        ("North", [0, 11]),
        ("South", [22, 33]),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH DATABASE ':memory:' AS other",
        "ATTACH DATABASE '/tmp/footnote-attached.db' AS other",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('x')",
        "SELECT randomblob(1000000000)",
        "SELECT hex(zeroblob(1000000000)) FROM records",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
        "DELETE FROM records",
        "DROP TABLE records",
        "INSERT INTO records SELECT * FROM records",
        "CREATE TABLE other (a)",
        "VACUUM INTO '/tmp/footnote-vacuum.db'",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "SELECT 1; SELECT 2",
    ],
)
def test_nothing_but_reading_is_allowed(tmp_path, sql):
    (table,) = tables_in(STAFF, tmp_path)
    with pytest.raises((sqlite3.Error, sqlite3.Warning)):
        table.run(sql)
    assert run_statement(table, sql) is None
    assert table.run("SELECT count(*) FROM records") == [(10,)]


def test_a_query_that_takes_too_long_is_stopped(tmp_path):
    (table,) = tables_in("A,B\n" + "".join(f"{n},{n}\n" for n in range(2000)), tmp_path)
    start = time.monotonic()
    with pytest.raises(sqlite3.OperationalError):
        table.run("SELECT count(*) FROM records a, records b, records c, records d")
    assert time.monotonic() - start < 10
    assert table.run("SELECT count(*) FROM records") == [(2000,)]


def test_hostile_names_and_cells_are_only_text(tmp_path):
    text = """Na'm[e]);DROP TABLE records;--,Pay\n'; DELETE FROM records; --,10\n=cmd|x,20\n"""
    (table,) = tables_in(text, tmp_path)
    assert table.run('SELECT sum("Pay") FROM records') == [(30.0,)]


@pytest.mark.parametrize(
    ("statement", "rows", "records"),
    [
        ("SELECT count(*) FROM records WHERE \"City\" = 'Lyon'", ((4,),), (1, 2, 6, 8)),
        (
            'SELECT "City", count(*) AS n FROM records GROUP BY "City" ORDER BY n DESC LIMIT 1;',
            (("Lyon", 4),),
            range(1, 11),
        ),
        ('SELECT "Name" FROM records ORDER BY "Age" LIMIT 2', (("Hugo Petit",), ("Greta Lund",)), (8, 7)),
    ],
)
def test_a_simple_statement_gives_rows_and_records(tmp_path, statement, rows, records):
    (table,) = tables_in(STAFF, tmp_path)
    result = run_statement(table, statement)
    assert (result.rows, result.records) == (rows, tuple(records))


@pytest.mark.parametrize(
    "statement",
    [
        "NONE",
        "SELECT count(*) FROM records WHERE \"Town\" = 'Lyon'",  # SQLite would compare the text Town
        'SELECT count(*) FROM records WHERE "City" = \'Paris\' GROUP BY "City"',
        'SELECT max("Salary") FROM records WHERE "City" = \'Paris\'',
        "SELECT count(*) FROM records a, records b",
        "SELECT count(*) FROM (SELECT * FROM records)",
        "SELECT 1 FROM records UNION SELECT 2 FROM records",
        "SELECT Name FROM records -- all",
    ],
)
def test_other_statements_give_nothing(tmp_path, statement):
    (table,) = tables_in(STAFF, tmp_path)
    assert run_statement(table, statement) is None
