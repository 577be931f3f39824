"""HTML pages: the visible text, a line per block, a section per heading, tables as rows `a | b`."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from ingest.loaders.base import (
    HIDDEN_TEXT,
    Extracted,
    Limits,
    Section,
    SectionWriter,
    sensible_title,
    squeeze,
)
from ingest.loaders.encoding import decode
from ingest.loaders.hidden_text.html import has_style_sheet, is_not_displayed, remove_out_of_sight
from ingest.loaders.table_grid import Cell, read_span, table_lines

if TYPE_CHECKING:
    from pathlib import Path

    from bs4 import BeautifulSoup, Tag

_INVISIBLE = frozenset(
    {"script", "style", "noscript", "template", "head", "svg", "iframe", "object", "canvas", "datalist"}
    | {"rt", "rp"}  # how the characters of a word are read
    | {"annotation", "annotation-xml"}  # a formula in another notation, inside the formula
)
_BLOCKS = re.compile(
    r"address|article|aside|blockquote|body|caption|d[dlt]|details|dialog|div|fieldset|figcaption|figure|footer|form"
    r"|h[1-6r]|header|html|li|main|nav|ol|option|p|pre|section|summary|table|t[dhr]|tbody|tfoot|thead|ul"
)
_AROUND = ["header", "footer", "aside"]
_CONSENT = re.compile(
    r"(?:cookie|consent|gdpr)[-_]?\w{0,20}(?:banner|notice|bar|popup|dialog|modal|overlay|message|consent)",
    re.IGNORECASE,
)
_LONGEST_BANNER = 3_000  # characters
_BOXES = frozenset({"checkbox", "radio"})
_FIELDS = frozenset({"text", "search", "tel", "url", "email", "number", "date", "time", "datetime-local", "month"})
_SHORTEST_ALTERNATIVE = 20  # characters; shorter ones name icons and ornaments
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def load_html(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading, and one for what stands before the first. Raises UnreadableDocument when not text."""
    from bs4.dammit import EncodingDetector

    data = path.read_bytes()
    text, notice = decode(data, name, EncodingDetector.find_declared_encoding(data, is_html=True))
    page = html_page(text)
    return Extracted(page.title, page.sections, " ".join(filter(None, (notice, page.notice))))


def html_text(html: str) -> str:
    """The visible text of a page, which may be part of something else."""
    return "".join(section.text for section in html_page(html).sections)


def html_page(html: str) -> Extracted:
    """A page, which may be part of something else."""
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # XHTML is read well enough
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)  # a page of one word is a page
        soup = BeautifulSoup(html, "lxml")
    title = sensible_title(soup.title.get_text()) if soup.title else ""
    is_styled = has_style_sheet(soup)
    _show_values(soup)
    _remove_invisible(soup)
    some_hidden = remove_out_of_sight(soup, is_styled=is_styled)
    _remove_navigation(soup)
    sections = _Reader().read(soup)
    if not title:
        heading = soup.find("h1")
        title = sensible_title(heading.get_text()) if heading else ""
    return Extracted(title, sections, HIDDEN_TEXT if some_hidden else "")


def _remove_invisible(soup: BeautifulSoup) -> None:
    from bs4.element import PageElement, PreformattedString

    def is_invisible(tag: Tag) -> bool:
        if tag.name in ("html", "body"):  # pages that a script shows when it has loaded
            return False
        return tag.name in _INVISIBLE or (is_not_displayed(tag) and not _is_tab_panel(tag))

    invisible: list[PageElement] = [*soup.find_all(is_invisible)]
    invisible += soup.find_all(string=lambda string: isinstance(string, PreformattedString))  # comments, declarations
    for element in invisible:
        element.extract()


def _is_tab_panel(tag: Tag) -> bool:
    """Whether it is one of several panels of which a click shows each."""
    return tag.get("role") == "tabpanel" and tag.has_attr("hidden")


