"""Prints the sample's two booklets (PDF) and its letter (Word) from the texts in data/sample_text.

The sample belongs to Corrabeg Kilns, a manufacturer that does not exist; its texts were written for this project and
are in the public domain. The plain-text files of data/sample are their own source. The output is the same, byte for
byte, whenever and wherever this runs:

    python data/make_sample.py
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docx
from docx.shared import Cm, Pt, RGBColor
from reportlab.graphics.shapes import Circle, Drawing, Line, Rect, String
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_JUSTIFY
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    ListFlowable,
    ListItem,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)
from reportlab.platypus.tableofcontents import TableOfContents

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).parent
COMPANY = "Corrabeg Kilns Ltd"
ADDRESS = "Millrace Business Park, Thomastown, Co. Kilkenny, Ireland"
BRICK, INK, SAND, LINE = HexColor("#8f3b1b"), HexColor("#2b2a28"), HexColor("#f5efe6"), HexColor("#cbbfb0")
WIDTH, HEIGHT = A5
MARGIN = 17 * mm

BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=10, leading=12.8, textColor=INK, spaceAfter=4)
JUSTIFIED = ParagraphStyle("justified", BODY, alignment=TA_JUSTIFY)
SMALL = ParagraphStyle("small", BODY, fontSize=8.6, leading=11.4)
CHAPTER = ParagraphStyle("chapter", fontName="Helvetica-Bold", fontSize=17, leading=21, textColor=BRICK, spaceAfter=12)
SECTION = ParagraphStyle(
    "section",
    fontName="Helvetica-Bold",
    fontSize=10.5,
    leading=13,
    textColor=INK,
    spaceBefore=5,
    spaceAfter=2,
    keepWithNext=1,
)
CELL = ParagraphStyle("cell", fontName="Helvetica", fontSize=7.9, leading=10, textColor=INK)
HEAD_CELL = ParagraphStyle("head cell", CELL, fontName="Helvetica-Bold", textColor=white)
CAPTION = ParagraphStyle("caption", fontName="Times-Italic", fontSize=8.6, leading=11, textColor=INK, spaceAfter=8)
NOTE = ParagraphStyle("note", BODY, fontName="Helvetica", fontSize=8.6, leading=11.6, spaceAfter=0)
CONTENTS_LINE = ParagraphStyle("contents line", BODY, fontSize=10, leading=15, spaceAfter=0)


@dataclass(frozen=True)
class Booklet:
    """What one booklet needs besides its text: names, cover lines, imprint."""

    source: str
    target: str
    title: str
    subtitle: str
    edition: str
    printed_on: str
    imprint: tuple[str, ...]


HANDBOOK = Booklet(
    source="employee-handbook.md",
    target="employee-handbook.pdf",
    title="Employee Handbook",
    subtitle="How we work together",
    edition="Edition of January 2024",
    printed_on="20240115",
    imprint=(
        "<b>Employee Handbook</b>, fourth edition, January 2024",
        "In force from 1 February 2024. Replaces the third edition of January 2021.",
        (
            "Published by Finance and People. Edited by Grace Adeyemi with the help of many colleagues. "
            "Approved by the managing director on 15 January 2024 after consultation with the staff representatives."
        ),
        (
            "Printed copies are for new colleagues and for the canteen; everybody else finds the handbook in the staff "
            "portal. Large print is available from Finance and People, extension 114."
        ),
    ),
)
MANUAL = Booklet(
    source="product-manual.md",
    target="product-manual.pdf",
    title="Ember 140 Manual",
    subtitle="Bench-top kiln with TC-3 controller",
    edition="Original instructions, issue 5, November 2023",
    printed_on="20231106",
    imprint=(
        "<b>Ember 140: instructions for setting up, use and care</b>",
        "Issue 5, November 2023. Document number M-EB140-EN-5.",
        "Service: service@corrabeg.example, telephone +353 20 912 0140, Monday to Friday from 08:30 to 17:00.",
        "The serial number is on the silver plate at the back, below the mains inlet. Please note it here:",
        "EB140 - ____ - ________",
    ),
)


def roman(number: int) -> str:
    """A page number of the front matter as a printer writes it: 4 → iv (up to 8)."""
    return ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii")[number]


class BookletTemplate(BaseDocTemplate):
    """Lays out a booklet; knows where the front matter ends, so that the printed numbers and the outline agree."""

    def __init__(self, booklet: Booklet, target: io.BytesIO) -> None:
        super().__init__(
            target,
            pagesize=A5,
            title=booklet.title,
            author=COMPANY,
            subject=booklet.subtitle,
            creator=COMPANY,
            invariant=1,
            lang="en",
        )
        self.booklet = booklet
        self.front_pages = 0
        self.chapter = ""
        frame = Frame(MARGIN, 17 * mm, WIDTH - 2 * MARGIN, HEIGHT - 36 * mm, 0, 0, 0, 0)
        self.addPageTemplates(
            [
                PageTemplate("cover", [frame], onPage=self.draw_cover),
                PageTemplate("front", [frame], onPageEnd=self.draw_running_lines),
                PageTemplate("body", [frame], onPageEnd=self.draw_running_lines),
            ]
        )

    def label(self, page: int) -> str:
        """The printed number of a page counted from 1."""
        return roman(page) if not self.front_pages or page <= self.front_pages else str(page - self.front_pages)

    def draw_cover(self, canvas: Canvas, _template: BaseDocTemplate) -> None:
        """The title page: a panel with the kiln's arch and the names."""
        self.chapter = ""
        canvas.addPageLabel(0, style="ROMAN_LOWER", start=1)
        if self.front_pages:
            canvas.addPageLabel(self.front_pages, style="ARABIC", start=1)
        canvas.setFillColor(BRICK)
        canvas.rect(0, HEIGHT * 0.42, WIDTH, HEIGHT * 0.58, stroke=0, fill=1)
        centre, base = WIDTH / 2, HEIGHT * 0.42
        shades = ("#a4492a", "#bb5c33", "#d27a3f", "#e7a057", "#f6cd84", "#fdf0cf")
        for shade, radius in zip(shades, (62, 52, 42, 32, 22, 12), strict=True):
            size = radius * mm * 0.86
            canvas.setFillColor(HexColor(shade))
            arch = canvas.beginPath()
            arch.moveTo(centre - size, base)
            arch.lineTo(centre - size, base + size * 0.45)
            arch.arcTo(centre - size, base - size * 0.55, centre + size, base + size * 1.45, 180, -180)
            arch.lineTo(centre + size, base)
            arch.close()
            canvas.drawPath(arch, stroke=0, fill=1)
        canvas.setFillColor(white)
        canvas.setFont("Helvetica-Bold", 10)
        canvas.drawString(MARGIN, HEIGHT - 16 * mm, "CORRABEG KILNS")
        canvas.setFillColor(INK)
        canvas.setFont("Helvetica-Bold", 27)
        canvas.drawString(MARGIN, base - 22 * mm, self.booklet.title)
        canvas.setFont("Times-Italic", 14)
        canvas.drawString(MARGIN, base - 31 * mm, self.booklet.subtitle)
        canvas.setFont("Helvetica", 9)
        canvas.drawString(MARGIN, 20 * mm, self.booklet.edition)
        canvas.drawString(MARGIN, 15 * mm, f"{COMPANY}, {ADDRESS}")

    def draw_running_lines(self, canvas: Canvas, _template: BaseDocTemplate) -> None:
        """Company, title and chapter at the head, the page number at the foot."""
        page = canvas.getPageNumber()
        canvas.setStrokeColor(LINE)
        canvas.setLineWidth(0.6)
        canvas.line(MARGIN, HEIGHT - 14 * mm, WIDTH - MARGIN, HEIGHT - 14 * mm)
        canvas.setFillColor(INK)
        canvas.setFont("Helvetica", 7.5)
        canvas.drawString(MARGIN, HEIGHT - 12.4 * mm, f"{COMPANY} · {self.booklet.title}")
        canvas.drawRightString(WIDTH - MARGIN, HEIGHT - 12.4 * mm, self.chapter)
        canvas.setFont("Helvetica-Bold", 8.5)
        canvas.drawCentredString(WIDTH / 2, 11 * mm, self.label(page))

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 (reportlab's name)
        """Enter chapters and sections in the outline, and chapters in the contents."""
        name = getattr(getattr(flowable, "style", None), "name", "")
        if not isinstance(flowable, Paragraph) or name not in {"chapter", "section"}:
            return
        text, key = flowable.getPlainText(), f"{name}-{self.seq.nextf(name)}-{self.page}"
        self.canv.bookmarkHorizontal(key, 0, HEIGHT - 10 * mm if name == "chapter" else self.frame._y + 24)  # noqa: SLF001
        self.canv.addOutlineEntry(text, key, level=0 if name == "chapter" else 1, closed=1)
        if name == "chapter":
            self.chapter = text
            if text != "Contents":
                self.notify("TOCEntry", (0, text, self.page, key))


class FrontMatterEnd(Flowable):
    """An invisible mark on the last page of the front matter."""

    def __init__(self, template: BookletTemplate) -> None:
        super().__init__()
        self.template = template

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        """Takes no room."""
        return 0, 0

    def draw(self) -> None:
        """Remember the page; the next pass of the layout uses it."""
        self.template.front_pages = self.canv.getPageNumber()


def inline(text: str) -> str:
    """One paragraph's Markdown as reportlab's markup: escapes, bold, italic."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)


def table(lines: list[str], caption: str) -> list[Flowable]:
    """A pipe table with its caption; column widths follow the text in them."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if "|---" not in line]
    columns = len(rows[0])
    weights = [max(9, *(min(len(row[column]), 44) for row in rows)) for column in range(columns)]
    room = WIDTH - 2 * MARGIN
    smallest = [5 * max(len(row[column]) for row in rows if len(row[column]) < 16) + 8 for column in range(columns)]
    widths = [max(room * weight / sum(weights), least) for weight, least in zip(weights, smallest, strict=True)]
    widths = [width * room / sum(widths) for width in widths]
    cells = [
        [Paragraph(inline(text), CELL if number else HEAD_CELL) for text in row] for number, row in enumerate(rows)
    ]
    style = [
        ("BACKGROUND", (0, 0), (-1, 0), BRICK),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, SAND]),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2.6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.2),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ]
    drawn = Table(cells, widths, style=TableStyle(style), repeatRows=1, spaceBefore=4, spaceAfter=4)
    return [KeepTogether([drawn, *([Paragraph(inline(caption), CAPTION)] if caption else [Spacer(0, 6)])])]


