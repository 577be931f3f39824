"""Lines, rows and columns of PDF pages, drawn in all the orders that programs draw them in."""

from __future__ import annotations

import pypdfium2
import pytest
from pypdf.generic import NameObject, RectangleObject, StreamObject
from reportlab.pdfbase.pdfmetrics import stringWidth
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


ITEMS = ["Item", "Engine oil", "Engine coolant", "Brake fluid"]
CAPACITIES = ["Capacity", "6.0 quarts", "18.6 quarts", "to the mark"]
KINDS = ["Specification", "SAE 5W-20", "Gold premium", "DOT 4"]
ROWS = [" | ".join(row) for row in zip(ITEMS, CAPACITIES, KINDS, strict=True)]


@pytest.mark.parametrize("step", [12, 30])
def test_columns_of_words_drawn_one_after_the_other_become_rows(tmp_path, step):
    drawn = [column(left, texts, step=step) for left, texts in ((72, ITEMS), (240, CAPACITIES), (400, KINDS))]
    assert page(tmp_path, [item for each in drawn for item in each]) == ROWS


def test_headings_of_several_lines_side_by_side_stay_cells(tmp_path):
    headings = [["Performance", "Share Units", "(In thousands)"], ["Weighted", "Average", "Fair Value"]]
    texts = [["Comfort for every", "guest who stays", "with us longer", "than a week"]] * 2
    for cells in (headings, texts):
        drawn = [item for left, lines in zip((72, 300), cells, strict=True) for item in column(left, lines, step=11)]
        assert page(tmp_path, drawn) == [" | ".join(" ".join(lines) for lines in cells)]


@pytest.mark.parametrize("angle", [90, 180, 270])
@pytest.mark.parametrize("order", [across, lambda *columns: [item for column in columns for item in column]])
def test_text_that_stands_sideways_is_read_in_its_own_direction(tmp_path, angle, order):
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.drawString(72, 60, "Page foot")
    canvas.translate(300, 400)
    canvas.rotate(angle)
    for left, bottom, text in order(column(-150, ITEMS, 50), column(-20, CAPACITIES, 50), column(80, KINDS, 50)):
        canvas.drawString(left, bottom, text)
    canvas.drawString(-150, -60, "Fill in the oil with the engine off, and wait.")
    canvas.showPage()
    canvas.save()
    with pypdfium2.PdfDocument(tmp_path / "a.pdf") as document:
        lines = seen_text(document[0])[0].replace("\r\n", "\n").rstrip().split("\n")
    assert lines == ["Page foot", *ROWS, "Fill in the oil with the engine off, and wait."]


def read_as(letters):
    """Has a Latin font's letters be others', as fonts of other scripts are in files."""

    def change(writer):
        lines = "".join(
            f"<{ord(letter):02X}> <{other.encode('utf-16-be').hex()}>\n" for letter, other in letters.items()
        )
        cmap = StreamObject()
        cmap.set_data(
            b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
            b"1 begincodespacerange <00> <FF> endcodespacerange\n"
            + f"{len(letters)} beginbfchar\n{lines}endbfchar\n".encode()
            + b"endcmap CMapName currentdict /CMap defineresource pop end end"
        )
        for font in writer.pages[0]["/Resources"]["/Font"].values():
            font.get_object()[NameObject("/ToUnicode")] = writer._add_object(cmap)

    return change


def test_arabic_is_read_from_right_to_left_however_it_was_drawn(tmp_path):
    letters = {"a": "ا", "l": "ل", "s": "س", "m": "م", "X": "لا", " ": " ", "G": "G", "A": "A", "3": "3", "0": "0"}
    seen = "30 AG mXs"  # as it stands on the page: سلام, GA 30
    drawn = [(72 + stringWidth(seen[:place], "Helvetica", 10), 700, letter) for place, letter in enumerate(seen)]
    for order in (drawn, drawn[::-1], drawn[4:] + drawn[:4]):
        assert page(tmp_path, order, read_as(letters)) == ["سلام AG 30"]
    assert page(tmp_path, [(72, 700, "alsX")], read_as(letters)) == ["لاسلا"]
    nothing = {**letters, "z": ""}  # a glyph that stands for no letter
    assert page(tmp_path, [(72, 700, "alsX"), (72, 600, "z")], read_as(nothing))[0] == "لاسلا"
