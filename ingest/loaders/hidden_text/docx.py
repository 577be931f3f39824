"""Runs of a Word file that nobody sees: marked as hidden, of no more than a point, or white with nothing dark behind.

White text stays wherever something may lie behind it: shading, a table's style, a text box, a coloured page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.loaders.hidden_text.look import WHITE, Look, look_alike, parse_colour, style_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docx.document import Document as WordDocument
    from lxml.etree import _Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BEHIND = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}anchor"
_OFF = frozenset({"0", "false", "off", "none"})
_MAY_BE_DARK = (f"{_W}shd", f"{_W}highlight")
_PLAIN_TABLES = frozenset({"", "TableGrid", "TableNormal"})


def remove_hidden(document: WordDocument, margins: Sequence[_Element] = ()) -> bool:
    """Takes hidden runs out of the document's body and its headers and footers; whether there were any with words."""
    roots = (document.element.body, *margins)
    styles = {style.style_id: style.element for style in document.styles}
    chains = {name: style_chain(styles, name, lambda style: value_of(style, "basedOn")) for name in styles}
    hiding = {name for name, chain in chains.items() if next(filter(None, map(_vanish, chain)), "off") not in _OFF}
    shading = {
        name
        for name, chain in chains.items()
        if any(style.find(f".//{tag}") is not None for style in chain for tag in _MAY_BE_DARK)
    }
    is_plain = document.element.find(f"{_W}background") is None and not any(
        anchor.get("behindDoc") in ("1", "true") for root in roots for anchor in root.iter(_BEHIND)
    )
    words = ""
    for run in (run for root in roots for run in root.iter(f"{_W}r")):
        look = _look(run, hiding)
        is_white = look.colour is not None and look_alike(look.colour, WHITE)
        if is_plain and is_white and not _may_have_ground(run, shading):
            look = look._replace(ground=WHITE)
        if look.is_unseen:
            for text in run.iter(f"{_W}t"):
                words += text.text or ""
                text.text = ""
    return bool(words.strip())


def _look(run: _Element, hiding: set[str]) -> Look:
    """What the run and its styles tell of it, but its ground."""
    properties = run.find(f"{_W}rPr")
    paragraph = next((above.find(f"{_W}pPr") for above in run.iterancestors(f"{_W}p")), None)
    styles = {value_of(properties, "rStyle"), value_of(paragraph, "pStyle")}
    vanish, size = _vanish(run), value_of(properties, "sz")
    return Look(
        is_hidden=vanish not in _OFF if vanish else not hiding.isdisjoint(styles),
        size=int(size) / 2 if size.isdecimal() else None,
        colour=parse_colour(f"#{value_of(properties, 'color')}")[0],
    )


def _may_have_ground(run: _Element, shading: set[str]) -> bool:
    """Whether something may be painted behind the run."""
    for element in (run, *run.iterancestors()):
        name = element.tag.rpartition("}")[2]
        if name in ("txbxContent", "textbox"):
            return True
        properties = element.find(f"{_W}{name}Pr")
        if properties is None:
            continue
        style = value_of(properties, f"{name}Style")
        if style in shading or (name == "tbl" and style not in _PLAIN_TABLES):
            return True
        if any(properties.find(tag) is not None for tag in _MAY_BE_DARK):
            return True
    return False


def _vanish(element: _Element) -> str | None:
    """Whether a run or a style says itself that it is hidden: "0" and the like if not, None if it says neither."""
    switch = element.find(f"{_W}rPr/{_W}vanish")
    return None if switch is None else str(switch.get(f"{_W}val", "on"))


def value_of(parent: _Element | None, name: str) -> str:
    """What the element of that name in `parent` is set to; "" when there is none."""
    found = None if parent is None else parent.find(f"{_W}{name}")
    return "" if found is None else str(found.get(f"{_W}val", ""))
