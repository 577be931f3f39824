"""Text of a slide that nobody sees: in hidden shapes, of no more than a point, unpainted, or in the ground's colour.

Letters in the ground's colour stay wherever something else may lie behind them: a filled shape, a picture, a table's
style, whatever the layout or the master paints there. A hidden title stays: it names the slide for screen readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ingest.loaders.hidden_text.look import WHITE, Colour, Look, parse_colour
from ingest.loaders.zip_container import parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element
    from pptx.slide import Slide

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_FIRST_GROUND = "1001"  # of the theme's grounds; where it is solid, it has the colour that is named with it
_FILLS = tuple(f"{_A}{kind}Fill" for kind in ("solid", "grad", "blip", "patt", "grp"))
_ALSO_PAINTED = (f"{_A}ln", f"{_A}effectLst", f"{_A}effectDag", f"{_A}highlight")
_SHAPES = tuple(f"{_P}{kind}" for kind in ("sp", "pic", "graphicFrame", "grpSp", "contentPart"))

_OPAQUE = 100_000
_TITLE = frozenset({"title", "ctrTitle"})

_Colours = Mapping[str, Colour | None]
_Box = tuple[int, int, int, int] | None  # left, top, right, bottom; None may be anywhere


def remove_hidden(slide: Slide) -> bool:
    """Takes hidden text out of the slide; whether there was any with words."""
    words = list(_remove_hidden_shapes(slide.element))
    theme = _theme(slide)
    colours = _colours(slide, theme)
    ground = _ground(slide, theme, colours)
    behind = [
        None if shape.is_placeholder else _box(shape)  # the slide's own one looks like it, wherever it is put
        for part in (slide.slide_layout, slide.slide_layout.slide_master)
        for shape in part.shapes
        if _is_painted(shape)
    ]
    for shape in slide.shapes:
        own_ground = _ground_of(shape, ground, behind, colours)
        for run in shape.element.iter(f"{_A}r", f"{_A}fld"):
            text, properties = run.find(f"{_A}t"), run.find(f"{_A}rPr")
            if text is not None and properties is not None and _look(properties, own_ground, colours).is_unseen:
                words.append(text.text or "")
                text.text = ""
        if _is_painted(shape):
            behind.append(_box(shape))
    return any(word.strip() for word in words)


def _remove_hidden_shapes(slide: _Element) -> Iterator[str]:
    """The text of each; for a chart or a diagram, whose text is elsewhere, its name."""
    for properties in list(slide.iter(f"{_P}cNvPr")):
        shape = next((above for above in properties.iterancestors(*_SHAPES)), None)
        parent = None if shape is None else shape.getparent()
        if properties.get("hidden") in ("1", "true") and shape is not None and parent is not None:
            placeholder = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            if placeholder is not None and placeholder.get("type") in _TITLE:
                continue
            yield "".join(text.text or "" for text in shape.iter(f"{_A}t"))
            yield properties.get("name", "") if shape.find(f".//{_A}graphicData") is not None else ""
            parent.remove(shape)


def _look(properties: _Element, ground: Colour | None, colours: _Colours) -> Look:
    """How a run looks on the ground given."""
    size = properties.get("sz", "")
    look = Look(size=int(size) / 100 if size.isdecimal() else None)
    if any(properties.find(tag) is not None for tag in _ALSO_PAINTED):
        return look
    fill = properties.find(f"{_A}solidFill")
    if fill is None or len(fill) == 0:
        return look._replace(is_hidden=properties.find(f"{_A}noFill") is not None)
    alpha = "" if (element := fill[0].find(f"{_A}alpha")) is None else element.get("val", "")
    opacity = int(alpha) / _OPAQUE if alpha.isdecimal() else 1.0
    return look._replace(opacity=opacity, colour=_colour(fill[0], colours), ground=ground)


# ----------------------------------------------------------------------------------------------------- what lies behind


def _ground_of(shape: Any, ground: Colour | None, behind: Iterable[_Box], colours: _Colours) -> Colour | None:
    """The colour on which the shape's letters stand; None if it cannot be told."""
    properties = shape.element.find(f"{_P}spPr")
    if properties is None:  # a table, a group
        return None
    fill = properties.find(f"{_A}solidFill")
    if fill is not None:
        return _colour(fill[0], colours) if len(fill) else None
    box = _box(shape)
    return None if _is_painted(shape) or any(_overlap(box, other) for other in behind) else ground


def _is_painted(shape: Any) -> bool:
    """Whether something of it may be seen behind letters: it is filled, or no simple shape."""
    element = shape.element
    if element.tag == f"{_P}cxnSp":
        return False
    properties = element.find(f"{_P}spPr")
    if element.tag != f"{_P}sp" or properties is None:
        return True
    if any(properties.find(tag) is not None for tag in _FILLS):
        return True
    style = element.find(f"{_P}style/{_A}fillRef")
    return style is not None and style.get("idx", "0") != "0" and properties.find(f"{_A}noFill") is None


def _box(shape: Any) -> _Box:
    """Where it lies; a turned one may lie anywhere."""
    sides = (shape.left, shape.top, shape.width, shape.height)
    if None in sides or getattr(shape, "rotation", False):
        return None
    left, top, width, height = map(int, sides)
    return left, top, left + width, top + height


def _overlap(box: _Box, other: _Box) -> bool:
    if box is None or other is None:
        return True
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


# -------------------------------------------------------------------------------------------------------------- colours


def _ground(slide: Slide, theme: _Element, colours: _Colours) -> Colour | None:
    """The colour of the slide's background, None if it has several or cannot be told."""
    for part in (slide, slide.slide_layout, slide.slide_layout.slide_master):
        background = part.element.find(f"{_P}cSld/{_P}bg")
        if background is not None:
            fill = background.find(f"{_P}bgPr/{_A}solidFill")
            first = next(theme.iterfind(f"{_A}themeElements/{_A}fmtScheme/{_A}bgFillStyleLst/*"), None)
            if fill is None and first is not None and first.tag == f"{_A}solidFill":
                fill = background.find(f"{_P}bgRef[@idx='{_FIRST_GROUND}']")
            return _colour(fill[0], colours) if fill is not None and len(fill) else None
    return WHITE


def _theme(slide: Slide) -> _Element:
    from pptx.opc.constants import RELATIONSHIP_TYPE

    return parse_xml(slide.slide_layout.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)


def _colours(slide: Slide, theme: _Element) -> _Colours:
    """The theme's colours by the names that shapes have for them."""
    override = f"{_P}clrMapOvr/{_A}overrideClrMapping"
    layout = slide.slide_layout
    maps = slide.element.find(override), layout.element.find(override), layout.slide_master.element.find(f"{_P}clrMap")
    scheme = theme.iterfind(f"{_A}themeElements/{_A}clrScheme/*")
    of_theme = {named.tag.rpartition("}")[2]: _colour(named[0], {}) for named in scheme if len(named)}
    names: Mapping[str, str] = next((names.attrib for names in maps if names is not None), {})
    return of_theme | {name: of_theme.get(value) for name, value in names.items()}


def _colour(colour: _Element, colours: _Colours) -> Colour | None:
    """None where the colour is made of another one or cannot be told."""
    if len(colour):
        return None
    kind, value = colour.tag.rpartition("}")[2], colour.get("val", "")
    if kind == "schemeClr":
        return colours.get(value)
    named = {"srgbClr": f"#{value}", "sysClr": f"#{colour.get('lastClr')}", "prstClr": value}
    return parse_colour(named.get(kind, ""))[0]