def note(text: str) -> Flowable:
    """A warning in a shaded box."""
    style = [("BACKGROUND", (0, 0), (-1, -1), SAND), ("LINEBEFORE", (0, 0), (0, -1), 3, BRICK)]
    padding = [(f"{side}PADDING", (0, 0), (-1, -1), 7) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]
    cells = [[Paragraph(inline(text), NOTE)]]
    return Table(cells, [WIDTH - 2 * MARGIN], style=TableStyle([*style, *padding]), spaceBefore=4, spaceAfter=8)


def kiln_figure() -> Drawing:
    """The kiln from the front, with its parts named."""
    drawing = Drawing(WIDTH - 2 * MARGIN, 205)

    def box(x: float, y: float, width: float, height: float, fill: Color, radius: float = 0) -> None:
        drawing.add(Rect(x, y, width, height, radius, radius, fillColor=fill, strokeColor=INK, strokeWidth=0.8))

    def callout(x: float, y: float, text: str, label_y: float, left: bool) -> None:
        end = 88 if left else 236
        drawing.add(Line(x, y, end, label_y + 3, strokeColor=BRICK, strokeWidth=0.7))
        drawing.add(Circle(x, y, 1.6, fillColor=BRICK, strokeColor=BRICK))
        anchor = {"textAnchor": "end"} if left else {}
        drawing.add(String(end + (-4 if left else 4), label_y, text, fontName="Helvetica", fontSize=8, **anchor))

    box(108, 22, 110, 150, HexColor("#e9e4dc"), 4)
    for foot in (114, 200):
        box(foot, 12, 12, 10, HexColor("#6b655d"))
    box(118, 74, 90, 88, HexColor("#d9cfc0"), 3)
    box(130, 86, 66, 64, HexColor("#f6cd84"), 2)
    for groove in range(92, 150, 9):
        drawing.add(Line(132, groove, 194, groove, strokeColor=HexColor("#d27a3f"), strokeWidth=1.6))
    drawing.add(Circle(163, 118, 4, fillColor=INK, strokeColor=INK))
    box(118, 30, 90, 34, HexColor("#3d3a36"), 2)
    box(124, 44, 40, 15, HexColor("#bcd3b4"))
    for key in range(4):
        drawing.add(Circle(174 + 9 * key, 51, 3, fillColor=SAND, strokeColor=None))
    box(124, 34, 16, 6, HexColor("#8d877e"))
    box(156, 172, 14, 7, HexColor("#b9ac9b"))
    box(203, 110, 4, 18, HexColor("#7a5230"), 1)
    callout(163, 176, "Vent plug", 184, left=False)
    callout(205, 119, "Door handle and switch", 130, left=False)
    callout(192, 100, "Heating elements", 96, left=False)
    callout(192, 51, "Keys", 48, left=False)
    callout(163, 118, "Spy hole", 150, left=True)
    callout(133, 90, "Chamber", 104, left=True)
    callout(128, 52, "Display", 60, left=True)
    callout(130, 37, "USB flap", 28, left=True)
    return drawing


