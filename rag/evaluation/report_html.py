"""The report as one HTML page that needs nothing from elsewhere: figures, plots as inline SVG, and the failed questions
beside what was found instead. Texts of documents are escaped, and the page may load nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from rag.evaluation.report import DEPTHS, MEASURES, Evaluation, failures
from rag.evaluation.run import Found, Outcome
from rag.storage.selection import as_typed

_MOST_FAILURES = 300  # questions shown; a browser has to lay them out

_STYLE = """
:root { color-scheme: light dark; --text: #1d2433; --soft: #5b6472; --line: #dde1e8; --page: #fff; --card: #f6f7f9;
  --one: #2a6fdb; --two: #c9700a; --bad: #b3261e; --good: #1a7f4b }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ef; --soft: #a2abba; --line: #343b47; --page: #14171c; --card: #1d2127;
    --one: #6ea8ff; --two: #f2a649; --bad: #ff8a80; --good: #6bd49b } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem }
p { margin: .25rem 0 } .soft { color: var(--soft) }
table { border-collapse: collapse } th, td { padding: .28rem .9rem .28rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top } th { font-weight: 600; color: var(--soft) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.top { display: grid; grid-template-columns: minmax(20rem, 26rem) minmax(0, 1fr); gap: 1.5rem 2.5rem;
  align-items: start }
.plots { display: grid; gap: 1rem }
@media (max-width: 60rem) { .top { grid-template-columns: minmax(0, 1fr) } }
figure { margin: 0; padding: .9rem 1rem; background: var(--card); border-radius: 8px } figcaption { font-weight: 600 }
svg { display: block; width: 100%; height: auto } svg text { font-size: 12px; fill: var(--soft); text-anchor: middle }
svg .value { fill: var(--text); font-size: 11px } svg .start { text-anchor: start } svg .end { text-anchor: end }
.axis { stroke: var(--soft) } .grid { stroke: var(--line) } .mark { stroke: var(--text); stroke-dasharray: 4 3 }
rect.one { fill: var(--one) } rect.two { fill: var(--two) } polyline { fill: none; stroke-width: 2 }
polyline.one { stroke: var(--one) } polyline.two { stroke: var(--two) }
.legend span { margin-right: 1.25rem; color: var(--soft); font-size: .85rem }
.legend i { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; margin-right: .4rem }
i.one { background: var(--one) } i.two { background: var(--two) }
article { border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1.1rem; margin: 0 0 1rem }
article h3 { margin: 0; font-size: 1rem } .reasons { color: var(--bad) }
.sides { display: grid; grid-template-columns: minmax(12rem, 1fr) minmax(0, 2fr); gap: 1.5rem; margin-top: .6rem }
@media (max-width: 45rem) { .sides { grid-template-columns: minmax(0, 1fr) } }
h4 { margin: .6rem 0 .25rem; font-size: .85rem; color: var(--soft) } ol { margin: 0; padding-left: 1.4rem }
li { margin-bottom: .5rem } li b, .expected b { font-weight: 600 }
.right { color: var(--good) } .answer { white-space: pre-line } .passage { color: var(--soft); font-size: .88rem }
"""


def report_page(evaluation: Evaluation, name: str) -> str:
    """The page; `name` is that of the file of questions."""
    failed = [(outcome, reasons) for outcome in evaluation.outcomes if (reasons := failures(outcome))]
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    part = as_typed(evaluation.selection)
    selection = f"; asked {escape(part)}" if part else ""
    answers = f"; answers by {escape(evaluation.model)}" if evaluation.model else ""
    more = len(failed) - _MOST_FAILURES
    rest = f"<p>{more} more are in what --json writes.</p>" if more > 0 else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation of {escape(evaluation.collection)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Evaluation of {escape(evaluation.collection)}</h1>
<p class="soft">{len(evaluation.outcomes)} questions of {escape(name)}{selection}{answers}; {written}</p>
<h2>Figures</h2>
<div class="top">{_table(evaluation)}<div class="plots">{"".join(_plots(evaluation))}</div></div>
<h2>Failed questions: {len(failed)} of {len(evaluation.outcomes)}</h2>
{"".join(_article(outcome, reasons) for outcome, reasons in failed[:_MOST_FAILURES])}
{rest}
</body>
</html>
"""


def _table(evaluation: Evaluation) -> str:
    rows = [
        (measure.label, f"{figure.value:.3f}", figure.questions)
        for measure in MEASURES
        if (figure := evaluation.figures.get(measure.name))
    ]
    rows.append(("search, median", f"{evaluation.latency.p50:.1f} ms", len(evaluation.outcomes)))
    rows.append(("search, 95 % within", f"{evaluation.latency.p95:.1f} ms", len(evaluation.outcomes)))
    cells = "".join(
        f'<tr><td>{escape(label)}</td><td class="number">{value}</td><td class="number">{count}</td></tr>'
        for label, value, count in rows
    )
    head = '<tr><th>measure</th><th class="number">value</th><th class="number">questions</th></tr>'
    return f"<table>{head}{cells}</table>"


def _plots(evaluation: Evaluation) -> list[str]:
    plots = []
    series = [
        Series(label, style, values=[evaluation.figures[f"{name}@{depth}"].value for depth in DEPTHS])
        for name, label, style in (("recall", "recall", "one"), ("page_hit", "page hit", "two"))
        if f"{name}@{DEPTHS[0]}" in evaluation.figures
    ]
    if series:
        names = " and ".join(line.name for line in series)
        title = f"{names.capitalize()} among the first hits"
        plots.append(bars(title, [str(depth) for depth in DEPTHS], series, "hits looked at"))
    if evaluation.curve:
        first = next(p.threshold for p in evaluation.curve if p.answerable + p.unanswerable > 0)
        points = [p for p in evaluation.curve if p.threshold >= first - 0.05]  # below, nothing is refused
        refused = [
            Series("answerable refused", "two", points=[(p.threshold, p.answerable) for p in points]),
            Series("unanswerable refused", "one", points=[(p.threshold, p.unanswerable) for p in points]),
        ]
        mark = ("now", evaluation.threshold)
        plots.append(lines("Share refused, by threshold", refused, mark, "RAG_RETRIEVAL__MIN_RELEVANCE"))
    times = [outcome.milliseconds for outcome in evaluation.outcomes]
    marks = [("median", evaluation.latency.p50), ("95 %", evaluation.latency.p95)]
    return [*plots, histogram("Searches by duration", times, marks, "milliseconds")]


def _article(outcome: Outcome, reasons: Sequence[str]) -> str:
    answer = ""
    if outcome.answer:
        answer = f'<h4>Answered</h4><p class="answer">{escape(outcome.answer.text)}</p>'
        answer += "".join(
            f'<p class="reasons">{claim.verdict}: {escape(outcome.answer.text[claim.start : claim.end])} '
            f"({escape(claim.reason)})</p>"
            for claim in outcome.answer.doubtful
        )
    found = "".join(_found(hit) for hit in outcome.found) or "<li>nothing</li>"
    return f"""<article>
<h3>{escape(outcome.question.question)}</h3>
<p class="reasons">{escape("; ".join(reasons))}</p>
<p class="soft">{escape(outcome.question.id)}; relevance {outcome.relevance:.2f}</p>
<div class="sides"><div class="expected"><h4>Expected</h4>{_expected(outcome)}{answer}</div>
<div><h4>Found</h4><ol>{found}</ol></div></div>
</article>
"""


def _expected(outcome: Outcome) -> str:
    question = outcome.question
    if not question.is_answerable:
        return "<p>no answer</p>"
    rows = [
        ("document", question.documents),
        ("page", question.pages),
        ("record", question.record_ids),
        ("text", question.texts),
        ("answer", question.answers),
    ]
    parts = [f"<p><b>{name}</b> {escape('; '.join(values))}</p>" for name, values in rows if values]
    ranks = ", ".join("not found" if rank is None else f"hit {rank}" for rank in outcome.ranks)
    return "".join(parts) + (f'<p class="soft">{ranks}</p>' if ranks else "")


def _found(found: Found) -> str:
    place = f", page {found.page_label}" if found.page_label else ""
    heading = f", {found.heading}" if found.heading else ""
    expected = ' <span class="right">expected</span>' if found.is_expected else ""
    return (
        f"<li><b>{escape(found.title)}</b>{escape(place + heading)}{expected} "
        f'<span class="soft">({escape(found.source)})</span><div class="passage">{escape(found.text)}</div></li>'
    )


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
        for number, line in enumerate(series):
            value = line.values[place]
            x = middle + (number - len(series) / 2) * bar
            y = _share_y(value)
            parts.append(
                f'<rect class="{line.style}" x="{x + 1:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" '
                f'height="{HEIGHT - _BOTTOM - y:.1f}" rx="2"><title>{escape(line.name)}, {escape(group)}: {value:.3f}'
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
    xs = [x for line in series for x, _ in line.points]
    low, high = min(xs), max(xs)

    def x_of(value: float) -> float:
        return _LEFT + (min(max(value, low), high) - low) / ((high - low) or 1) * (WIDTH - _LEFT - _RIGHT)

    parts = [_shares_axis()]
    for step in range(5):
        value = low + step / 4 * (high - low)
        parts.append(_text(x_of(value), HEIGHT - _BOTTOM + 16, f"{value:.2f}"))
    parts.append(_text(WIDTH / 2, HEIGHT - 8, label))
    for line in series:
        path = " ".join(f"{x_of(x):.1f},{_share_y(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline class="{line.style}" points="{path}"/>')
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
    legend = "".join(f'<span><i class="{line.style}"></i>{escape(line.name)}</span>' for line in series)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f'<div class="legend">{legend}</div></figure>'
    )