def _show_values(soup: BeautifulSoup) -> None:
    """Puts in as text what a form is filled with and what stands for a picture; of a list, the chosen entry stays. The
    text is within the field or picture, and is hidden with it."""
    for field in soup.find_all("input"):
        kind = str(field.get("type", "text")).lower()
        if kind in _BOXES:
            field.append(" \u2612 " if field.has_attr("checked") else " \u2610 ")
        elif kind in _FIELDS:
            field.append(f" {field.get('value', '')} ")
    for choice in soup.find_all("select"):
        options = choice.find_all("option")
        has_chosen = any(option.has_attr("selected") for option in options)
        for option in options:
            if has_chosen and not option.has_attr("selected"):
                option.extract()
    for picture in soup.find_all("img", alt=True):
        if len(alternative := squeeze(str(picture["alt"]))) >= _SHORTEST_ALTERNATIVE:
            picture.append(f" {alternative} ")


def _remove_navigation(soup: BeautifulSoup) -> None:
    """What is around a page's own text answers nothing: menus, consent banners and, where the page says which text is
    its own, headers, footers and what stands beside. It stays where there is no other text."""
    around: list[Tag] = soup.find_all("nav") + soup.find_all(_is_consent_banner)
    if own := soup.find_all(["main", "article"]) + soup.find_all(role="main"):
        within = {id(element) for part in own for element in (*part.parents, *part.find_all(_AROUND))}
        around += [tag for tag in soup.find_all(_AROUND) if id(tag) not in within]
    outermost = [tag for tag in around if not any(parent in around for parent in tag.parents)]
    characters = sum(len(squeeze(tag.get_text())) for tag in outermost)
    if outermost and len(squeeze(soup.get_text())) > characters + len(outermost):
        for tag in outermost:
            tag.extract()


def _is_consent_banner(tag: Tag) -> bool:
    names = " ".join([str(tag.get("id", "")), *map(str, tag.get_attribute_list("class"))])
    return _CONSENT.search(names) is not None and len(tag.get_text()) < _LONGEST_BANNER


class _Reader(SectionWriter):
    """Walks the tree once, from top to bottom, and collects lines under their headings."""

    def read(self, soup: BeautifulSoup) -> list[Section]:
        from bs4.element import NavigableString, Tag

        # A stack instead of recursion: pages nest deeper than Python does. None stands for the end of a block.
        stack: list[object] = [soup]
        while stack:
            element = stack.pop()
            if element is None:
                self.end_line()
            elif isinstance(element, Tag):
                stack += self._enter(element)
            elif isinstance(element, NavigableString) and element.find_parent("pre") is None:
                self.write_words(str(element))
            elif isinstance(element, NavigableString):
                first, *others = str(element).split("\n")
                self._line += first
                for line in others:
                    self._lines.append(self._line.rstrip())
                    self._line = line
        self.finish()
        return self.sections

    def _enter(self, tag: Tag) -> list[object]:
        """Takes in a tag; gives what to read next, last first."""
        from bs4.element import Tag

        name = tag.name
        if name in _HEADINGS:
            heading = squeeze(tag.get_text())
            self.enter(_HEADINGS[name], heading)
            self.write(*filter(None, [heading]))
            return []
        if name == "br":
            self.end_line()
            return []
        if name == "table" and tag.find(["table", *_HEADINGS]) is None:  # with these inside, it only lays out the page
            self.write(*_rows(tag))
            return []
        if name == "a" and isinstance(tag.previous_sibling, Tag):  # menus set links apart by style only
            self.write_words(" ")
        children: list[object] = list(reversed(tag.contents))
        if not _BLOCKS.fullmatch(name):
            return children
        self.end_line()
        if name == "li":
            self._line = "- "
        return [None, *children]

    def end_line(self) -> None:
        """Adds the line unless it is blank; the first block in a list item stands behind its dash."""
        if self._line.strip() not in ("", "-"):
            self._lines.append(self._line.rstrip())
        if self._line != "- ":
            self._line = ""


def _rows(table: Tag) -> list[str]:
    caption = table.find("caption")
    title = squeeze(caption.get_text(" ")) if caption else ""
    rows = (
        [
            Cell(squeeze(cell.get_text(" ")), *(read_span(str(cell.get(name, ""))) for name in ("colspan", "rowspan")))
            for cell in row.find_all(["td", "th"])
        ]
        for row in table.find_all("tr")
    )
    return [*filter(None, [title]), *table_lines(rows)]
