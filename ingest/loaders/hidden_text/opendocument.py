"""Text of an OpenDocument file that nobody sees: marked as hidden, tiny, see-through, or white with nothing behind.

White text stays wherever something may lie behind it: a ground of its page, table, paragraph or letters, a drawing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ingest.loaders.hidden_text.look import BLACK, WHITE, Look, look_alike, parse_colour, points, style_chain

if TYPE_CHECKING:
    from lxml.etree import _Element

_OASIS = "{urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE, _TEXT, _TABLE = f"{_OASIS}office:1.0}}", f"{_OASIS}text:1.0}}", f"{_OASIS}table:1.0}}"
_STYLE, _DRAW, _FO = f"{_OASIS}style:1.0}}", f"{_OASIS}drawing:1.0}}", f"{_OASIS}xsl-fo-compatible:1.0}}"
_OPACITY = "{urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0}opacity"
_LINK = "{http://www.w3.org/1999/xlink}href"
_FAMILIES = {"span": "text", "a": "text", "p": "paragraph", "h": "paragraph"}  # of styles; others are named alike
_HIDDEN = f"{_TEXT}is-hidden"
_CAN_HIDE = (f"{_TEXT}hidden-text", f"{_TEXT}section")
_PARENT = f"{_STYLE}parent-style-name"
_AUTOMATIC = f"{_STYLE}use-window-font-color"  # black on light, white on dark
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d*)?)%")


_Styles = dict[tuple[str, str], list["_Element"]]


def remove_hidden(content: _Element, common: _Element | None) -> bool:
    """Takes hidden text out of the document's content; whether there was any with words.

    `content` is the root of content.xml, `common` that of styles.xml, where the file has one.
    """
    styles = _styles(content, common)
    words: list[str] = []
    stack = [(content, Look(ground=None if _may_have_ground(content, common) else WHITE))]
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


def _look(element: _Element, look: Look, styles: _Styles) -> Look:
    """The look of an element inside one that has the `look` given."""
    namespace, _, name = element.tag[1:].partition("}")
    key = _FAMILIES.get(name, name), element.get(f"{{{namespace}}}style-name", "")
    for style in reversed(styles.get(key, ())):
        for properties in style:
            look = _styled(properties, look)
    if _says_hidden(element):
        look = look._replace(is_hidden=True)
    return look._replace(ground=None) if element.tag.startswith(_DRAW) else look


def _styled(properties: _Element, look: Look) -> Look:
    """The look with what one style says of it."""
    if _is_painted(properties):
        look = look._replace(ground=None)
    if properties.tag != f"{_STYLE}text-properties":
        return look
    if display := properties.get(f"{_TEXT}display"):
        look = look._replace(is_hidden=display == "none")
    if (size := points(properties.get(f"{_FO}font-size", ""))) is not None:
        look = look._replace(size=size)
    if opacity := _PERCENT.fullmatch(properties.get(_OPACITY, "")):
        look = look._replace(opacity=float(opacity[1]) / 100)
    if colour := properties.get(f"{_FO}color"):
        look = look._replace(colour=parse_colour(colour)[0])
    return look._replace(colour=None) if properties.get(_AUTOMATIC) == "true" else look


def _says_hidden(element: _Element) -> bool:
    if element.tag in _CAN_HIDE:
        return bool(element.get(_HIDDEN) == "true" or element.get(f"{_TEXT}display") == "none")
    marks = element.iter(f"{_TEXT}hidden-paragraph") if element.tag == f"{_TEXT}p" else ()
    return any(mark.get(_HIDDEN) == "true" for mark in marks)


def _may_have_ground(content: _Element, common: _Element | None) -> bool:
    """Whether something may lie behind all text: the colour of the page, or a picture."""
    if common is not None and any(map(_is_painted, common.iter(f"{_STYLE}page-layout-properties"))):
        return True
    drawings = content.iter(f"{_STYLE}graphic-properties")
    return any(properties.get(f"{_STYLE}run-through") == "background" for properties in drawings)


def _is_painted(properties: _Element) -> bool:
    background = properties.get(f"{_FO}background-color", "transparent")
    return (
        (background != "transparent" and not look_alike(parse_colour(background)[0] or BLACK, WHITE))
        or properties.get(f"{_DRAW}fill", "none") != "none"
        or any(picture.get(_LINK) for picture in properties.iterchildren(f"{_STYLE}background-image"))
    )


def _styles(content: _Element, common: _Element | None) -> _Styles:
    """All styles that the content may name, by family and name, each with those it is based on, nearest first."""
    own = content.iterfind(f"{_OFFICE}automatic-styles/{_STYLE}style")
    named = common.iterfind(f"{_OFFICE}styles/{_STYLE}style") if common is not None else ()
    elements = {(style.get(f"{_STYLE}family", ""), style.get(f"{_STYLE}name", "")): style for style in (*named, *own)}
    return {
        key: style_chain(elements, key, lambda style: (style.get(f"{_STYLE}family", ""), style.get(_PARENT, "")))
        for key in elements
    }
