"""Small plots as inline SVG: bars side by side, a histogram, and lines. Colours are the page's, by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 18, 40
_BINS = 24


@dataclass(frozen=True, slots=True)
class Series:
    """Named values: one a group of bars, or points (x, y) of a line, all in 0–1 upwards."""

    name: str
    style: str  # a class: `one` or `two`
    values: Sequence[float] = ()
    points: Sequence[tuple[float, float]] = ()


def bars(title: str, groups: Sequence[str], series: Sequence[Series], label: str) -> str:
    """Bars from 0 to 1, grouped; `label` stands under the axis."""
    parts = [_shares_axis(), _text((_LEFT + WIDTH) / 2, HEIGHT - 8, label)]
    wide = (WIDTH - _LEFT - _RIGHT) / len(groups)
    bar = min(40.0, 0.76 * wide / len(series))
    for place, group in enumerate(groups):
        middle = _LEFT + wide * (place + 0.5)
        parts.append(_text(middle, HEIGHT - _BOTTOM + 16, group))
        for number, one in enumerate(series):
            value = one.values[place]
            x = middle + (number - len(series) / 2) * bar
            y = _share_y(value)
            parts.append(
                f'<rect class="{one.style}" x="{x + 1:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" '
                f'height="{HEIGHT - _BOTTOM - y:.1f}" rx="2"><title>{escape(one.name)}, {escape(group)}: {value:.3f}'
                "</title></rect>"
            )
            parts.append(_text(x + bar / 2, y - 4, f"{value:.2f}", "value"))
    return _figure(title, parts, series)


def histogram(title: str, values: Sequence[float], marks: Sequence[tuple[str, float]], unit: str) -> str:
    """How many values lie where, from 0 on; the last bar also holds all that is far beyond the last mark."""
    end = min(max(values), 1.6 * max(value for _, value in marks)) or 1.0
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int(value / end * _BINS))] += 1
    inner = WIDTH - _LEFT - _RIGHT
    parts = [_line(_LEFT, HEIGHT - _BOTTOM, WIDTH - _RIGHT, HEIGHT - _BOTTOM, "axis")]
    for place, count in enumerate(counts):
        high = count / max(counts) * (HEIGHT - _TOP - _BOTTOM)
        beyond = " or more" if place == _BINS - 1 and max(values) > end else ""
        if count:
            parts.append(
                f'<rect class="one" x="{_LEFT + place * inner / _BINS + 0.5:.1f}" '
                f'y="{HEIGHT - _BOTTOM - high:.1f}" width="{inner / _BINS - 1:.1f}" height="{high:.1f}" rx="1">'
                f"<title>from {place * end / _BINS:.1f} {unit}{beyond}: {count}</title></rect>"
            )
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    parts += [_text(_LEFT + share * inner, HEIGHT - _BOTTOM + 16, f"{share * end:.3g}") for share in shares]
    parts.append(_text(_LEFT + inner / 2, HEIGHT - 8, unit))
    parts.append(_text(_LEFT - 6, _TOP + 8, str(max(counts)), "end"))
    for place, (name, value) in enumerate(marks):
        x = _LEFT + min(value, end) / end * inner
        parts.append(_line(x, _TOP, x, HEIGHT - _BOTTOM, "mark"))
        side = "end before" if x > WIDTH / 2 else "start"
        parts.append(_text(x + (-4 if x > WIDTH / 2 else 4), _TOP + 8 + 15 * place, f"{name} {value:.1f}", side))
    return _figure(title, parts, [])


def lines(title: str, series: Sequence[Series], mark: tuple[str, float], label: str) -> str:
    """Lines through points whose y is a share; `mark` is a named x; `label` stands under the axis."""
    xs = [x for one in series for x, _ in one.points]
    low, high = min(xs), max(xs)

    def x_of(value: float) -> float:
        return _LEFT + (min(max(value, low), high) - low) / ((high - low) or 1) * (WIDTH - _LEFT - _RIGHT)

    parts = [_shares_axis()]
    for step in range(5):
        value = low + step / 4 * (high - low)
        parts.append(_text(x_of(value), HEIGHT - _BOTTOM + 16, f"{value:.2f}"))
    parts.append(_text(WIDTH / 2, HEIGHT - 8, label))
    for one in series:
        path = " ".join(f"{x_of(x):.1f},{_share_y(y):.1f}" for x, y in one.points)
        parts.append(f'<polyline class="{one.style}" points="{path}"/>')
    x = x_of(mark[1])
    parts.append(_line(x, _TOP, x, HEIGHT - _BOTTOM, "mark"))
    parts.append(_text(x + 4, _TOP + 8, f"{mark[0]} {mark[1]:g}", "start"))
    return _figure(title, parts, series)


def _shares_axis() -> str:
    """Lines and numbers for shares from 0 to 1."""
    parts = []
    for step in range(5):
        y = _share_y(step / 4)
        parts.append(_line(_LEFT, y, WIDTH - _RIGHT, y, "axis" if step == 0 else "grid"))
        parts.append(_text(_LEFT - 6, y + 4, f"{step / 4:g}", "end"))
    return "".join(parts)


def _share_y(share: float) -> float:
    return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, style: str = "middle") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _figure(title: str, parts: Sequence[str], series: Sequence[Series]) -> str:
    legend = "".join(f'<span><i class="{one.style}"></i>{escape(one.name)}</span>' for one in series)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f'<div class="legend">{legend}</div></figure>'
    )
