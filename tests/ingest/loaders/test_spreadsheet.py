"""Spreadsheets: values, sheets, merged cells, and what is none."""

from __future__ import annotations

import datetime as dt
import zipfile

import pytest
import xlsxwriter

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

OPEN_DOCUMENT = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:spreadsheet>{}'
    "</office:spreadsheet></office:body></office:document-content>"
)
MANIFEST = (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">{}</manifest:file-entry>'
    "</manifest:manifest>"
)


def test_values_are_written_as_one_would_read_them(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx", {"remove_timezone": True}) as book:
        date, time, hours = (book.add_format({"num_format": f}) for f in ("yyyy-mm-dd", "hh:mm", "[h]:mm"))
        sheet = book.add_worksheet("Orders")
        book.set_properties({"title": "Order book"})
        for column, name in enumerate(["Order", "Day", "Start", "Took", "Price", "Sum", "Paid", "Note", "Error"]):
            sheet.write(2, column + 1, name)
        sheet.write(3, 1, 12)
        sheet.write_datetime(3, 2, dt.datetime(2024, 3, 5), date)  # noqa: DTZ001 - spreadsheets know no time zones
        sheet.write_datetime(3, 3, dt.time(10, 30), time)
        sheet.write(3, 4, 30.5 / 24, hours)
        sheet.write(3, 5, 12.5)
        sheet.write_formula(3, 6, "=0.1+0.2", value=0.1 + 0.2)
        sheet.write(3, 7, True)
        sheet.write(3, 8, "two\nlines")
        sheet.write_formula(3, 9, "=1/0", value="#DIV/0!")

    document = load(tmp_path / "a.xlsx")

    assert texts(document) == [
        "Order: 12; Day: 2024-03-05; Start: 10:30:00; Took: 30:30; Price: 12.5; Sum: 0.3; Paid: TRUE; Note: two lines\n"
    ]
    assert headings(document) == ["Orders › row 4"]
    assert (document.title, document.notice, document.pages) == ("Order book", "", 1)


def test_merged_cells_stand_in_each_row_and_column_they_span(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet("Sales")
        sheet.merge_range(0, 0, 0, 2, "All sales")
        sheet.write(2, 0, "Region")
        sheet.merge_range(2, 1, 2, 2, "2023")
        sheet.write_row(3, 1, ["Q1", "Q2"])
        sheet.merge_range(4, 0, 5, 0, "North")
        sheet.write_row(4, 1, [1, 2])
        sheet.write_row(5, 1, [3, 4])

    assert texts(load(tmp_path / "a.xlsx")) == [
        "All sales\n",
        "Region: North; 2023 Q1: 1; 2023 Q2: 2\nRegion: North; 2023 Q1: 3; 2023 Q2: 4\n",
    ]


def test_sheets_in_order_empty_ones_left_out_hidden_ones_named(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        for name in ("One", "Empty", "Secret"):
            sheet = book.add_worksheet(name)
            if name != "Empty":
                sheet.write_column(0, 0, ["Number", 1])
        sheet.hide()
        chart = book.add_chart({"type": "bar"})
        chart.add_series({"values": "=One!$A$1:$A$2"})
        book.add_chartsheet("Chart").set_chart(chart)

    document = load(tmp_path / "a.xlsx")

    assert headings(document) == ["One › row 2", "Secret › row 2"]
    assert document.notice == "Hidden sheets were read too: Secret."


def rewrite(path, old, new):
    """Replaces bytes in all parts of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in parts.items():
            archive.writestr(member, data.replace(old, new))


def test_formulas_without_a_result_are_counted(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "Sum")
        sheet.write_formula(1, 0, "=1+1", value=2)

    assert load(tmp_path / "a.xlsx").notice == ""
    rewrite(tmp_path / "a.xlsx", b"<v>2</v>", b"<v></v>")
    assert load(tmp_path / "a.xlsx").notice.startswith("1 formulas hold no result")


def test_a_value_far_from_the_others_is_refused_before_memory_runs_out(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        book.add_worksheet().write_column(0, 0, ["here", "there"])
    rewrite(tmp_path / "a.xlsx", b'r="A2"', b'r="XFD1048576"')

    with pytest.raises(UnreadableDocument, match="row 1048576 and column 16384"):
        load(tmp_path / "a.xlsx")


def test_open_document_sheets_are_read_and_encrypted_ones_named(tmp_path):
    row = "<table:table-row>{}</table:table-row>".format(
        "<table:table-cell office:value-type='string'><text:p>{}</text:p></table:table-cell>" * 2
    )
    content = f'<table:table table:name="T">{row.format("Name", "City")}{row.format("Ann", "Cork")}</table:table>'
    for name, encryption in (("a.ods", ""), ("locked.ods", "<manifest:encryption-data/>")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
            archive.writestr("content.xml", OPEN_DOCUMENT.format(content))
            archive.writestr("META-INF/manifest.xml", MANIFEST.format(encryption))

    document = load(tmp_path / "a.ods")

    assert (texts(document), headings(document)) == (["Name: Ann; City: Cork\n"], ["T › row 2"])
    with pytest.raises(UnreadableDocument, match="is encrypted"):
        load(tmp_path / "locked.ods")


def test_the_bytes_decide_not_the_suffix(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "new.xls") as book:
        book.add_worksheet("S").write_column(0, 0, ["Number", 1])
    (tmp_path / "page.xls").write_text("<html><table><tr><th>A</th></tr><tr><td>1</td></tr></table></html>")
    (tmp_path / "text.xls").write_text("Name\tAge\nAnn\t5\n")

    assert texts(load(tmp_path / "new.xls")) == ["Number: 1\n"]
    assert texts(load(tmp_path / "page.xls")) == ["A\n1\n\n"]
    assert texts(load(tmp_path / "text.xls")) == ["Name: Ann; Age: 5\n"]


def test_what_is_no_spreadsheet_is_said(tmp_path):
    old_office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    (tmp_path / "noise.xlsx").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "letter.xls").write_bytes(old_office + "WordDocument".encode("utf-16-le") + bytes(600))
    (tmp_path / "broken.xls").write_bytes(old_office + "Workbook".encode("utf-16-le") + bytes(600))
    (tmp_path / "locked.xlsx").write_bytes(old_office + "EncryptedPackage".encode("utf-16-le") + bytes(600))
    (tmp_path / "old.xls").write_text('<?xml version="1.0"?><Workbook/>')

    for name, message in {
        "noise.xlsx": "is not a spreadsheet",
        "letter.xls": "old Word format",
        "broken.xls": "is damaged",
        "locked.xlsx": "is encrypted",
        "old.xls": "is XML",
    }.items():
        with pytest.raises(UnreadableDocument, match=message) as caught:
            load(tmp_path / name)
        assert caught.value.hint


def test_what_stands_over_the_cells_is_read_beside_the_rows(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        for name in ("Costs", "Empty"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["Post", "Amount"])
            sheet.write_row(1, 0, ["Rent", 1200])
            sheet.write_row(2, 0, ["Heating", 310])
        sheet = book.get_worksheet_by_name("Costs")
        sheet.write_comment("B2", "provisional until the audit", {"author": "Ida"})
        sheet.insert_textbox(5, 1, "All figures in thousands of euros\nand without VAT")
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": "=Costs!$B$2:$B$3"})
        chart.set_title({"name": "Costs of the year"})
        sheet.insert_chart("D2", chart)
    document = load(tmp_path / "a.xlsx")
    [notes] = [section for section in document.sections if section.heading.endswith("notes")]
    assert notes.heading == "Costs › notes"
    assert sorted(notes.text.splitlines()) == [
        "All figures in thousands of euros",
        "Chart: Costs of the year",
        "Comment on B2: provisional until the audit",
        "and without VAT",
    ]
