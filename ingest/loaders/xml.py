"""XML files: documents as text under their titles, feeds as articles, data as lines `tag: text`.

Entities of the document's own are never expanded, nothing is fetched, and the parser's own limits on depth and size
stay on. What a vocabulary calls a title is known for DocBook, JATS, TEI, DITA and those that resemble them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.loaders.base import (
    HEADING_SEPARATOR,
    Extracted,
    Limits,
    SectionWriter,
    sensible_title,
    shortened,
    squeeze,
    unreadable,
)
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_page, html_text
from ingest.loaders.zip_container import xml_parser
from rag.errors import UnreadableDocument
from rag.types.documents import Section

_DECLARATION = re.compile(r"<\?xml\b[^<>]*\?>")
_DECLARED_ENCODING = re.compile(rb"""^\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([\w.:-]+)["']""")
_TITLES = frozenset({"title", "head", "heading", "article-title", "bridgehead"})
_HOLD_TITLES = frozenset({"info", "bookinfo", "articleinfo", "chapterinfo", "sectioninfo", "title-group", "titleStmt"})
_CAPTIONED = frozenset(  # their titles are lines of the text, not headings of what follows
    {"figure", "fig", "table", "informaltable", "table-wrap", "caption", "example", "list", "itemizedlist"}
    | {"orderedlist", "variablelist", "note", "tip", "warning", "important", "caution"}
    | {"element-citation", "biblioentry", "bibl"}
)
_PARAGRAPHS = frozenset({"p", "para", "simpara", "paragraph", "ab", "sec", "section", "chapter"})
_VERBATIM = frozenset({"programlisting", "screen", "literallayout", "preformat", "pre", "codeblock", "eg"})
_ROWS = frozenset({"row", "tr", "strow"})
_FEEDS = frozenset({"rss", "feed", "RDF"})
_ARTICLES = frozenset({"item", "entry"})  # of RSS, of Atom
_ARTICLE_TEXTS = frozenset({"encoded", "content", "description", "summary"})
_LABELS = ("title", "name", "label", "id", "key", "code")  # what tells a record from its neighbours, best first
_IDS = ("id", "guid")
_MOST_ATTRIBUTES = 500
_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}"


def load_xml(path: Path, name: str, limits: Limits) -> Extracted:
    """Sections by titles, articles or top-level elements. Raises UnreadableDocument when there is no element."""
    data = path.read_bytes()
    declared = _DECLARED_ENCODING.match(data[:500])
    text, notice = decode(data, name, declared[1].decode() if declared else None)
    if not text.strip():
        return Extracted(title="", sections=[], notice=notice)
    root, is_damaged = _parse(text, name)
    if is_damaged:
        if not _text(root):
            raise _unreadable(name)
        notice = f"{notice} It is not well-formed XML: what follows the damage may be missing.".strip()
    if _name(root) == "html":
        page = html_page(_DECLARATION.sub("", text, count=1))
        return Extracted(title=page.title, sections=page.sections, notice=notice)
    title = ""
    if _name(root) in _FEEDS:
        feed = next((child for child in root if _name(child) == "channel"), root)
        sections = list(_articles(root, feed))
        title = next((sensible_title(_text(child)) for child in feed if _name(child) == "title"), "")
    elif _is_document(root):
        title, sections = _Reader().read(root)
    else:
        sections = list(_data(root))
    return Extracted(title=title, sections=sections, notice=notice)


def _parse(text: str, name: str) -> tuple[Any, bool]:
    """The root element, and whether something had to be left out to read it."""
    from lxml import etree

    parser = xml_parser(lenient=True)
    try:
        root = etree.fromstring(_DECLARATION.sub("", text, count=1).lstrip().encode(), parser)
    except etree.XMLSyntaxError:
        root = None
    if root is None:
        raise _unreadable(name)
    return root, any(error.level >= etree.ErrorLevels.ERROR for error in parser.error_log)


def _unreadable(name: str) -> UnreadableDocument:
    return unreadable(name, "is not XML, or so damaged or deeply nested that nothing could be read.")


