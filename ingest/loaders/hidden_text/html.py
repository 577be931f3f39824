"""Elements of a web page that nobody sees, as far as the elements themselves tell; style sheets are not read.

What pages hide as a matter of course (menus, dialogs, the preview line of an e-mail) is left out without a word. What
only hides from people's eyes (tiny letters, the colour of the background, a place off the screen) is told of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bs4 import BeautifulSoup, Tag

_NOT_DISPLAYED = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|content-visibility\s*:\s*hidden)", re.IGNORECASE)
_ZERO = r"[+-]?(?:0++(?:\.0*+)?|\.0++)(?:px|pt|em|rem|ex|%|vw|vh|cm|mm|in|ch|pc)?"
_FAR = r"-\d{3,}(?:\.\d*)?(?:px|pt|em|rem|%|vw|vh|cm|mm|in|ch|pc)"
_OUT_OF_SIGHT = re.compile(
    rf"(?:^|;)\s*(?:text-indent\s*:\s*{_FAR}|transform\s*:\s*[^;]*scale[xy]?\(\s*0\s*[,)][^;]*"
    rf"|clip\s*:\s*rect\((?:[\s,]*[01](?:px)?){{4}}\s*\)|clip-path\s*:\s*inset\(\s*(?:[5-9]\d|100)%[^;]*"
    rf"|clip-path\s*:\s*circle\(\s*{_ZERO}\s*\))\s*(?:!important\s*)?(?:;|$)",
    re.IGNORECASE,
)
_SEE_THROUGH = re.compile(rf"(?:^|;)\s*opacity\s*:\s*{_ZERO}\s*(?:!important\s*)?(?:;|$)", re.IGNORECASE)
# What a script shows later: it fades in, or opens when clicked.
_MOVING = re.compile(r"(?:^|;)\s*(?:-webkit-)?(?:transition|transform|translate|animation|will-change)", re.IGNORECASE)
_COLLAPSED = re.compile(rf"(?:^|;)\s*(?:max-)?height\s*:\s*{_ZERO}\s*(?:!important\s*)?(?:;|$)", re.IGNORECASE)
_POSITIONED = re.compile(r"(?:^|;)\s*position\s*:\s*(?:absolute|fixed)", re.IGNORECASE)
_FAR_AWAY = re.compile(rf"(?:^|;)\s*(?:left|top|right|bottom|margin-left|margin-top)\s*:\s*{_FAR}", re.IGNORECASE)
_CLIPPED = re.compile(r"(?:^|;)\s*overflow\s*:\s*hidden", re.IGNORECASE)
_NO_SIZE = re.compile(
    rf"(?:^|;)\s*(?:max-)?(?:width\s*:\s*(?:{_ZERO}|1px)|height\s*:\s*1px)\s*(?:!important\s*)?(?:;|$)", re.IGNORECASE
)
_TINY = re.compile(rf"(?:{_ZERO}|(?:1(?:\.0*+)?|0*+\.\d++)(?:px|pt))(?:\s*!important)?", re.IGNORECASE)
_FONT_SHORTHAND = re.compile(rf"(?:^|\s)({_ZERO}|1(?:px|pt))(?=[/\s])", re.IGNORECASE)
_RELATIVE = re.compile(r"[\d.]+(?:em|%)|smaller|larger|inherit", re.IGNORECASE)
_INHERITED = re.compile(r"color|font|background|visibility|text-shadow|text-stroke", re.IGNORECASE)
# What may lie on something else than the box around it, such as a picture.
_ELSEWHERE = re.compile(
    r"(?:^|;)\s*(?:position\s*:\s*(?!static)|grid-(?:area|row|column)|transform|translate|margin[a-z-]*\s*:[^;]*-)",
    re.IGNORECASE,
)
_HEX = re.compile(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})\b", re.IGNORECASE)
_RGB = re.compile(r"rgba?\(([^)]*)\)", re.IGNORECASE)
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240)}
_SAME = 8  # of 255: colours that differ by no more look alike
_FAINT = 0.05  # opacity

_Colour = tuple[int, int, int]


class _Look(NamedTuple):
    """What an element hands down to those inside: None where it cannot be known."""

    colour: _Colour | None
    background: _Colour | None
    is_transparent: bool
    is_tiny: bool
    is_invisible: bool


def is_not_displayed(tag: Tag) -> bool:
    """Whether the page itself says that the element is not shown, or not yet."""
    hidden = tag.get("hidden")
    return (hidden is not None and hidden != "until-found") or bool(_NOT_DISPLAYED.search(_style(tag)))


def has_style_sheet(soup: BeautifulSoup) -> bool:
    """Whether more is said of the page's look than the elements themselves tell."""
    return any(tag.name == "style" or "stylesheet" in str(tag.get("rel")) for tag in soup.find_all(["style", "link"]))


def remove_out_of_sight(soup: BeautifulSoup, *, is_styled: bool) -> bool:
    """Takes out text that is there but cannot be seen; whether there was any worth telling of.

    Where the page `is_styled` by a sheet, colours that an element does not name are unknown, and so is what an element
    with a class or an id takes over from those around it."""
    words = [tag.get_text(" ") for tag in soup.find_all(_is_out_of_sight)]
    for tag in soup.find_all(_is_out_of_sight):
        tag.extract()
    words += _remove_unreadable(soup, is_styled)
    return any(re.search(r"\w{2}", text) for text in words)


