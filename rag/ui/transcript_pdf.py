"""A transcript as a PDF. Its Markdown becomes paragraphs, lists, code and tables; nothing is fetched for it."""

from __future__ import annotations

import html
import io
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from markdown_it.tree import SyntaxTreeNode
    from reportlab.platypus import Flowable

    from rag.ui.export import Entry, Transcript

# The PDF's own fonts know western European letters only; these know more, where the machine has them.
_FONTS = (
    ("/usr/share/fonts/truetype/dejavu", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("/usr/share/fonts/dejavu-sans-fonts", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("/usr/share/fonts/TTF", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("/usr/share/fonts/truetype/liberation", "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("/Library/Fonts", "Arial Unicode.ttf", "Arial Unicode.ttf"),
    ("/System/Library/Fonts/Supplemental", "Arial.ttf", "Arial Bold.ttf"),
    ("C:/Windows/Fonts", "arial.ttf", "arialbd.ttf"),
)
_EAST_ASIAN = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+")
_KOREAN = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
_JAPANESE = re.compile(r"[\u3040-\u30ff]")
_INDENT = 14  # points
_TAGS = {"strong": "b", "em": "i", "s": "strike"}


def pdf(transcript: Transcript) -> bytes:
    """The file's bytes; blocking, tens of milliseconds a page."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import SimpleDocTemplate

    buffer = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 20 * mm)
    document = SimpleDocTemplate(buffer, pagesize=A4, title=transcript.title, creator="Footnote", **margins)
    document.build(list(_flowables(transcript)))
    return buffer.getvalue()


def _flowables(transcript: Transcript) -> Iterator[Flowable]:
    yield _paragraph(_text(transcript.title), "title")
    yield _paragraph(transcript.created_at[:10], "small")
    for entry in transcript.entries:
        if entry.is_question:
            yield _paragraph(_text(entry.text.strip()).replace("\n", "<br/>"), "question")
        else:
            yield from _answer(entry)


def _answer(entry: Entry) -> Iterator[Flowable]:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(entry.text))
    yield from _blocks(tree.children)
    for source in entry.sources:
        quote = " ".join(source.quote.split())
        told = f"<b>[{source.number}]</b> {_text(source.place)}"
        yield _paragraph(f"{told}<br/>“{_text(quote)}”" if quote else told, "small")


def _blocks(nodes: Iterable[SyntaxTreeNode], depth: int = 0, bullet: str = "") -> Iterator[Flowable]:
    """The blocks in their order, the first one behind the bullet; lists and quotes are indented."""
    for node in nodes:
        if node.type in ("paragraph", "heading"):
            style = "heading" if node.type == "heading" else "body"
            yield _paragraph(_inline(node.children[0]), style, depth, bullet)
        elif node.type in ("bullet_list", "ordered_list"):
            first = int(node.attrs.get("start", 1))
            for number, item in enumerate(node.children, start=first):
                yield from _blocks(item.children, depth + 1, "•" if node.type == "bullet_list" else f"{number}.")
        elif node.type == "table":
            yield _table(node)
        elif node.type in ("fence", "code_block", "html_block"):
            yield _preformatted(node.content)
        else:
            yield from _blocks(node.children, depth + 1)
        bullet = ""


def _table(node: SyntaxTreeNode) -> Flowable:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Table

    rows = [row for part in node.children for row in part.children]
    cells = [[_paragraph(_inline(cell.children[0]), "cell") for cell in row.children] for row in rows]
    table = Table(cells, hAlign="LEFT", repeatRows=1, spaceAfter=6)
    table.setStyle([("GRID", (0, 0), (-1, -1), 0.5, HexColor("#cfcac0")), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    return table


def _preformatted(text: str) -> Flowable:
    from reportlab.platypus import Preformatted

    return Preformatted(text.rstrip().encode("cp1252", "replace").decode("cp1252"), _styles()["code"], maxLineLength=92)


def _inline(node: SyntaxTreeNode) -> str:
    """The words of a paragraph as reportlab's markup; of links and images the text."""
    parts = []
    for child in node.children:
        if child.type in _TAGS:
            tag = _TAGS[child.type]
            parts.append(f"<{tag}>{_inline(child)}</{tag}>")
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" " if child.type == "softbreak" else "<br/>")
        else:
            parts.append(_inline(child) if child.children else _text(child.content))
    return "".join(parts)


def _paragraph(markup: str, style: str, depth: int = 0, bullet: str = "") -> Flowable:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    chosen = _styles()[style]
    if depth:
        left = chosen.leftIndent + _INDENT * depth
        chosen = ParagraphStyle(f"{style}-{depth}", chosen, leftIndent=left, bulletIndent=left - _INDENT + 2)
    return Paragraph(markup, chosen, bulletText=bullet or None)


def _text(text: str) -> str:
    """Text as reportlab's markup; East Asian letters in fonts that PDF viewers bring along."""

    def in_its_font(found: re.Match[str]) -> str:
        return f'<font face="{_east_asian_font(found[0])}">{found[0]}</font>'

    return _EAST_ASIAN.sub(in_its_font, html.escape(_known(text), quote=False))


def _known(text: str) -> str:
    """Text without the letters that only a font of the machine would have, where there is none."""
    if _fonts()[0] != "Helvetica":
        return text
    return "".join(c if _EAST_ASIAN.match(c) else c.encode("cp1252", "replace").decode("cp1252") for c in text)


def _east_asian_font(text: str) -> str:
    if _KOREAN.search(text):
        return "HYSMyeongJo-Medium"
    return "HeiseiMin-W3" if _JAPANESE.search(text) else "STSong-Light"


@cache
def _fonts() -> tuple[str, str]:
    """The names of the font and of its bold face, made known to reportlab."""
    from reportlab.lib.fonts import addMapping
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    for name in ("HYSMyeongJo-Medium", "HeiseiMin-W3", "STSong-Light"):
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    for folder, regular, bold in _FONTS:
        if (Path(folder) / regular).is_file() and (Path(folder) / bold).is_file():
            pdfmetrics.registerFont(TTFont("Text", Path(folder) / regular))
            pdfmetrics.registerFont(TTFont("TextBold", Path(folder) / bold))
            for italic in (0, 1):
                addMapping("Text", 0, italic, "Text")
                addMapping("Text", 1, italic, "TextBold")
            return "Text", "TextBold"
    return "Helvetica", "Helvetica-Bold"


@cache
def _styles() -> dict[str, Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.lib.styles import ParagraphStyle

    regular, bold = _fonts()
    body = ParagraphStyle("body", fontName=regular, fontSize=10, leading=14.5, spaceAfter=6)
    return {
        "body": body,
        "title": ParagraphStyle("title", body, fontName=bold, fontSize=16, leading=21, spaceAfter=2),
        "heading": ParagraphStyle("heading", body, fontName=bold, fontSize=11.5, leading=16, spaceBefore=4),
        "question": ParagraphStyle(
            "question",
            body,
            fontName=bold,
            spaceBefore=12,
            backColor=HexColor("#f1efea"),
            borderPadding=(5, 6, 5, 6),
            leftIndent=6,
            rightIndent=6,
            spaceAfter=12,
        ),
        "small": ParagraphStyle(
            "small", body, fontSize=8, leading=11, leftIndent=0, textColor=HexColor("#4c4a45"), spaceAfter=4
        ),
        "cell": ParagraphStyle("cell", body, fontSize=8.5, leading=11.5, spaceAfter=0),
        "code": ParagraphStyle("code", body, fontName="Courier", fontSize=8.5, leading=11, leftIndent=8),
    }
