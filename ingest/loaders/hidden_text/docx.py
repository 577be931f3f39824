"""Runs of a Word file that nobody sees: marked as hidden, of no more than a point, or white with nothing dark behind.

White text stays wherever something may lie behind it: shading, a table's style, a text box, a coloured page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from lxml.etree import _Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BEHIND = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}anchor"
_WHITE = re.compile(r"(?:F[A-F\d]){3}", re.IGNORECASE)
_TINY = 2  # half-points
_OFF = frozenset({"0", "false", "off", "none"})
_MAY_BE_DARK = (f"{_W}shd", f"{_W}highlight")
_PLAIN_TABLES = frozenset({"", "TableGrid", "TableNormal"})


def remove_hidden(document: WordDocument) -> bool:
    """Takes hidden runs out of the document's body; whether there were any with words."""
    body = document.element.body
    styles = {style.style_id: style.element for style in document.styles}
    hiding = {name for name in styles if _style_says(styles, name, "vanish")}
    shading = {name for name in styles if _style_has(styles, name, _MAY_BE_DARK)}
    is_plain = document.element.find(f"{_W}background") is None and not any(
        anchor.get("behindDoc") in ("1", "true") for anchor in body.iter(_BEHIND)
    )
    some_hidden = False
    for run in list(body.iter(f"{_W}r")):
        properties = run.find(f"{_W}rPr")
        hidden = _is_hidden(run, properties, hiding) or (
            is_plain and properties is not None and _is_white(properties) and not _has_ground(run, shading)
        )
        if hidden:
            some_hidden = some_hidden or any((text.text or "").strip() for text in run.iter(f"{_W}t"))
            for text in list(run.iter(f"{_W}t")):
                text.text = ""
    return some_hidden


def _is_hidden(run: _Element, properties: _Element | None, hiding: set[str]) -> bool:
    if properties is not None:
        size = properties.find(f"{_W}sz")
        if size is not None and str(size.get(f"{_W}val", "")).isdecimal() and int(size.get(f"{_W}val", "")) <= _TINY:
            return True
        vanish = properties.find(f"{_W}vanish")
        if vanish is not None:
            return vanish.get(f"{_W}val", "") not in _OFF
        if _value(properties, "rStyle") in hiding:
            return True
    paragraph = next(run.iterancestors(f"{_W}p"), None)
    return paragraph is not None and _value(paragraph.find(f"{_W}pPr"), "pStyle") in hiding


def _is_white(properties: _Element) -> bool:
    return _WHITE.fullmatch(_value(properties, "color")) is not None


def _has_ground(run: _Element, shading: set[str]) -> bool:
    """Whether something may be painted behind the run."""
    for element in (run, *run.iterancestors()):
        name = element.tag.rpartition("}")[2]
        if name in ("txbxContent", "textbox"):
            return True
        properties = element.find(f"{_W}{name}Pr")
        if properties is None:
            continue
        if any(properties.find(tag) is not None for tag in _MAY_BE_DARK):
            return True
        style = _value(properties, f"{name}Style")
        if style in shading or (name == "tbl" and style not in _PLAIN_TABLES):
            return True
    return False


def _style_says(styles: dict[str, _Element], name: str, switch: str) -> bool:
    """Whether a style, or the nearest one it is based on that says so, sets the switch."""
    for style in _line(styles, name):
        found = style.find(f"{_W}rPr/{_W}{switch}")
        if found is not None:
            return found.get(f"{_W}val", "") not in _OFF
    return False


def _style_has(styles: dict[str, _Element], name: str, tags: tuple[str, ...]) -> bool:
    return any(next(style.iter(*tags), None) is not None for style in _line(styles, name))


def _line(styles: dict[str, _Element], name: str) -> list[_Element]:
    """The style and those it is based on, nearest first."""
    line: list[_Element] = []
    while name in styles and styles[name] not in line:
        line.append(styles[name])
        name = _value(styles[name], "basedOn")
    return line


def _value(parent: _Element | None, name: str) -> str:
    found = None if parent is None else parent.find(f"{_W}{name}")
    return "" if found is None else str(found.get(f"{_W}val", ""))
