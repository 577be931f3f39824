"""Books (epub): the chapters in their reading order, each read as a web page, headed by the table of contents."""

from __future__ import annotations

import posixpath
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

from ingest.loaders.base import (
    HEADING_SEPARATOR,
    HIDDEN_TEXT,
    Extracted,
    HeadingPath,
    Limits,
    sensible_title,
    squeeze,
    unreadable,
)
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_page
from ingest.loaders.zip_container import EPUB, TITLE, Archive
from rag.types.documents import Section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lxml.etree import _Element

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PACKAGE = "{http://www.idpf.org/2007/opf}"
_NCX = "{http://www.daisy.org/z3986/2005/ncx/}"
_XHTML = "{http://www.w3.org/1999/xhtml}"
_READABLE = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")


def load_epub(path: Path, name: str, limits: Limits) -> Extracted:
    """One section per heading of each chapter. Raises UnreadableDocument: protected (DRM), damaged, no epub at all."""
    from bs4.dammit import EncodingDetector

    with Archive(path, name, limits, EPUB) as archive:
        package_path = _package_path(archive, name)
        package = archive.xml(package_path, lenient=True)
        folder = posixpath.dirname(package_path)
        items = {item.get("id", ""): item for item in package.iter(f"{_PACKAGE}item")}
        contents = _contents(archive, folder, list(items.values()))
        chapters = list(_chapters(package, items, folder))
        _check_protection(archive, chapters, name)
        sections: list[Section] = []
        characters, missing, heading, some_hidden = 0, 0, "", False
        for chapter in chapters:
            if chapter not in archive:
                missing += 1
                continue
            data = archive.read(chapter)
            page, _ = decode(data, name, EncodingDetector.find_declared_encoding(data, is_html=True))
            extracted = html_page(page)
            some_hidden = some_hidden or bool(extracted.notice)
            for section in _under(contents.get(chapter, ""), extracted.sections):
                heading = section.heading or heading  # long chapters go on in another file
                sections.append(Section(section.text, heading=heading))
                characters += len(section.text)
            limits.check_text(characters, name)
    notices = [f"{missing} chapters are missing in the file."] if missing else []
    if some_hidden:
        notices.append(HIDDEN_TEXT)
    title = sensible_title(package.findtext(TITLE) or "")
    return Extracted(title=title, sections=sections, notice=" ".join(notices))


def _package_path(archive: Archive, name: str) -> str:
    for root in archive.xml(_CONTAINER, lenient=True).iter("{*}rootfile"):
        if (path := unquote(root.get("full-path", ""))) in archive:
            return path
    raise unreadable(
        name,
        "does not say where its contents are.",
        "It is not a valid EPUB: open it in an EPUB editor and save it again.",
    )


def _chapters(package: _Element, items: dict[str, _Element], folder: str) -> Iterator[str]:
    """The members with text, in reading order, without the table of contents."""
    for reference in package.iter(f"{_PACKAGE}itemref"):
        item = items.get(reference.get("idref", ""))
        if item is None or item.get("media-type") not in _READABLE or _is_contents(item):
            continue
        yield _member(folder, item.get("href", ""))


def _is_contents(item: _Element) -> bool:
    return "nav" in item.get("properties", "").split()


def _member(folder: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(urldefrag(address).url)))


def _check_protection(archive: Archive, chapters: list[str], name: str) -> None:
    """Fonts are often scrambled, and nobody minds; encrypted chapters cannot be read."""
    if _ENCRYPTION not in archive:
        return
    encrypted = {
        unquote(data.get("URI", "")) for data in archive.xml(_ENCRYPTION, lenient=True).iter("{*}CipherReference")
    }
    if not encrypted.isdisjoint(chapters):
        raise unreadable(
            name,
            "is protected against copying (DRM).",
            "Only the shop's own reader opens it: ask for an unprotected copy.",
        )


def _contents(archive: Archive, folder: str, items: list[_Element]) -> dict[str, str]:
    """The heading of each member that the table of contents names as a whole, or at one place only."""
    entries: dict[str, list[tuple[bool, str]]] = {}
    for item in items:
        member = _member(folder, item.get("href", ""))
        is_ncx = item.get("media-type") == "application/x-dtbncx+xml"
        if member not in archive or entries or not (is_ncx or _is_contents(item)):
            continue
        root = archive.xml(member, lenient=True)
        for address, heading in _ncx_entries(root) if is_ncx else _nav_entries(root):
            place = entries.setdefault(_member(posixpath.dirname(member), address), [])
            place.append(("#" not in address, heading))
    return {
        member: next((heading for is_whole, heading in places if is_whole), places[0][1])
        for member, places in entries.items()
        if len(places) == 1 or any(is_whole for is_whole, _ in places)
    }


def _ncx_entries(root: _Element) -> Iterator[tuple[str, str]]:
    path = HeadingPath()
    for point in root.iter(f"{_NCX}navPoint"):
        level = sum(1 for _ in point.iterancestors(f"{_NCX}navPoint")) + 1
        content = point.find(f"{_NCX}content")
        heading = path.enter(level, _label(point.find(f"{_NCX}navLabel")))
        if content is not None:
            yield content.get("src", ""), heading


def _nav_entries(root: _Element) -> Iterator[tuple[str, str]]:
    path = HeadingPath()
    kind = "{http://www.idpf.org/2007/ops}type"
    for navigation in root.iter(f"{_XHTML}nav"):
        if navigation.get(kind, "toc") == "toc":
            for link in navigation.iter(f"{_XHTML}a"):
                level = sum(1 for _ in link.iterancestors(f"{_XHTML}li"))
                yield link.get("href", ""), path.enter(level, _label(link))


def _label(element: _Element | None) -> str:
    """The text inside; entities of HTML, which the XML parser leaves alone, become their characters."""
    return "" if element is None else squeeze(unescape("".join(element.itertext())))


def _under(heading: str, sections: list[Section]) -> Iterator[Section]:
    """The sections with `heading` above theirs, unless theirs say the same."""
    last = heading.rpartition(HEADING_SEPARATOR)[2].casefold()
    has_it = any(last in section.heading.casefold() for section in sections)
    for section in sections:
        if heading and not has_it:
            yield Section(section.text, heading=HEADING_SEPARATOR.join(filter(None, (heading, section.heading))))
        else:
            yield section
