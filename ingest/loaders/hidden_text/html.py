"""Elements of a web page that nobody sees, as far as the elements themselves tell; style sheets are not read.

What pages hide as a matter of course (menus, dialogs, the preview line of an e-mail) is left out without a word. What
only hides from people's eyes (tiny letters, the colour of the background, a place off the screen) is told of.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ingest.loaders.hidden_text.look import BLACK, FAINT, WHITE, Look, parse_colour, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bs4 import BeautifulSoup, Tag

_FAR = re.compile(r"-\d{3,}(?:\.\d*)?(?:[a-z]{2,3}|%)")
_HIDING = {  # declarations that put what they are said of out of sight
    "text-indent": _FAR,
    "transform": re.compile(r".*scale[xy]?\(\s*0\s*[,)].*"),
    "clip": re.compile(r"rect\((?:[\s,]*[01](?:px)?){4}\s*\)"),
    "clip-path": re.compile(r"inset\(\s*(?:[5-9]\d|100)%.*|circle\(\s*\+?0+(?:\.0*)?[a-z%]*\s*\)"),
}
_SIDES = ("left", "top", "right", "bottom", "margin-left", "margin-top")
_ONE_PIXEL = points("1px")
# What a script shows later: it fades in, or opens when clicked.
_MOVING = re.compile(r"(?:-webkit-)?(?:transition|transform|translate|animation|will-change)")
_SETS_LOOK = frozenset({"style", "color", "bgcolor", "background"})
_PLACE = re.compile(r"grid-(?:area|row|column)|transform|translate")
_RELATIVE = re.compile(r"[\d.]+(?:em|%)|smaller|larger|inherit")


def is_not_displayed(tag: Tag) -> bool:
    """Whether the page itself says that the element is not shown, or not yet."""
    style = _style(tag)
    return (
        tag.get("hidden", "until-found") != "until-found"
        or style.get("display") == "none"
        or style.get("content-visibility") == "hidden"
    )


def has_style_sheet(soup: BeautifulSoup) -> bool:
    """Whether more is said of the page's look than the elements themselves tell."""
    return any(tag.name == "style" or "stylesheet" in str(tag.get("rel")) for tag in soup.find_all(["style", "link"]))


def remove_out_of_sight(soup: BeautifulSoup, *, is_styled: bool) -> bool:
    """Takes out text that is there but cannot be seen; whether there was any worth telling of.

    Where the page `is_styled` by a sheet, colours that an element does not name are unknown, and so is what an element
    with a class or an id takes over from those around it."""
    out_of_sight = soup.find_all(_is_out_of_sight)
    words = [tag.get_text(" ") for tag in out_of_sight]
    for tag in out_of_sight:
        tag.extract()
    words += _remove_unseen(soup, is_styled)
    return any(re.search(r"\w{2}", text) for text in words)


def _is_out_of_sight(tag: Tag) -> bool:
    style = _style(tag)
    if not tag.has_attr("style") or tag.name in ("html", "body"):  # pages that a script shows when it has loaded
        return False
    if any(pattern.fullmatch(style.get(name, "")) for name, pattern in _HIDING.items()):
        return True
    widths, heights = (
        {points(style.get(f"{most}{side}", "")) for most in ("", "max-")} for side in ("width", "height")
    )
    is_clipped = style.get("overflow", "").startswith("hidden")
    if is_clipped and (widths & {0.0, _ONE_PIXEL} or _ONE_PIXEL in heights):
        return True
    if points(style.get("opacity", "")) == 0 and not any(map(_MOVING.match, style)):
        return not (is_clipped and 0.0 in heights)
    return style.get("position") in ("absolute", "fixed") and any(
        _FAR.fullmatch(style.get(side, "")) for side in _SIDES
    )


def _remove_unseen(soup: BeautifulSoup, is_styled: bool) -> Iterator[str]:
    """Takes out text in tiny letters, in the colour of its background, or invisible; an element inside may undo it."""
    from bs4.element import NavigableString, Tag

    if not soup.find(lambda tag: not _SETS_LOOK.isdisjoint(tag.attrs)):
        return
    stack: list[tuple[Tag, Look]] = [(soup, Look() if is_styled else Look(colour=BLACK, ground=WHITE))]
    while stack:
        tag, look = stack.pop()
        for child in list(tag.children):
            if isinstance(child, Tag):
                stack.append((child, _look(child, look, is_styled) if child.attrs else look))
            elif isinstance(child, NavigableString) and look.is_unseen and child.strip():
                if not look.is_hidden:  # as menus are
                    yield str(child)
                child.extract()


def _look(tag: Tag, look: Look, is_styled: bool) -> Look:
    """The look of an element inside one that has the `look` given."""
    style = _style(tag)
    if is_styled and (tag.has_attr("class") or tag.has_attr("id")):
        look = Look(is_hidden=look.is_hidden)
    elif any(map(_is_elsewhere, style.items())):
        look = look._replace(ground=None)
    for name, value in style.items():
        if name == "color" and value not in ("inherit", "currentcolor"):
            colour, opacity = parse_colour(value)
            look = look._replace(colour=colour, opacity=opacity)
        elif name in ("background", "background-color", "background-image"):
            colour, opacity = parse_colour(value)
            if opacity > FAINT and value not in ("none", "inherit", "0", "0 0", "initial", "unset"):
                look = look._replace(ground=colour)
        elif name == "font-size" and (points(value) is not None or not _RELATIVE.fullmatch(value)):
            look = look._replace(size=points(value))
        elif name == "font":
            sizes = map(points, re.split(r"[\s/]", value))
            look = look._replace(size=next((size for size in sizes if size is not None), None))
        elif name == "visibility" and value != "inherit":
            look = look._replace(is_hidden=value in ("hidden", "collapse"))
    is_painted = (  # by more than its colour
        style.get("text-shadow", "none") != "none"
        or style.get("-webkit-text-stroke", "none") != "none"
        or "text" in (style.get("background-clip"), style.get("-webkit-background-clip"))
    )
    return look._replace(ground=None, opacity=1.0) if is_painted else look


def _is_elsewhere(declaration: tuple[str, str]) -> bool:
    """Whether an element may lie on something else than the box around it, such as a picture."""
    name, value = declaration
    if name == "position":
        return value != "static"
    return bool(_PLACE.match(name)) or (name.startswith("margin") and "-" in value)


def _style(tag: Tag) -> Mapping[str, str]:
    """The declarations in the element's own style, after what its attributes say in place of one."""
    colour = tag.get("color", "inherit") if tag.name == "font" else "inherit"
    background = "url()" if tag.has_attr("background") else tag.get("bgcolor", "none")
    return _declarations(f"color:{colour};background:{background};{tag.get('style') or ''}")


@lru_cache(maxsize=128)  # styles repeat on a page; some hold whole pictures
def _declarations(style: str) -> Mapping[str, str]:
    declarations = (declaration.partition(":") for declaration in style.lower().split(";"))
    return {name.strip(): value.replace("!important", "").strip() for name, _, value in declarations}
