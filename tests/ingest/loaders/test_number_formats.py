"""Numbers as a workbook shows them."""

from __future__ import annotations

import zipfile

import pytest
import xlsxwriter

from ingest.loaders.number_formats import shown
from tests.ingest.loaders.documents import load, texts


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (417, "00000", "00417"),
        (123_456, "00000", "123456"),
        (5_550_142, "000-0000", "555-0142"),
        (5_551_234_567, "(000) 000-0000", "(555) 123-4567"),
        (0.075, "0.0%", "7.5%"),
        (0.15, "0%", "15%"),
        (1200, '#,##0.00 "€"', "1,200.00 €"),
        (1200, "[$€-407]#,##0", "€1,200"),
        (-5, '"$"#,##0;[Red]-"$"#,##0', "-$5"),
        (3, '0 "kg"', "3 kg"),
        (12.5, "0.00", ""),
        (12.5, "[$-407]0.00", ""),
        (12.5, "00000", ""),
        (12, "General", ""),
        (12, "0.00E+00", ""),
        (12, "", ""),
    ],
)
def test_a_number_is_shown_where_its_format_says_more_than_its_value(value, code, expected):
    assert shown(value, code) == expected


def test_cells_are_read_as_shown_with_the_stored_value_beside(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet("Parts")
        other = book.add_worksheet("Plain")
        other.write_column(0, 0, ["Pieces", 4])
        number, share = (book.add_format({"num_format": code}) for code in ("00000", "0%"))
        sheet.write_row(2, 1, ["Part", "Name", "Share"])
        for row, (part, name, value) in enumerate([(417, "Tap", 0.5), (23, "Bend", 0.25)], start=3):
            sheet.write(row, 1, part, number)
            sheet.write(row, 2, name)
            sheet.write(row, 3, value, share)

    assert texts(load(tmp_path / "a.xlsx")) == [
        "Part: 00417 (417); Name: Tap; Share: 50% (0.5)\nPart: 00023 (23); Name: Bend; Share: 25% (0.25)\n",
        "Pieces: 4\n",
    ]


@pytest.mark.parametrize("target", ["worksheets/Sheet1.xml", "/xl/worksheets/sheet1.xml"])
def test_a_sheet_whose_part_is_named_otherwise_is_read(tmp_path, target):
    with xlsxwriter.Workbook(tmp_path / "made.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Part"])
        sheet.write(1, 0, 417, book.add_format({"num_format": "00000"}))
    with zipfile.ZipFile(tmp_path / "made.xlsx") as made, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as changed:
        for name in made.namelist():
            content = made.read(name)
            if name == "xl/_rels/workbook.xml.rels":
                content = content.replace(b"worksheets/sheet1.xml", target.encode())
            changed.writestr(name, content)

    assert "417" in "".join(texts(load(tmp_path / "a.xlsx")))
