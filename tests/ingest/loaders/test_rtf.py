"""Rich text: characters in all their spellings, headings by style, tables, footnotes, links, pictures."""

from __future__ import annotations

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts


def make(path, body, head=""):
    path.write_bytes(rb"{\rtf1\ansi\ansicpg1252\uc1 " + head.encode("latin-1") + body.encode("latin-1") + b"}")
    return path


def test_characters_however_they_are_written(tmp_path):
    fonts = r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial;}}"
    body = r"\f0 caf\'e9 na" + "\xef" + r"ve \u8364? \u-10179?\u-8704? \{braces\} {\f1 \'cf\'f0\'e8} \emdash"

    assert texts(load(make(tmp_path / "a.rtf", body, fonts))) == ["café naïve € 😀 {braces} При —\n\n"]


def test_raw_bytes_are_read_in_the_declared_code_page(tmp_path):
    (tmp_path / "a.rtf").write_bytes(rb"{\rtf1\ansi\ansicpg1251 " + "Привет".encode("cp1251") + b"}")

    assert texts(load(tmp_path / "a.rtf")) == ["Привет\n\n"]


def test_headings_come_from_the_names_of_styles_and_the_title_from_the_properties(tmp_path):
    styles = r"{\stylesheet{\s0 Normal;}{\s1\b heading 1;}{\s12\i heading 2;}}{\info{\title Kiln \'fcber}}"
    body = r"\pard Before.\par\pard\s1\b Offer\par\pard\plain\s0 It is cheap.\par\pard\s12 Terms\par\pard Net."

    document = load(make(tmp_path / "a.rtf", body, styles))

    assert texts(document) == ["Before.\n\n", "Offer\nIt is cheap.\n\n", "Terms\nNet.\n\n"]
    assert headings(document) == ["", "Offer", "Offer › Terms"]
    assert document.title == "Kiln über"


def test_tables_are_rows(tmp_path):
    row = r"\trowd\cellx100\cellx200\intbl {}\cell {}\cell\row"

    assert texts(load(make(tmp_path / "a.rtf", row.format("Part", "Price") + row.format("Door", "12")))) == [
        "Part | Price\nDoor | 12\n\n"
    ]


def test_footnotes_and_text_boxes_are_kept_links_and_pictures_are_not_doubled(tmp_path):
    link = r'{\field{\*\fldinst{HYPERLINK "http://example.org/%s"}}{\fldrslt %s}}'
    body = (
        rf"See {link % ('a', 'first')} and {link % ('b', 'second')}{{\footnote\pard A {{\i note}}.\par}} end."
        r"{\pict\wmetafile8 0102ff}{\pict\bin4 }}{{}"
        r"{\shp{\*\shpinst{\sp{\sn a}{\sv 1}}{\shptxt\pard In a box\par}}}\par Next."
    )

    assert texts(load(make(tmp_path / "a.rtf", body))) == ["See first and second end.\nNext.\nA note.\nIn a box\n\n"]


def test_what_is_no_rich_text_is_said(tmp_path):
    (tmp_path / "text.rtf").write_text("plain")
    (tmp_path / "old.rtf").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))

    with pytest.raises(UnreadableDocument, match="is not rich text"):
        load(tmp_path / "text.rtf")
    with pytest.raises(UnreadableDocument, match="old Word format"):
        load(tmp_path / "old.rtf")


def test_a_star_that_begins_no_group_hides_no_text(tmp_path):
    (tmp_path / "a.rtf").write_text(r"{\rtf1\ansi {\b0\*\cs7 The porter has the key}{\*\unknown not this}\par}")

    assert texts(load(tmp_path / "a.rtf")) == ["The porter has the key\n\n"]
    (tmp_path / "b.rtf").write_text(r"{\rtf1\ansi The porter \*has the key{ \*\unknown not this}\par}")
    assert texts(load(tmp_path / "b.rtf")) == ["The porter has the key\n\n"]
