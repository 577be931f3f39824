"""Rows become sections: headers found, rows that name their columns, groups that fit a chunk."""

from __future__ import annotations

import pytest

from ingest.loaders import Limits
from ingest.loaders.table_sections import GROUP_BYTES, row_sections
from rag.errors import UnreadableDocument


def sections(*rows: list[str] | None, sheet: str = "") -> list[tuple[str, str]]:
    """(heading, text) of the sections of these rows, of which None is a blank one."""
    numbered = [(number, cells) for number, cells in enumerate(rows, start=1) if cells is not None]
    return [(section.heading, section.text) for section in row_sections(numbered, "a.csv", Limits(), sheet)]


def test_long_tables_are_cut_between_rows_and_begin_with_their_size():
    rows = [["Number", "Square"]] + [[str(n), str(n * n)] for n in range(1000)]

    (heading, summary), *groups = sections(*rows, sheet="Sheet1")

    assert (heading, summary) == ("Sheet1 › rows 2–1001", "1,000 rows; columns: Number; Square\n")
    assert [line for _, text in groups for line in text.splitlines()] == [
        f"Number: {n}; Square: {n * n}" for n in range(1000)
    ]
    assert all(GROUP_BYTES / 2 < len(text) <= GROUP_BYTES for _, text in groups[:-1])
    first = groups[0][1].count("\n")
    assert [groups[0][0], groups[-1][0][-5:]] == [f"Sheet1 › rows 2–{first + 1}", "–1001"]


def test_a_long_row_is_cut_between_cells_and_each_part_begins_with_its_first_value():
    names = ["Article", *(f"Property {n}" for n in range(60))]
    cells = ["P-200", *(f"value {n}" for n in range(60))]

    (_, summary), *parts = sections(names, cells)

    assert summary.startswith("1 rows; columns: Article; Property 0; ")
    assert len(parts) > 1
    assert all(heading == "row 2" for heading, _ in parts)
    assert all(text.startswith("Article: P-200; ") for _, text in parts)
    assert all(sum(f"Property {n}: value {n}" in text.strip().split("; ") for _, text in parts) == 1 for n in range(60))


@pytest.mark.parametrize(
    "rows",
    [
        [["P-200", "149.00", "2024-01-05"], ["P-300", "199.00", "2024-02-05"]],
        [["yes", "no", "yes"], ["yes", "yes", "no"], ["no", "no", "no"]],
        [["2019", "4"], ["2020", "5"], ["2021", "6"]],
    ],
)
def test_a_first_row_like_the_others_is_no_header(rows):
    assert sections(*rows) == [(f"rows 1–{len(rows)}", "".join("; ".join(row) + "\n" for row in rows))]


def test_years_and_words_over_numbers_are_a_header():
    assert sections(["Region", "2023", "2024"], ["North", "12", "15"]) == [
        ("row 2", "Region: North; 2023: 12; 2024: 15\n")
    ]
    assert sections(["Name", "City"], ["Ann", "Cork"], ["Bo", "Bonn"]) == [
        ("rows 2–3", "Name: Ann; City: Cork\nName: Bo; City: Bonn\n")
    ]


def test_a_header_of_two_rows_is_joined():
    rows = (["Region", "2023", "2023"], ["", "Sales", "Costs"], ["North", "12", "15"], ["South", "13", "16"])

    assert sections(*rows)[0][1].splitlines()[0] == "Region: North; 2023 Sales: 12; 2023 Costs: 15"


def test_blocks_keep_the_header_above_until_there_is_another():
    found = sections(
        ["Price list"],
        None,
        ["Article", "Price"],
        None,
        ["P-1", "5"],
        ["P-2", "6"],
        None,
        ["P-3", "7"],
        None,
        ["Country", "Customers"],
        ["IE", "40"],
        None,
        ["Source: ledger"],
    )

    assert found == [
        ("row 1", "Price list\n"),
        ("rows 5–8", "Article: P-1; Price: 5\nArticle: P-2; Price: 6\nArticle: P-3; Price: 7\n"),
        ("row 11", "Country: IE; Customers: 40\n"),
        ("row 13", "Source: ledger\n"),
    ]


@pytest.mark.parametrize("above", [["Orders 2024"], ["Report by", "Ann"]])
def test_words_over_a_table_with_a_header_are_not_its_header(above):
    found = sections(above, None, ["Number", "Amount"], ["1", "5"], ["2", "6"])

    assert found[-1] == ("rows 4–5", "Number: 1; Amount: 5\nNumber: 2; Amount: 6\n")


def test_a_header_may_stand_apart_in_several_rows():
    found = sections(
        ["In millions", "", "2023"], ["", "Sales", "Costs"], None, ["North", "12", "15"], ["South", "1", "2"]
    )

    assert found == [
        ("rows 4–5", "In millions: North; Sales: 12; 2023 Costs: 15\nIn millions: South; Sales: 1; 2023 Costs: 2\n")
    ]


def test_rows_with_a_blank_one_between_each_are_one_table():
    assert sections(["Name", "Age"], None, ["Ann", "5"], None, ["Bo", "6"], None, ["Cy", "7"]) == [
        ("rows 3–7", "Name: Ann; Age: 5\nName: Bo; Age: 6\nName: Cy; Age: 7\n")
    ]


def test_forms_and_text_are_left_as_they_are():
    assert sections(["Customer:", "Roe"], ["City:", "Cork"]) == [("rows 1–2", "Customer: Roe\nCity: Cork\n")]
    text = ["This workbook holds the figures that the board asked for."]
    assert sections(["Read me"], text, text) == [("rows 1–3", f"Read me\n{text[0]}\n{text[0]}\n")]


def test_long_column_names_are_shortened():
    ((_, text),) = sections(["Name", "How satisfied are you with the service " * 5], ["Ann", "5"])

    assert text.startswith("Name: Ann; How satisfied are you")
    assert text.endswith("…: 5\n")
    assert len(text) < 110


def test_too_much_text_is_refused_while_it_is_read():
    def endless():
        number = 0
        while True:
            number += 1
            yield number, ["x" * 1000]

    with pytest.raises(UnreadableDocument, match="more than 1 MB of text"):
        row_sections(endless(), "a.csv", Limits(max_text_mb=1))
