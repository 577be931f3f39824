"""OpenDocument texts and presentations: order, headings, lists, tables, notes, and what is not shown."""

from __future__ import annotations

import zipfile

import pytest

from ingest.loaders import Limits
from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("style", "style"),
        ("presentation", "presentation"),
    )
)


def make(path, body, *, kind="text", styles="", title=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr(
            "content.xml",
            f"<office:document-content {NAMES}><office:automatic-styles>{styles}</office:automatic-styles>"
            f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
        )
        archive.writestr(
            "meta.xml", f'<meta><dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">{title}</dc:title></meta>'
        )
    return path


def test_paragraphs_lists_and_tables_stand_in_document_order_under_their_headings(tmp_path):
    styles = '<style:style style:name="P1" style:parent-style-name="Title"/>'
    row = "<table:table-row>" + "<table:table-cell><text:p>{}</text:p></table:table-cell>" * 2 + "</table:table-row>"
    body = (
        '<text:p text:style-name="P1">Kiln letter</text:p><text:p>Dear\n   customer,</text:p>'
        '<text:h text:outline-level="1">Offer</text:h>'
        "<text:list><text:list-item><text:p>first</text:p><text:p>more of it</text:p><text:list><text:list-item>"
        "<text:p>inner</text:p></text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-header-rows>" + row.format("Part", "Price") + "</table:table-header-rows>"
        "" + row.format("Door<text:line-break/>switch", "12.00") + "</table:table>"
        '<text:section><text:h text:outline-level="2">Terms</text:h></text:section>'
        "<text:p>Thirty<text:s/>days<text:tab/>net.</text:p>"
    )

    document = load(make(tmp_path / "a.odt", body, styles=styles))

    assert document.title == "Kiln letter"
    assert texts(document) == [
        "Kiln letter\nDear customer,\n\n",
        "Offer\n- first\n  more of it\n  - inner\nPart | Price\nDoor switch | 12.00\n\n",
        "Terms\nThirty days net.\n\n",
    ]
    assert headings(document) == ["", "Offer", "Offer › Terms"]


def test_notes_end_their_section_and_text_boxes_follow_their_paragraph(tmp_path):
    body = (
        "<text:h>One</text:h><text:p>A word<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>A note.</text:p></text:note-body></text:note> and more.<draw:frame><draw:text-box><text:p>In a box"
        "</text:p></draw:text-box></draw:frame></text:p><text:p>Next.</text:p><text:h>Two</text:h><text:p>End.</text:p>"
    )

    document = load(make(tmp_path / "a.odt", body, title="About kilns"))

    assert texts(document) == ["One\nA word and more.\nIn a box\nNext.\nA note.\n\n", "Two\nEnd.\n\n"]
    assert document.title == "About kilns"


def test_deleted_text_comments_and_lists_of_contents_are_not_read(tmp_path):
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:table-of-content><text:p>Offer 3</text:p></text:table-of-content>"
        "<text:p>Price<office:annotation><text:p>too high?</text:p></office:annotation>: 12</text:p>"
    )

    assert texts(load(make(tmp_path / "a.odt", body))) == ["Price: 12\n\n"]


def test_slides_are_pages_with_their_notes(tmp_path):
    body = (
        "<draw:page><draw:frame><draw:text-box><text:list><text:list-item><text:p>point</text:p></text:list-item>"
        '</text:list></draw:text-box></draw:frame><draw:frame presentation:class="title"><draw:text-box>'
        "<text:p>Sales</text:p></draw:text-box></draw:frame><presentation:notes><draw:frame><draw:text-box>"
        "<text:p>Smile.</text:p></draw:text-box></draw:frame></presentation:notes></draw:page><draw:page/>"
    )
    path = make(tmp_path / "a.odp", body, kind="presentation")

    document = load(path)

    assert [(s.page_index, s.page_label, s.heading, s.text) for s in document.sections] == [
        (0, "1", "Sales", "Sales\n- point\nNotes: Smile.\n"),
        (1, "2", "", ""),
    ]
    assert (document.title, document.empty_pages) == ("Sales", (1,))
    with pytest.raises(UnreadableDocument, match="2 slides, more than the 1 allowed"):
        load(path, limits=Limits(max_pages=1))


def test_merged_cells_stand_in_each_row_they_span(tmp_path):
    def cell(text, spans=""):
        return f"<table:table-cell {spans}><text:p>{text}</text:p></table:table-cell>"

    covered = "<table:covered-table-cell/>"
    rows = (
        cell("Hall") + cell("Hours", 'table:number-columns-spanned="2"') + covered,
        cell("East", 'table:number-rows-spanned="2"') + cell("Monday") + cell("8"),
        covered + cell("Sunday") + cell("11"),
    )
    body = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)

    document = load(make(tmp_path / "a.odt", f"<table:table>{body}</table:table>"))

    assert texts(document) == ["Hall | Hours | Hours\nEast | Monday | 8\nEast | Sunday | 11\n\n"]