def story_block(block: str, following: str) -> list[Flowable]:
    """One block of the text (between blank lines) as it is printed; `following` gives a table its caption."""
    lines = block.splitlines()
    first = lines[0]
    if first.startswith("## "):
        return [CondPageBreak((100 if following.startswith("![") else 24) * mm), Paragraph(inline(first[3:]), SECTION)]
    if first.startswith("![kiln]"):
        return [
            KeepTogether(
                [
                    kiln_figure(),
                    Paragraph("Figure: The Ember 140 from the front; the door is drawn as if of glass.", CAPTION),
                ]
            )
        ]
    if first.startswith("> "):
        return [note(block[2:])]
    if first.startswith("|"):
        return table(lines, following.removeprefix("Table: ") if following.startswith("Table: ") else "")
    if first.startswith("Table: "):
        return []
    marker = re.match(r"- |\d+\. ", first)
    if marker is None:
        return [Paragraph(inline(block), JUSTIFIED)]
    items = [ListItem(Paragraph(inline(re.sub(r"^(- |\d+\. )", "", line)), BODY)) for line in lines]
    kind: dict[str, Any] = {"bulletType": "bullet", "start": "•"} if first.startswith("- ") else {"bulletType": "1"}
    return [ListFlowable(items, leftIndent=14, bulletFontName="Times-Roman", bulletFontSize=10, **kind)]


