"""How letters look, and whether anybody sees them: the rule that is the same for all formats.

What a file does not tell, or what may be seen after all (letters on a picture, on a table's style), is left unknown;
what is unknown is taken as seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

_TINY = 1.0  # points
_LONGEST_CHAIN = 100  # styles, each based on the next
FAINT = 0.05  # opacity
_SAME = 15  # of 255: colours of which no part differs by more look alike

_LENGTH = re.compile(r"\+?(\d++(?:\.\d*+)?|\.\d++)(pt|px|pc|in|[cm]m|r?em|ex|ch|v[hw]|%)?")
_POINTS = {"pt": 1.0, "px": 0.75, "pc": 12.0, "in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4}
_RGB = re.compile(r"rgba?\(([^)]*)\)")
_NUMBER = re.compile(r"[\d.]+%?")

_Name = TypeVar("_Name")
_Style = TypeVar("_Style")


class Look(NamedTuple):
    """How letters look, as far as a file tells: `size` in points, `opacity` from 0 to 1, `ground` the colour behind."""

    is_hidden: bool = False  # marked as such
    size: float | None = None
    opacity: float = 1.0
    colour: Colour | None = None
    ground: Colour | None = None

    @property
    def is_unseen(self) -> bool:
        """Whether certainly nobody sees the letters."""
        if self.is_hidden or self.opacity <= FAINT or (self.size is not None and self.size <= _TINY):
            return True
        return self.colour is not None and self.ground is not None and look_alike(self.colour, self.ground)


def look_alike(colour: Colour, other: Colour) -> bool:
    """Whether two colours are too near to tell apart."""
    return all(abs(part - of_other) <= _SAME for part, of_other in zip(colour, other, strict=True))


def points(length: str) -> float | None:
    """A length such as `1.5pt` in points; None if it is none, or a share of another length."""
    match = _LENGTH.fullmatch(length.strip().lower())
    if match is None:
        return None
    number = float(match[1])
    return number * _POINTS[match[2]] if match[2] in _POINTS else None if number else 0.0


def parse_colour(value: str) -> tuple[Colour | None, float]:
    """A colour as CSS writes it, None if it cannot be told, and its opacity."""
    from PIL import ImageColor

    value = value.strip().lower()
    if value == "transparent":
        return None, 0.0
    try:
        if function := _RGB.fullmatch(value):
            numbers = _NUMBER.findall(function[1])
            red, green, blue = (round(_amount(number, 255)) for number in numbers[:3])
            return (red, green, blue), _amount(numbers[3], 1) if len(numbers) > 3 else 1.0
        red, green, blue, *alpha = ImageColor.getrgb(value)
    except (ValueError, OverflowError):
        return None, 1.0
    return (red, green, blue), alpha[0] / 255 if alpha else 1.0


def _amount(number: str, full: float) -> float:
    return float(number[:-1]) / 100 * full if number.endswith("%") else float(number)


def style_chain(styles: Mapping[_Name, _Style], name: _Name, parent: Callable[[_Style], _Name]) -> list[_Style]:
    """A style and those it is based on, nearest first, 100 at most; `parent` gives the name of the one that a style is
    based on."""
    chain: list[_Style] = []
    while name in styles and styles[name] not in chain and len(chain) < _LONGEST_CHAIN:
        chain.append(styles[name])
        name = parent(chain[-1])
    return chain
