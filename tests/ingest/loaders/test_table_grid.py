"""One grid for merged cells: values in each row and column they span, and no flood from a few spans."""

from __future__ import annotations

import pytest

from ingest.loaders.table_grid import Cell, read_span, table_lines
from tests.growth import assert_linear


def test_values_stand_in_each_row_and_column_they_span():
    rows = [
        [Cell("Sales of the year", 4)],
        [Cell("Region", rows=2), Cell("2023", 2), Cell("Total", rows=2)],
        [Cell("Q1"), Cell("Q2")],
        [Cell("North", rows=2), Cell("1"), Cell("2"), Cell("3")],
        [Cell("4"), Cell(""), Cell("6")],
        [Cell("South"), Cell(""), Cell(""), Cell("")],
    ]

    assert table_lines(rows) == [
        "Sales of the year",
        "Region | 2023 | 2023 | Total",
        "Region | Q1 | Q2 | Total",
        "North | 1 | 2 | 3",
        "North | 4 |  | 6",
        "South",
    ]


def test_long_texts_stand_once_and_columns_without_cells_of_their_own_not_at_all():
    long = "The lift is inspected by two people, of whom one stays outside of it."

    assert table_lines([[Cell("a", 3), Cell(long, rows=2)], [Cell("b", 3)]]) == [f"a | {long}", "b"]


def test_a_few_spans_make_no_flood():
    lines = table_lines([[Cell("x" * 50, 1000, 65_534)] for _ in range(3000)])

    assert sum(map(len, lines)) < 50 * 3000 * 60


def test_of_rows_of_very_different_lengths_each_is_whole():
    wide = [Cell(f"h{number}") for number in range(200)]

    lines = table_lines([wide, *([Cell("a"), Cell(""), Cell("c")] for _ in range(1000))])

    assert lines[0] == " | ".join(cell.text for cell in wide)
    assert set(lines[1:]) == {"a |  | c"}


@pytest.mark.slow
def test_time_grows_with_the_number_of_columns():
    rows = [[Cell("x") for _ in range(4000)] for _ in range(40)]
    assert_linear(lambda columns: table_lines([row[:columns] for row in rows]), 500)


@pytest.mark.parametrize(
    ("text", "span"), [("3", 3), ("0", 0), ("", 1), (None, 1), ("-1", 1), ("x", 1), ("9" * 5000, 99_999)]
)
def test_spans_that_are_no_numbers_are_one(text, span):
    assert read_span(text) == span
