"""Word files: order, headings, lists, tables, footers of the trade, and containers that are none."""

from __future__ import annotations

import zipfile

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from ingest.loaders import Limits
from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts


def test_paragraphs_lists_and_tables_stand_in_document_order_under_their_headings(tmp_path):
    word = docx.Document()
    word.add_paragraph("Kiln letter", style="Title")
    word.add_paragraph("Dear customer,")
    word.add_heading("Offer", 1)
    word.add_paragraph("first point", style="List Bullet")
    table = word.add_table(rows=0, cols=2)
    for row in (("Part", "Price"), ("Door\nswitch", "12.00")):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    word.add_heading("Terms", 2)
    word.add_paragraph("Thirty days.")
    word.save(tmp_path / "a.docx")

    document = load(tmp_path / "a.docx")

    assert document.title == "Kiln letter"
    assert texts(document) == [
        "Kiln letter\nDear customer,\n\n",
        "Offer\n- first point\nPart | Price\nDoor switch | 12.00\n\n",
        "Terms\nThirty days.\n\n",
    ]
    assert headings(document) == ["", "Offer", "Offer › Terms"]
    assert (document.pages, document.sections[0].page_index) == (1, None)


def test_insertions_and_content_controls_are_read_and_deletions_are_not(tmp_path):
    word = docx.Document()
    body = word.element.body
    changed = (
        "<w:p {}><w:r><w:t>Price: </w:t></w:r><w:del><w:r><w:delText>10</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>12</w:t></w:r></w:ins></w:p>"
    )
    control = (
        "<w:sdt {}><w:sdtContent><w:p><w:r><w:t>In a control</w:t><w:tab/><w:t>here</w:t></w:r></w:p>"
        "</w:sdtContent></w:sdt>"
    )
    for xml in (changed, control):
        body.insert(len(body) - 1, parse_xml(xml.format(nsdecls("w"))))
    word.save(tmp_path / "a.docx")

    assert texts(load(tmp_path / "a.docx")) == ["Price: 12\nIn a control here\n\n"]


def test_what_is_no_word_file_is_said(tmp_path):
    (tmp_path / "text.docx").write_text("plain text")
    (tmp_path / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    (tmp_path / "locked.docx").write_bytes(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
    )
    with zipfile.ZipFile(tmp_path / "zip.docx", "w") as archive:
        archive.writestr("hello.txt", "hello")

    for name, message in {
        "text.docx": "is not a Word file",
        "old.docx": "old Word format",
        "locked.docx": "is encrypted",
        "zip.docx": "is not a Word file",
    }.items():
        with pytest.raises(UnreadableDocument, match=message) as caught:
            load(tmp_path / name)
        assert caught.value.hint


def test_a_file_that_unpacks_too_large_is_not_unpacked(tmp_path):
    word = docx.Document()
    word.add_paragraph("x")
    word.save(tmp_path / "bomb.docx")
    with zipfile.ZipFile(tmp_path / "bomb.docx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image1.bmp", b"\0" * (3 << 20))

    with pytest.raises(UnreadableDocument, match="unpacks to 3 MB"):
        load(tmp_path / "bomb.docx", limits=Limits(max_file_mb=2))