def print_booklet(booklet: Booklet) -> bytes:
    """The PDF of a booklet: cover, imprint, contents and foreword with roman numbers, then the chapters."""
    target = io.BytesIO()
    template = BookletTemplate(booklet, target)
    contents = TableOfContents(levelStyles=[CONTENTS_LINE], dotsMinLevel=0, formatter=template.label)
    story: list[Flowable] = [NextPageTemplate("front"), PageBreak(), Spacer(0, 105 * mm)]
    story += [Paragraph(line, SMALL) for line in booklet.imprint]
    story += [Paragraph(f"{COMPANY}, {ADDRESS}", SMALL), PageBreak(), Paragraph("Contents", CHAPTER), contents]
    in_front = True
    for chapter in re.split(r"^# ", (HERE / "sample_text" / booklet.source).read_text("utf-8"), flags=re.MULTILINE)[1:]:
        heading, *blocks = re.split(r"\n\s*\n", chapter.strip())
        if in_front and heading != "Foreword":
            story += [FrontMatterEnd(template), NextPageTemplate("body")]
            in_front = False
        story += [PageBreak(), Paragraph(inline(heading), CHAPTER)]
        for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
            story += story_block(block, following)
    template.multiBuild(story)
    # reportlab's reproducible files all claim the first day of 2000
    return target.getvalue().replace(b"D:20000101", f"D:{booklet.printed_on}".encode())