def _is_out_of_sight(tag: Tag) -> bool:
    if tag.name in ("html", "body") or not (style := _style(tag)):  # pages that a script shows when it has loaded
        return False
    is_clipped = bool(_CLIPPED.search(style))
    if _OUT_OF_SIGHT.search(style) or (is_clipped and _NO_SIZE.search(style)):
        return True
    if _SEE_THROUGH.search(style) and not _MOVING.search(style) and not (is_clipped and _COLLAPSED.search(style)):
        return True
    return bool(_POSITIONED.search(style) and _FAR_AWAY.search(style))


def _remove_unreadable(soup: BeautifulSoup, is_styled: bool) -> Iterator[str]:
    """Takes out text in tiny letters, in the colour of its background, or invisible; an element inside may undo it."""
    from bs4.element import NavigableString, Tag

    if not soup.find(_sets_look):
        return
    ground = None if is_styled else _NAMED["white"]
    stack: list[tuple[Tag, _Look]] = [
        (soup, _Look(None if is_styled else _NAMED["black"], ground, False, False, False))
    ]
    while stack:
        tag, look = stack.pop()
        for child in list(tag.children):
            if isinstance(child, Tag):
                inherited = _inherited(child, look, is_styled)
                stack.append((child, _look(child, inherited) if _sets_look(child) else inherited))
            elif isinstance(child, NavigableString) and child.strip() and _hides(look):
                if not look.is_invisible:  # hidden as menus are
                    yield str(child)
                child.extract()


def _hides(look: _Look) -> bool:
    if look.is_tiny or look.is_invisible or look.is_transparent:
        return True
    if look.colour is None or look.background is None:
        return False
    return all(abs(a - b) <= _SAME for a, b in zip(look.colour, look.background, strict=True))


def _sets_look(tag: Tag) -> bool:
    return (
        tag.name == "font"
        or tag.has_attr("bgcolor")
        or tag.has_attr("background")
        or bool(_INHERITED.search(_style(tag)))
    )


def _inherited(tag: Tag, outer: _Look, is_styled: bool) -> _Look:
    """What is certain of an element's look before its own style is read."""
    if is_styled and (tag.has_attr("class") or tag.has_attr("id")):
        return _Look(None, None, is_transparent=False, is_tiny=False, is_invisible=outer.is_invisible)
    return outer._replace(background=None) if _ELSEWHERE.search(_style(tag)) else outer


def _look(tag: Tag, outer: _Look) -> _Look:
    colour, background, is_transparent, is_tiny, is_invisible = outer
    is_painted = False  # by more than its colour
    for name, value in (*_attributes(tag), *_declarations(_style(tag))):
        if name == "color" and value not in ("inherit", "currentcolor"):
            colour, is_transparent = _colour(value)
        elif name in ("background", "background-color", "background-image"):
            background = _background(value, background)
        elif name == "font-size" and not (_RELATIVE.fullmatch(value) and not _TINY.fullmatch(value)):
            is_tiny = bool(_TINY.fullmatch(value))
        elif name == "font":
            is_tiny = bool(_FONT_SHORTHAND.search(value))
        elif name in ("text-shadow", "-webkit-text-stroke"):
            is_painted |= value != "none"
        elif name in ("background-clip", "-webkit-background-clip"):
            is_painted |= value == "text"
        elif name == "visibility" and value != "inherit":
            is_invisible = value in ("hidden", "collapse")
    if is_painted:
        return _Look(colour, None, False, is_tiny, is_invisible)
    return _Look(colour, background, is_transparent, is_tiny, is_invisible)


def _attributes(tag: Tag) -> Iterator[tuple[str, str]]:
    """The attributes that do what a style does."""
    if tag.name == "font" and tag.has_attr("color"):
        yield "color", str(tag["color"])
    if tag.has_attr("bgcolor"):
        yield "background", str(tag["bgcolor"])
    if tag.has_attr("background"):
        yield "background", "url()"


def _background(value: str, outer: _Colour | None) -> _Colour | None:
    colour, is_transparent = _colour(value)
    return outer if is_transparent or value in ("none", "inherit", "0", "0 0", "initial", "unset") else colour


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        yield name.strip().lower(), value.replace("!important", "").strip().lower()


def _colour(value: str) -> tuple[_Colour | None, bool]:
    """A colour, None if it cannot be told, and whether it is transparent."""
    value = value.strip().lower()
    if value == "transparent":
        return None, True
    if found := _HEX.fullmatch(value):
        digits = found[1] if len(found[1]) > 4 else "".join(2 * digit for digit in found[1])
        red, green, blue, *alpha = bytes.fromhex(digits)
        return (red, green, blue), bool(alpha) and alpha[0] <= 255 * _FAINT
    if found := _RGB.fullmatch(value):
        numbers = re.findall(r"[\d.]+%?", found[1])
        try:
            parts = [float(n.rstrip("%")) * (2.55 if n.endswith("%") else 1) for n in numbers[:3]]
            opacity = (
                float(numbers[3].rstrip("%")) / (100 if numbers[3].endswith("%") else 1) if len(numbers) > 3 else 1.0
            )
            colour = (round(parts[0]), round(parts[1]), round(parts[2])) if len(parts) == 3 else None
        except (ValueError, OverflowError):  # 1.2.3, and more digits than a number can have
            return None, False
        return colour, opacity <= _FAINT
    return _NAMED.get(value), False


def _style(tag: Tag) -> str:
    return str(tag.get("style") or "")
