"""PDFs: text, labels, outline, titles, hyphens, and what is wrong with them."""

from __future__ import annotations

import pytest

from ingest.loaders import Limits
from ingest.loaders.pdf.loader import _clean, _join_hyphens, _load_with_pypdf, _tidy
from rag.errors import EmptyDocument, UnreadableDocument
from tests.ingest.loaders.documents import headings, load, make_pdf, rewrite_pdf, texts


def test_each_page_is_one_section_with_its_text(tmp_path):
    document = load(make_pdf(tmp_path / "a.pdf", [["First page.", "Widget   149.00"], ["Second page."]]))

    assert texts(document) == ["First page.\nWidget 149.00\n", "Second page.\n"]
    assert [(s.page_index, s.page_label, s.heading, s.record_id) for s in document.sections] == [
        (0, "1", "", None),
        (1, "2", "", None),
    ]
    assert (document.pages, document.empty_pages, document.notice) == (2, (), "")


def test_pages_without_text_are_counted_and_keep_their_place(tmp_path):
    document = load(make_pdf(tmp_path / "a.pdf", [["One."], [], ["Three."]]))

    assert texts(document) == ["One.\n", "", "Three.\n"]
    assert (document.pages, document.empty_pages) == (3, (1,))


def test_a_scan_is_an_empty_document_that_names_the_missing_text_layer(tmp_path):
    with pytest.raises(EmptyDocument) as caught:
        load(make_pdf(tmp_path / "scan.pdf", [[], []]))

    assert "scan.pdf" in caught.value.message
    assert "no text layer" in caught.value.hint


def test_printed_page_labels_are_kept(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", [[f"Page {number}"] for number in range(4)])

    def label(writer):
        writer.set_page_label(0, 1, style="/r")
        writer.set_page_label(2, 3, style="/D", prefix="A-", start=7)

    document = load(rewrite_pdf(path, label))

    assert [section.page_label for section in document.sections] == ["i", "ii", "A-7", "A-8"]


def test_the_outline_gives_each_page_its_heading_path(tmp_path):
    outline = [("Safety", 0, 1), ("Burns", 1, 1), ("Fumes", 1, 2), ("Care", 0, 4)]
    document = load(make_pdf(tmp_path / "a.pdf", [[f"text of page {n}"] for n in range(5)], outline=outline))

    assert headings(document) == ["", "Safety", "Safety › Fumes", "Safety › Fumes", "Care"]


@pytest.mark.parametrize(
    ("metadata", "name", "title"),
    [
        ("Pump Manual", "pump_manual.pdf", "Pump Manual"),
        ("Pump Manual", "p.pdf", "Pump Manual"),
        ("Corp Q1", "initech_2021Q1.pdf", "Corp Q1 (initech 2021Q1)"),
        ("Microsoft Word - pump.doc", "pump-manual_2024.pdf", "pump manual 2024"),
        ("untitled", "notes.pdf", "notes"),
        ("pump.docx", "notes.pdf", "notes"),
        ("0001410636-21-000101", "notes.pdf", "notes"),
        ("", "notes.pdf", "notes"),
    ],
)
def test_titles(tmp_path, metadata, name, title):
    assert load(make_pdf(tmp_path / "a.pdf", [["Text."]], title=metadata), name).title == title


def test_a_user_password_is_named_and_an_owner_password_does_not_matter(tmp_path):
    locked = rewrite_pdf(make_pdf(tmp_path / "locked.pdf", [["Secret."]]), lambda w: w.encrypt("tiger"))
    owned = rewrite_pdf(make_pdf(tmp_path / "owned.pdf", [["Open."]]), lambda w: w.encrypt("", "tiger"))

    with pytest.raises(UnreadableDocument, match="encrypted") as caught:
        load(locked)
    assert "password" in caught.value.hint
    assert texts(load(owned)) == ["Open.\n"]


def test_what_pypdf_reads_in_place_of_pdfium_has_headings_and_labels_too(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", [["One."], ["Two."]], title="Pump", outline=[("Use", 0, 0), ("Care", 1, 1)])
    rewrite_pdf(path, lambda writer: writer.set_page_label(0, 1, style="/D", prefix="A-", start=7))

    extracted = _load_with_pypdf(path, "a.pdf", Limits())

    assert extracted.title == "Pump"
    assert [section.heading for section in extracted.sections] == ["Use", "Use › Care"]
    assert [section.page_label for section in extracted.sections] == ["A-7", "A-8"]
    assert [section.text for section in extracted.sections] == ["One.\n", "Two.\n"]


def test_leaders_to_a_page_number_are_short():
    assert _clean("Spare parts ........................ 17") == "Spare parts … 17"
    assert _clean("Wait ... and see. 1.5 ....") == "Wait ... and see. 1.5 ...."


def test_broken_files_are_unreadable_in_one_line(tmp_path):
    whole = make_pdf(tmp_path / "whole.pdf", [["Text."] * 20]).read_bytes()
    for name, content in {
        "renamed.pdf": b"just text",
        "header-only.pdf": b"%PDF-1.7\n",
        "noise.pdf": b"%PDF-1.4\n" + bytes(range(256)) * 40,
        "cut.pdf": whole[:200],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableDocument) as caught:
            load(tmp_path / name)
        assert name in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint


def test_a_pdf_that_says_it_is_something_else_is_told_apart(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"PK\x03\x04 not a pdf")
    with pytest.raises(UnreadableDocument, match="is not a PDF"):
        load(tmp_path / "a.pdf")


def test_limits_on_pages_and_text(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", [["One."], ["Two."]])

    with pytest.raises(UnreadableDocument, match="has 2 pages, more than the 1 allowed"):
        load(path, limits=Limits(max_pages=1))
    with pytest.raises(UnreadableDocument, match="more than 0 MB of text"):
        load(path, limits=Limits(max_text_mb=0))


def test_words_broken_at_a_line_end_become_whole_and_compounds_keep_their_hyphen():
    known = "The temperature is high. A state-of-the-art kiln. Red brick, long looking glass, forward."
    broken = [
        "tempera\ufffeture",  # known whole
        "a state-of\ufffethe-art kiln",  # known with its hyphen
        "hea-\nting",  # unknown: joined
        "forward\ufffelooking",  # both halves are words of their own
        "Smith-\nJones 10b5\ufffe1",  # capitals and digits
        "a well-estab\ufffelished kiln",
    ]

    joined = _join_hyphens([known, *broken])[1:]

    assert joined == [
        "temperature",
        "a state-of-the-art kiln",
        "heating",
        "forward-looking",
        "Smith-Jones 10b5-1",
        "a well-established kiln",
    ]


def test_text_is_cleaned_of_ligatures_odd_spaces_and_control_characters():
    raw = "The \ufb01rst o\ufb03ce\u00a0is\u2009open.  \r\n\r\n\r\n\r\n\uf0b7 e\u0301te\u0301\x01\u200b \r\nEnd\ufeff"

    assert _tidy(_clean(raw)) == "The first office is open.\n\n• été\nEnd\n"