def _name(element: Any) -> str:
    """The name without its namespace; "" for an entity."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _text(element: Any) -> str:
    """All text inside, on one line."""
    return squeeze("".join(element.itertext(with_tail=False)))


def _is_mixed(element: Any) -> bool:
    """Whether text stands between its elements."""
    return len(element) > 0 and any(text and text.strip() for text in (element.text, *(e.tail for e in element)))


def _is_document(root: Any) -> bool:
    """Text runs between the elements of a document, or some are paragraphs; anything else is data."""
    return any(_name(element) in _PARAGRAPHS or _is_mixed(element) for element in root.iter("*"))


# ----------------------------------------------------------------------------------------------------------- documents


class _Reader(SectionWriter):
    """Walks a document from top to bottom, and collects lines under the titles that they stand under.

    It calls itself for each level of elements; the parser lets 256 of them pass.
    """

    _title = ""

    def read(self, root: Any) -> tuple[str, list[Section]]:
        """The document's title and its sections."""
        self._read_part(root, 1)
        self.finish()
        return self._title, self.sections

    def _read_part(self, element: Any, level: int) -> None:
        """Takes in an element and, at the end of a part with a title, goes back to the heading before it."""
        title = _title_of(element)
        if title is None:
            self._read_content(element, None, level)
            return
        heading = _text(title)
        self._title = self._title or sensible_title(heading)
        is_part = _name(element) not in _HOLD_TITLES
        self.enter(level, heading if is_part else "")
        self.write(heading)
        self._read_content(element, title, level + is_part)
        if is_part:
            self.enter(level, "")

    def _read_content(self, element: Any, title: Any, level: int) -> None:
        runs_on = _is_mixed(element)
        self.write_words(element.text or "")
        for child in element:
            name = _name(child)
            if child is title:
                pass
            elif name in _VERBATIM:
                lines = "".join(child.itertext(with_tail=False)).strip("\n").split("\n")
                self.write(*(line.rstrip() for line in lines))
            elif name in _ROWS:
                cells = [text for cell in child if (text := _text(cell))]
                self.write(*filter(None, [" | ".join(cells) if cells else _text(child)]))
            elif name and (not runs_on or (len(child) and not _is_mixed(child))):
                self.end_line()
                self._read_part(child, level)
                self.end_line()
            elif name:
                self._read_content(child, None, level)
            self.write_words(child.tail or "")


def _title_of(element: Any) -> Any:
    """The child that is its title; None when it has none."""
    if _name(element) in _CAPTIONED or _is_mixed(element):
        return None
    for child in element[:4]:
        if _name(child) in _TITLES and _text(child):
            return child
    return None


# ------------------------------------------------------------------------------------------------------ feeds and data


def _articles(root: Any, feed: Any) -> Iterator[Section]:
    """What is said of the feed, then a section for each article."""
    about = [_line(child, _name(child)) for child in feed if _name(child) not in _ARTICLES and not len(child)]
    if any(about):
        yield Section("\n".join(filter(None, about)) + "\n\n")
    for article in (element for parent in dict.fromkeys((feed, root)) for element in parent):
        if _name(article) not in _ARTICLES:
            continue
        texts = [child for child in article if _name(child) in _ARTICLE_TEXTS]
        lines = [_line(child, _name(child)) for child in article if child not in texts]
        bodies = ["".join(child.itertext(with_tail=False)) for child in texts]
        bodies = [(html_text(body) if "<" in body else body).strip() for body in bodies]
        parts = ["\n".join(filter(None, lines)), max(bodies, key=len, default="")]  # summaries repeat the content
        heading = next((_text(child) for child in article if _name(child) == "title"), "")
        yield Section(
            "\n\n".join(filter(None, parts)) + "\n\n", heading=shortened(heading), record_id=_identifier(article)
        )


def _data(root: Any) -> Iterator[Section]:
    """A section for each record; a record is what has neighbours of the same name and elements of its own."""
    while len(root) == 1 and len(root[0]):
        root = root[0]
    plain = [_attributes(root), *(_line(child, _name(child)) for child in root if not len(child))]
    if not len(root):
        plain.append(_text(root))
    if any(plain):
        yield Section("\n".join(filter(None, plain)) + "\n\n")
    for child in root:
        if not len(child):
            continue
        if len(child) > 1 and all(len(record) and record.tag == child[0].tag for record in child):
            for record in child:
                yield _record(record, f"{_name(child)}{HEADING_SEPARATOR}")
        else:
            yield _record(child, "")


def _record(element: Any, above: str) -> Section:
    lines: list[str] = []
    stack = [(element, "")]
    while stack:
        inner, path = stack.pop()
        if len(inner):
            if attributes := _attributes(inner):
                lines.append(f"{path}: {attributes}" if path else attributes)
            stack += [(child, f"{path}.{_name(child)}" if path else _name(child)) for child in reversed(inner)]
        else:
            lines.append(_line(inner, path))
    heading = f"{above}{_name(element)}"
    if label := next(filter(None, (_property(element, key) for key in _LABELS)), ""):
        heading += f": {label}"
    return Section("\n".join(filter(None, lines)) + "\n\n", heading=shortened(heading), record_id=_identifier(element))


def _line(element: Any, path: str) -> str:
    """`path: text (attribute=value)`; "" when there is neither text nor attribute."""
    text, attributes = _text(element), _attributes(element)
    if text and attributes:
        text = f"{text} ({attributes})"
    return f"{path}: {text or attributes}" if text or attributes else ""


def _attributes(element: Any) -> str:
    found = ((name, value) for name, value in _attribute_items(element) if value and not name.startswith(_SCHEMA))
    return ", ".join(f"{name.rpartition('}')[2]}={value}" for name, value in found)


def _attribute_items(element: Any) -> Iterator[tuple[str, str]]:
    for name in islice(element.attrib, _MOST_ATTRIBUTES):  # the time to get one grows with the number before it
        yield name, squeeze(element.get(name))


def _property(element: Any, key: str) -> str:
    """The attribute or the child of that name, as text."""
    for name, value in _attribute_items(element):
        if name.rpartition("}")[2].lower() == key:
            return value
    return next((_text(child) for child in element if _name(child).lower() == key and not len(child)), "")


def _identifier(element: Any) -> str | None:
    return next(filter(None, (_property(element, key) for key in _IDS)), None)
