"""Lines, rows and columns of PDF pages, drawn in all the orders that programs draw them in."""

from __future__ import annotations

import pypdfium2
import pytest
from pypdf.generic import RectangleObject
from reportlab.pdfgen.canvas import Canvas

from ingest.loaders.pdf.layout import seen_text
from tests.ingest.loaders.documents import rewrite_pdf

LABELS = ["Cash and equivalents", "Inventories", "Total assets", "Total debt"]
YEARS = [["1,234", "5,678", "99,010", "(12)"], ["2,345", "6,789", "88,020", "—"]]
TABLE = [
    "Cash and equivalents | 1,234 | 2,345",
    "Inventories | 5,678 | 6,789",
    "Total assets | 99,010 | 88,020",
    "Total debt | (12) | —",
]
LEFT = [
    "The kiln must stand on a level",
    "floor that bears its weight and",
    "is not harmed by heat. Leave a",
    "gap of three hundred millimetres",
    "between the kiln and any wall so",
    "that warm air can rise freely.",
]
RIGHT = [
    "Fire it empty the first time and",
    "keep the door closed until it is",
    "cold again. The lining may smoke",
    "while the binder burns away, and",
    "that is harmless if the room has",
    "a window that can be opened.",
]


def page(path, drawn, change=None):
    """The text of a page on which (left, bottom, text) are drawn in this order."""
    canvas = Canvas(str(path / "a.pdf"))
    for left, bottom, text in drawn:
        canvas.setFont("Helvetica", 10)
        canvas.drawString(left, bottom, text)
    canvas.showPage()
    canvas.save()
    if change:
        rewrite_pdf(path / "a.pdf", change)
    with pypdfium2.PdfDocument(path / "a.pdf") as document:
        return seen_text(document[0])[0].replace("\r\n", "\n").rstrip().split("\n")


def column(left, texts, top=700, step=14):
    return [(left, top - step * number, text) for number, text in enumerate(texts)]


def across(*columns):
    return [item for row in zip(*columns, strict=True) for item in row]


TABLE_COLUMNS = [column(72, LABELS), column(300, YEARS[0]), column(400, YEARS[1])]


def test_rows_drawn_one_after_the_other(tmp_path):
    assert page(tmp_path, across(*TABLE_COLUMNS)) == TABLE


def test_columns_of_figures_drawn_one_after_the_other_become_rows(tmp_path):
    assert page(tmp_path, [item for drawn in TABLE_COLUMNS for item in drawn]) == TABLE


def test_rows_drawn_from_right_to_left(tmp_path):
    assert page(tmp_path, across(*TABLE_COLUMNS[::-1])) == TABLE


def test_rows_on_a_page_that_is_shown_turned(tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.rotate(90)
    canvas.translate(0, -600)
    for left, bottom, text in across(*TABLE_COLUMNS):
        canvas.drawString(left, bottom - 300, text)
    canvas.showPage()
    canvas.save()
    rewrite_pdf(tmp_path / "a.pdf", lambda writer: writer.pages[0].rotate(90))

    with pypdfium2.PdfDocument(tmp_path / "a.pdf") as document:
        assert seen_text(document[0])[0].split("\n") == TABLE


def test_a_cell_of_several_lines_stays_in_its_row(tmp_path):
    header = [
        *column(72, ["Region"], top=720),
        *column(200, ["Year ended", "December 31,"], top=734),
        *column(320, ["Share of", "net", "revenue"], top=748),
    ]
    row = [(72, 700, "Europe"), (200, 700, "$"), (240, 700, "417"), (320, 700, "12%")]

    lines = page(tmp_path, header + row)

    assert lines == ["Region | Year ended December 31, | Share of net revenue", "Europe | $ 417 | 12%"]


def test_two_columns_drawn_straight_across_are_read_one_after_the_other(tmp_path):
    heading = [(72, 740, "Setting up the kiln, and the first firing of it, in two columns under one heading")]
    table = [(72, 560, "Part"), (300, 560, "Price"), (72, 546, "Shelf"), (300, 546, "149.00")]

    lines = page(tmp_path, heading + across(column(72, LEFT), column(320, RIGHT)) + table)

    assert lines == [heading[0][2], *LEFT, *RIGHT, "Part | Price", "Shelf | 149.00"]


def test_two_columns_drawn_one_after_the_other_are_left_alone(tmp_path):
    assert page(tmp_path, column(72, LEFT * 2) + column(320, RIGHT * 2)) == [*LEFT * 2, *RIGHT * 2]


def test_text_of_one_column_is_what_pdfium_gives(tmp_path):
    page(tmp_path, column(72, LEFT + RIGHT))
    with pypdfium2.PdfDocument(tmp_path / "a.pdf") as document:
        assert seen_text(document[0])[0] == document[0].get_textpage().get_text_range()


@pytest.mark.parametrize("marker", ["•", "1.", "(a)", "Item 7."])
def test_the_gap_behind_a_bullet_or_a_number_is_none_between_cells(tmp_path, marker):
    drawn = [(72, 700, marker), (72 + 14 + 5 * len(marker), 700, "Keep the door closed until it is cold.")]
    assert page(tmp_path, drawn) == [f"{marker} Keep the door closed until it is cold."]


def test_a_raised_number_does_not_tear_its_line(tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.drawString(72, 700, "Net income per share")
    width = canvas.stringWidth("Net income per share")
    canvas.setFont("Helvetica", 6)
    canvas.drawString(72 + width, 706, "1")
    canvas.setFont("Helvetica", 12)
    canvas.drawString(300, 700, "0.28")
    canvas.save()
    with pypdfium2.PdfDocument(tmp_path / "a.pdf") as document:
        assert seen_text(document[0])[0] == "Net income per share1 | 0.28"


def test_what_is_cut_off_at_the_crop_box_is_no_text(tmp_path):
    def crop(writer):
        writer.pages[0].cropbox = RectangleObject((50, 50, 500, 720))

    lines = page(tmp_path, [(72, 780, "proof-3.indd 12/04/20"), *column(72, LEFT)], crop)

    assert lines == LEFT
