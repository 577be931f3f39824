"""PowerPoint files: slides as pages, shapes in reading order, tables, charts, notes, hidden slides."""

from __future__ import annotations

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.oxml import parse_xml
from pptx.util import Inches

from ingest.loaders import Limits
from rag.errors import EmptyDocument, UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts

TITLE_ONLY, BLANK = 5, 6  # layouts of the default template


def text_box(shapes, left, top, text):
    shapes.add_textbox(Inches(left), Inches(top), Inches(2), Inches(1)).text_frame.text = text


def test_shapes_are_read_from_top_to_bottom_and_left_to_right(tmp_path):
    deck = pptx.Presentation()
    deck.core_properties.title = "Kilns in 2024"
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY])
    text_box(slide.shapes, 5, 3.01, "right")
    text_box(slide.shapes, 1, 5, "below")
    text_box(slide.shapes, 1, 3.02, "left")
    group = slide.shapes.add_group_shape()
    text_box(group.shapes, 5, 2, "second in group")
    text_box(group.shapes, 1, 2, "first in group")
    slide.shapes.title.text = "Kiln\vsales"
    deck.save(tmp_path / "a.pptx")

    document = load(tmp_path / "a.pptx")

    assert texts(document) == ["Kiln sales\nfirst in group\nsecond in group\nleft\nright\nbelow\n"]
    assert headings(document) == ["Kiln sales"]
    assert document.title == "Kilns in 2024"


def test_lists_tables_charts_and_notes(tmp_path):
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Sales"
    body = slide.placeholders[1].text_frame
    body.text = "by region"
    point = body.add_paragraph()
    point.text, point.level = "North first", 1
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(5), Inches(4), Inches(1)).table
    for index, text in enumerate(["Part", "Price", "Door switch", "12.00"]):
        table.cell(index // 2, index % 2).text = text
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("2023", (12, 15))
    data.add_series("2024", (13, None))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(6), Inches(4), Inches(1), data)
    slide.notes_slide.notes_text_frame.text = "Mention the fair."
    deck.save(tmp_path / "a.pptx")

    text = (
        "Sales\nby region\n- North first\nPart | Price\nDoor switch | 12.00\n"
        "| 2023 | 2024\nNorth | 12 | 13\nSouth | 15 | \nNotes: Mention the fair.\n"
    )
    assert texts(load(tmp_path / "a.pptx")) == [text]


def test_slides_are_pages_empty_ones_counted_and_hidden_ones_named(tmp_path):
    deck = pptx.Presentation()
    for text in ("One", "", "Three"):
        slide = deck.slides.add_slide(deck.slide_layouts[BLANK])
        if text:
            text_box(slide.shapes, 1, 1, text)
    slide.element.set("show", "0")
    deck.save(tmp_path / "a.pptx")

    document = load(tmp_path / "a.pptx")

    assert [(s.page_index, s.page_label, s.text) for s in document.sections] == [
        (0, "1", "One\n"),
        (1, "2", ""),
        (2, "3", "Three\n"),
    ]
    assert (document.pages, document.empty_pages) == (3, (1,))
    assert document.notice == "Hidden slides were read too: 3."
    with pytest.raises(UnreadableDocument, match="3 slides, more than the 2 allowed"):
        load(tmp_path / "a.pptx", limits=Limits(max_pages=2))


def test_parts_of_the_presentation_stand_above_the_title(tmp_path):
    deck = pptx.Presentation()
    for title in ("Aims", "Costs"):
        deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY]).shapes.title.text = title
    first, second = (slide.slide_id for slide in deck.slides)
    parts = "".join(
        f'<p14:section name="{name}" id="{{}}"><p14:sldIdLst><p14:sldId id="{slide}"/></p14:sldIdLst></p14:section>'
        for name, slide in (("Plan", first), ("Money", second))
    )
    deck.element.append(
        parse_xml(
            '<p:extLst xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:ext uri="{0}">'
            '<p14:sectionLst xmlns:p14="http://schemas.microsoft.com/office/powerpoint/2010/main">'
            f"{parts}</p14:sectionLst></p:ext></p:extLst>"
        )
    )
    deck.save(tmp_path / "a.pptx")

    assert headings(load(tmp_path / "a.pptx")) == ["Plan › Aims", "Money › Costs"]


def test_text_boxes_with_formulas_are_read_and_footers_are_not(tmp_path):
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[BLANK])
    text_box(slide.shapes, 1, 1, "replaced")
    box = slide.shapes[0].element
    spaces = " ".join(
        f'xmlns:{prefix}="http://schemas.openxmlformats.org/{rest}"'
        for prefix, rest in (
            ("mc", "markup-compatibility/2006"),
            ("a", "drawingml/2006/main"),
            ("m", "officeDocument/2006/math"),
        )
    )
    wrapper = parse_xml(
        f'<mc:AlternateContent {spaces}><mc:Choice Requires="a14"/><mc:Fallback/></mc:AlternateContent>'
    )
    box.addnext(wrapper)
    wrapper[0].append(box)
    formula = f"<a:r {spaces}><a:t>Heat: </a:t></a:r>", f"<m:oMath {spaces}><m:r><m:t>Q=mc</m:t></m:r></m:oMath>"
    paragraph = box.txBody.p_lst[0]
    paragraph.clear()
    paragraph.extend(map(parse_xml, formula))
    text_box(slide.shapes, 1, 7, "12")
    slide.shapes[-1].element.nvSpPr.nvPr.append(
        parse_xml('<p:ph xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" type="sldNum" idx="9"/>')
    )
    deck.save(tmp_path / "a.pptx")

    assert texts(load(tmp_path / "a.pptx")) == ["Heat: Q=mc\n"]


def test_a_deck_of_pictures_holds_no_text(tmp_path):
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[BLANK])
    deck.save(tmp_path / "a.pptx")

    with pytest.raises(EmptyDocument, match="holds no text"):
        load(tmp_path / "a.pptx")


def test_merged_cells_stand_in_each_row_and_a_stroke_of_a_pen_loses_nothing(tmp_path):
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[BLANK])
    table = slide.shapes.add_table(3, 3, 0, 0, Inches(4), Inches(2)).table
    for row, values in enumerate((("Hall", "Hours", ""), ("East", "Monday", "8"), ("", "Sunday", "11"))):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(1, 0).merge(table.cell(2, 0))
    ink = '<p:contentPart xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"/>'
    slide.shapes._spTree.append(parse_xml(ink))
    deck.save(tmp_path / "a.pptx")

    assert texts(load(tmp_path / "a.pptx")) == ["Hall | Hours | Hours\nEast | Monday | 8\nEast | Sunday | 11\n"]


def test_shows_and_templates_are_read(tmp_path):
    deck = pptx.Presentation()
    text_box(deck.slides.add_slide(deck.slide_layouts[BLANK]).shapes, 1, 1, "The porter has the key")
    for kind in ("slideshow", "template"):
        deck.part._content_type = f"application/vnd.openxmlformats-officedocument.presentationml.{kind}.main+xml"
        deck.save(tmp_path / "a.ppsx")

        assert texts(load(tmp_path / "a.ppsx")) == ["The porter has the key\n"]