def write_letter() -> bytes:
    """The Word letter that answers a customer's warranty claim."""
    document = docx.Document()
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.5)
    document.styles["Normal"].font.name, document.styles["Normal"].font.size = "Georgia", Pt(10.5)
    for name in ("Title", "Heading 1"):
        document.styles[name].font.color.rgb = RGBColor(0x8F, 0x3B, 0x1B)
    section.header.paragraphs[0].text = f"{COMPANY} · {ADDRESS}"
    document.add_heading("Your warranty claim W-2024-0117", level=0)
    for line in (
        "Ms Ines Kavanagh\nKavanagh Ceramics\n4 Harbour Row\nDungarvan, Co. Waterford",
        "Thomastown, 3 April 2024",
        "Dear Ms Kavanagh,",
        (
            "Thank you for the photographs and the firing log of 26 March. You were quite right to stop: your kiln has "
            "two faults, and only one of them is of its own making. Here is what we found and what we propose."
        ),
    ):
        document.add_paragraph(line)
    document.add_heading("What we found", level=1)
    document.add_paragraph(
        "Your kiln, serial number EB140-23-0862, was delivered on 14 June 2023 and has been fired 83 times. The code "
        "E02 that appeared in the middle of your glaze firing comes from the door switch. It belongs to a batch whose "
        "spring is too short. That is our mistake and we are sorry for it."
    )
    document.add_paragraph(
        "The lower element, on the other hand, has been damaged by a drop of glaze, which the warranty does not cover. "
        "Since the faulty switch made you open the kiln at the worst moment, we should like to meet you half-way."
    )
    document.add_heading("What we offer", level=1)
    rows = (
        ("Item", "Part", "We pay", "You pay"),
        ("Door switch", "SW-0105", "in full", "nothing"),
        ("Element set, as a gesture of goodwill", "EL-2140", "92.00 EUR", "92.00 EUR"),
        ("Labour, two hours", "", "124.00 EUR", "nothing"),
        ("Carriage both ways", "", "110.00 EUR", "nothing"),
    )
    grid = document.add_table(rows=0, cols=4, style="Light Grid Accent 2")
    for row in rows:
        for cell, text in zip(grid.add_row().cells, row, strict=True):
            cell.text = text
    document.add_paragraph()
    document.add_heading("What happens next", level=1)
    document.add_paragraph(
        "If you agree, please sign the enclosed copy and return it by 30 April 2024. A carrier will collect the kiln "
        "within three working days; please use the foam corners, and leave the shelf out. The repair takes six working "
        "days. The warranty on the new switch runs for 24 months from the day of the repair; the warranty on the rest "
        "of the kiln remains as it was and ends on 14 June 2026."
    )
    document.add_paragraph(
        "You also asked whether the kiln may stand in your garden room in winter. It may, if the room stays above "
        "5 °C; otherwise let it warm up for a day and dry it with one firing of programme P4 with the vent open."
    )
    document.add_paragraph("With kind regards,")
    document.add_paragraph("Priya Nair\nHead of Customer Service")
    properties = document.core_properties
    properties.title, properties.author = "Your warranty claim W-2024-0117", "Priya Nair"
    properties.comments, properties.last_modified_by = "", "Priya Nair"
    properties.created = properties.modified = datetime(2024, 4, 3, 10, tzinfo=UTC)
    written, fixed = io.BytesIO(), io.BytesIO()
    document.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():  # a zip file dates its members; these all get the same day
            target.writestr(zipfile.ZipInfo(name, (2024, 4, 3, 10, 0, 0)), source.read(name), zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


def main() -> None:
    """Write the three files into data/sample."""
    for booklet in (HANDBOOK, MANUAL):
        (HERE / "sample" / booklet.target).write_bytes(print_booklet(booklet))
    (HERE / "sample" / "warranty-letter.docx").write_bytes(write_letter())


if __name__ == "__main__":
    main()
