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


def add(word, xml):
    """Puts elements at the end of the body."""
    names = nsdecls("w", "r")
    for element in parse_xml(f"<w:body {names}>{xml}</w:body>"):
        word.element.body.insert(len(word.element.body) - 1, element)


def paragraph(text, properties=""):
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def in_list(text, level, number=90):
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def number_levels(word, *levels):
    """Gives the document the lists 90 and 91, which count on in each other, but 91 begins anew; levels are given as
    (format, text)."""
    written = "".join(
        f'<w:lvl w:ilvl="{index}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for index, (kind, text) in enumerate(levels)
    )
    numbering = word.part.numbering_part.element
    names = nsdecls("w")
    numbering.insert(0, parse_xml(f'<w:abstractNum {names} w:abstractNumId="90">{written}</w:abstractNum>'))
    for number, override in ((90, ""), (91, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>')):
        numbering.append(
            parse_xml(f'<w:num {names} w:numId="{number}"><w:abstractNumId w:val="90"/>{override}</w:num>')
        )


def test_numbers_that_word_counts_stand_before_clauses_and_headings(tmp_path):
    word = docx.Document()
    number_levels(word, ("decimal", "%1."), ("decimal", "%1.%2"), ("lowerLetter", "(%3)"), ("upperRoman", "%4)"))
    word.styles["Heading 1"].element.get_or_add_pPr().append(
        parse_xml(f'<w:numPr {nsdecls("w")}><w:numId w:val="90"/></w:numPr>')
    )
    word.add_heading("Scope", 1)
    add(word, in_list("It covers kilns.", 1))
    word.add_heading("Ending", 1)
    add(word, in_list("By letter.", 1) + in_list("In person:", 1) + in_list("at noon", 2) + in_list("at night", 2))
    add(word, in_list("after supper", 3) + in_list("By the court.", 1) + in_list("at noon", 2))
    add(word, in_list("Another list", 0, 91) + in_list("goes on", 0, 91) + paragraph("Plain."))
    word.save(tmp_path / "a.docx")

    document = load(tmp_path / "a.docx")

    assert headings(document) == ["1. Scope", "2. Ending"]
    assert "".join(texts(document)) == (
        "1. Scope\n1.1 It covers kilns.\n\n"
        "2. Ending\n2.1 By letter.\n2.2 In person:\n(a) at noon\n(b) at night\nI) after supper\n2.3 By the court.\n"
        "(a) at noon\n1. Another list\n2. goes on\nPlain.\n\n"
    )


def test_merged_cells_stand_in_each_row_and_rows_in_content_controls_are_rows(tmp_path):
    def row(*cells):
        return (
            "<w:tr>" + "".join(f"<w:tc><w:tcPr>{p}</w:tcPr>{paragraph(text)}</w:tc>" for p, text in cells) + "</w:tr>"
        )

    word = docx.Document()
    rows = row(("", "Hall"), ('<w:gridSpan w:val="2"/>', "Hours"))
    rows += row(('<w:vMerge w:val="restart"/>', "East"), ("", "Monday"), ("", "8"))
    rows += row(("<w:vMerge/>", ""), ("", "Sunday"), ("", "11"))
    rows += f"<w:sdt><w:sdtContent>{row(('', 'West'), ('', 'Monday'), ('', '9'))}</w:sdtContent></w:sdt>"
    rows += row(("", "gone"), ("", "gone")).replace("<w:tr>", "<w:tr><w:trPr><w:del/></w:trPr>")
    add(word, f"<w:tbl>{rows}</w:tbl>")
    word.save(tmp_path / "a.docx")

    assert texts(load(tmp_path / "a.docx")) == [
        "Hall | Hours | Hours\nEast | Monday | 8\nEast | Sunday | 11\nWest | Monday | 9\n\n"
    ]


def test_headers_and_footers_are_read_once_where_they_are_shown(tmp_path):
    word = docx.Document()
    word.add_paragraph("A letter.")
    for section in (word.sections[0], word.add_section()):
        section.header.is_linked_to_previous = False
        section.header.paragraphs[0].text = "Otterby Works"
        section.first_page_header.paragraphs[0].text = "never shown"
        hidden = section.footer.paragraphs[0].add_run("no eye sees this")
        hidden.font.hidden = True
    word.sections[0].footer.add_paragraph("Form 0417")
    page = word.sections[0].footer.add_paragraph()._p
    page.append(parse_xml(f'<w:fldSimple {nsdecls("w")} w:instr="PAGE"><w:r><w:t>7</w:t></w:r></w:fldSimple>'))
    word.save(tmp_path / "a.docx")

    document = load(tmp_path / "a.docx")

    assert texts(document) == ["A letter.\n\n", "Otterby Works\nForm 0417\n\n"]
    assert document.notice == "Hidden text was left out."


def test_ticked_boxes_can_be_told_from_others(tmp_path):
    box = "<w:p><w:r><w:fldChar><w:ffData><w:checkBox>{}</w:checkBox></w:ffData></w:fldChar><w:t> {}</w:t></w:r></w:p>"
    symbol = '<w:p><w:r><w:sym w:font="Wingdings" w:char="{}"/><w:t> {}</w:t></w:r></w:p>'
    word = docx.Document()
    add(word, box.format('<w:default w:val="0"/><w:checked/>', "milk") + box.format('<w:default w:val="0"/>', "sugar"))
    add(word, box.format('<w:default w:val="1"/><w:checked w:val="0"/>', "rum"))
    add(word, symbol.format("F0FE", "lid") + symbol.format("F0A8", "straw") + symbol.format("F04A", "smiles"))
    word.save(tmp_path / "a.docx")

    assert texts(load(tmp_path / "a.docx")) == ["☒ milk\n☐ sugar\n☐ rum\n☑ lid\n☐ straw\nsmiles\n\n"]


def test_comments_say_who_wrote_them_and_readings_are_not_mixed_into_words(tmp_path):
    word = docx.Document()
    ruby = "<w:ruby><w:rt><w:r><w:t>{}</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>{}</w:t></w:r></w:rubyBase></w:ruby>"
    add(word, f"<w:p><w:r>{ruby.format('とう', '東')}</w:r><w:r>{ruby.format('きょう', '京')}</w:r></w:p>")
    word.add_comment(word.add_paragraph().add_run("Nine bar."), text="Eight since May.", author="Ivo")
    word.save(tmp_path / "a.docx")

    assert texts(load(tmp_path / "a.docx")) == ["東京\nNine bar.\n\n", "Comment by Ivo: Eight since May.\n\n"]


def test_an_embedded_web_page_is_read_and_of_other_embedded_documents_it_is_said(tmp_path):
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part

    word = docx.Document()
    for number, (kind, data) in enumerate({"text/html": b"<p>The boiler hums.", "application/rtf": b"{}"}.items()):
        part = Part(PackURI(f"/word/chunk{number}.bin"), kind, data, word.part.package)
        relation = word.part.relate_to(
            part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/aFChunk"
        )
        add(word, f'<w:altChunk r:id="{relation}"/>')
    word.save(tmp_path / "a.docx")

    document = load(tmp_path / "a.docx")

    assert texts(document) == ["The boiler hums.\n\n"]
    assert document.notice == "An embedded document was not read."


def test_headings_by_outline_level_and_by_the_style_they_are_based_on(tmp_path):
    word = docx.Document()
    style = word.styles.add_style("House heading", 1)
    style.base_style = word.styles["Heading 2"]
    word.add_paragraph("Cleaning", style="House heading")
    word.add_paragraph("Use a cloth.")
    add(word, paragraph("Storage", '<w:outlineLvl w:val="0"/>') + paragraph("Keep it dry."))
    word.save(tmp_path / "a.docx")

    assert headings(load(tmp_path / "a.docx")) == ["Cleaning", "Storage"]


@pytest.mark.parametrize("kind", ["template.main+xml", "document.macroEnabled.main+xml"])
def test_templates_and_files_with_macros_are_read(tmp_path, kind):
    word = docx.Document()
    word.add_paragraph("The porter has the key.")
    word.save(tmp_path / "a.docx")
    with zipfile.ZipFile(tmp_path / "a.docx") as plain, zipfile.ZipFile(tmp_path / "a.docm", "w") as other:
        for member in plain.namelist():
            family = "vnd.ms-word." if "macro" in kind else "vnd.openxmlformats-officedocument.wordprocessingml."
            known = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
            other.writestr(member, plain.read(member).replace(known, f"application/{family}{kind}".encode()))

    assert texts(load(tmp_path / "a.docm")) == ["The porter has the key.\n\n"]


def test_a_chart_is_read_as_the_table_that_it_is_drawn_from(tmp_path):
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part
    from pptx.chart.data import CategoryChartData
    from pptx.chart.xmlwriter import ChartXmlWriter
    from pptx.enum.chart import XL_CHART_TYPE

    data = CategoryChartData()
    data.categories = ["Kilns", "Pumps"]
    data.add_series("2023", (12, 30))
    data.add_series("2024", (15, 28))
    chart = ChartXmlWriter(XL_CHART_TYPE.COLUMN_CLUSTERED, data).xml.encode()
    word = docx.Document()
    word.add_paragraph("Sales are below.")
    kind = "application/vnd.openxmlformats-officedocument.drawingml.chart+xml"
    part = Part(PackURI("/word/charts/chart1.xml"), kind, chart, word.part.package)
    word.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/chart")
    word.save(tmp_path / "a.docx")
    text = "".join(texts(load(tmp_path / "a.docx")))
    assert [line for line in text.split("\n") if line] == [
        *("Sales are below.", "| 2023 | 2024", "Kilns | 12 | 15", "Pumps | 30 | 28"),
    ]
