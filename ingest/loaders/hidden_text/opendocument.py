"""Text of an OpenDocument file that nobody sees: marked as hidden, tiny, see-through, or white with nothing behind.

White text stays wherever something may lie behind it: a ground of its page, table, paragraph or letters, a drawing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml.etree import _Element

_OASIS = "{urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE, _TEXT, _TABLE = f"{_OASIS}office:1.0}}", f"{_OASIS}text:1.0}}", f"{_OASIS}table:1.0}}"
_STYLE, _DRAW, _FO = f"{_OASIS}style:1.0}}", f"{_OASIS}drawing:1.0}}", f"{_OASIS}xsl-fo-compatible:1.0}}"
_OPACITY = "{urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0}opacity"
_LINK = "{http://www.w3.org/1999/xlink}href"
_FAMILIES = {  # of the styles that an element may name
    f"{_TEXT}span": "text",
    f"{_TEXT}a": "text",
    f"{_TEXT}p": "paragraph",
    f"{_TEXT}h": "paragraph",
    f"{_TEXT}section": "section",
    f"{_TABLE}table": "table",
    f"{_TABLE}table-row": "table-row",
    f"{_TABLE}table-cell": "table-cell",
}
_HIDDEN = f"{_TEXT}is-hidden"
_CAN_HIDE = (f"{_TEXT}hidden-text", f"{_TEXT}section")
_AUTOMATIC = f"{_STYLE}use-window-font-color"  # black on light, white on dark
_WHITE = re.compile(r"#(?:f[a-f\d]){3}", re.IGNORECASE)
_LENGTH = re.compile(r"[\d.]+(?:pt|cm|mm|in|px|pc)")
_TINY = re.compile(r"(?:0?\.\d+|0+|1(?:\.0*)?)pt")
_FAINT = re.compile(r"[0-5](?:\.\d*)?%")


class _Style(NamedTuple):
    """The text properties of a style and those it is based on, and whether one of them paints a ground."""

    text: Mapping[str, str]
    is_painted: bool


class _Look(NamedTuple):
    """What an element hands down to those inside."""

    is_hidden: bool = False
    is_tiny: bool = False
    is_faint: bool = False
    is_white: bool = False
    has_ground: bool = False

    @property
    def is_unseen(self) -> bool:
        return self.is_hidden or self.is_tiny or self.is_faint or (self.is_white and not self.has_ground)


_Styles = dict[tuple[str, str], _Style]
_PLAIN = _Style({}, is_painted=False)


def remove_hidden(content: _Element, common: _Element | None) -> bool:
    """Takes hidden text out of the document's content; whether there was any with words.

    `content` is the root of content.xml, `common` that of styles.xml, where the file has one.
    """
    styles = _styles(content, common)
    words: list[str] = []
    stack = [(content, _Look(has_ground=_has_ground(content, common)))]
    while stack:
        element, outer = stack.pop()
        look = _look(element, outer, styles)
        if look.is_unseen:
            words.append(element.text or "")
            element.text = ""
        for child in element:
            if look.is_unseen:
                words.append(child.tail or "")
                child.tail = ""
            if isinstance(child.tag, str):  # the tags of unexpanded entities are none
                stack.append((child, look))
    return any(re.search(r"\w", text) for text in words)


def _look(element: _Element, outer: _Look, styles: _Styles) -> _Look:
    is_hidden, is_tiny, is_faint, is_white, has_ground = outer
    namespace = f"{element.tag.partition('}')[0]}}}"
    style = styles.get((_FAMILIES.get(element.tag, ""), element.get(f"{namespace}style-name", "")), _PLAIN)
    if display := style.text.get(f"{_TEXT}display"):
        is_hidden = display == "none"
    if _LENGTH.fullmatch(size := style.text.get(f"{_FO}font-size", "")):
        is_tiny = _TINY.fullmatch(size) is not None
    if opacity := style.text.get(_OPACITY):
        is_faint = _FAINT.fullmatch(opacity) is not None
    if colour := style.text.get(f"{_FO}color"):
        is_white = _WHITE.fullmatch(colour) is not None and style.text.get(_AUTOMATIC) != "true"
    return _Look(is_hidden or _says_hidden(element), is_tiny, is_faint, is_white, has_ground or _paints(element, style))


def _says_hidden(element: _Element) -> bool:
    if element.tag in _CAN_HIDE:
        return bool(element.get(_HIDDEN) == "true" or element.get(f"{_TEXT}display") == "none")
    marks = element.iter(f"{_TEXT}hidden-paragraph") if element.tag == f"{_TEXT}p" else ()
    return any(mark.get(_HIDDEN) == "true" for mark in marks)


def _paints(element: _Element, style: _Style) -> bool:
    return style.is_painted or str(element.tag).startswith(_DRAW)


def _has_ground(content: _Element, common: _Element | None) -> bool:
    """Whether something may lie behind all text: the colour of the page, or a picture."""
    if common is not None and any(map(_is_painted, common.iter(f"{_STYLE}page-layout-properties"))):
        return True
    drawings = content.iter(f"{_STYLE}graphic-properties")
    return any(properties.get(f"{_STYLE}run-through") == "background" for properties in drawings)


def _is_painted(properties: _Element) -> bool:
    colour = properties.get(f"{_FO}background-color", "transparent")
    return (
        (colour != "transparent" and not _WHITE.fullmatch(colour))
        or properties.get(f"{_DRAW}fill", "none") != "none"
        or any(picture.get(_LINK) for picture in properties.iterchildren(f"{_STYLE}background-image"))
    )


def _styles(content: _Element, common: _Element | None) -> _Styles:
    """All styles that the content may name, by family and name."""
    own = content.iterfind(f"{_OFFICE}automatic-styles/{_STYLE}style")
    named = common.iterfind(f"{_OFFICE}styles/{_STYLE}style") if common is not None else ()
    elements = {(style.get(f"{_STYLE}family", ""), style.get(f"{_STYLE}name", "")): style for style in (*named, *own)}
    return {key: _merged(elements, *key) for key in elements}


def _merged(elements: Mapping[tuple[str, str], _Element], family: str, name: str) -> _Style:
    line: list[_Element] = []
    while (family, name) in elements and elements[family, name] not in line:
        line.append(elements[family, name])
        name = line[-1].get(f"{_STYLE}parent-style-name", "")
    text: dict[str, str] = {}
    for style in reversed(line):
        for properties in style.iterchildren(f"{_STYLE}text-properties"):
            said = {str(key): str(value) for key, value in properties.attrib.items()}
            if f"{_FO}color" in said:
                text.pop(_AUTOMATIC, None)
            text |= said
    return _Style(text, any(_is_painted(properties) for style in line for properties in style))
