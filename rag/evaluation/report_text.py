"""What the terminal shows of a run: the table of figures, beside a baseline if there is one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from rag.evaluation.baseline import Change
from rag.evaluation.report import MEASURES, Evaluation, Figure, failures
from rag.storage.selection import as_typed


def figures_table(evaluation: Evaluation) -> Table:
    """Every figure of the run."""
    table = Table("measure", "value", "questions")
    table.columns[1].justify = table.columns[2].justify = "right"
    for measure in MEASURES:
        if figure := evaluation.figures.get(measure.name):
            table.add_row(measure.label, shown(figure), str(figure.questions))
    return table


def closing_words(evaluation: Evaluation) -> str:
    """How long searches took, and how many questions failed."""
    failed = sum(bool(failures(outcome)) for outcome in evaluation.outcomes)
    latency = evaluation.latency
    return (
        f"A search took {latency.p50:.1f} ms (median), 95 % at most {latency.p95:.1f} ms. "
        f"{failed} of {len(evaluation.outcomes)} questions failed in some way."
    )


def opening_words(evaluation: Evaluation) -> str:
    """What was asked, and who answered."""
    unanswerable = sum(not outcome.question.is_answerable for outcome in evaluation.outcomes)
    part = as_typed(evaluation.selection)
    words = f"Collection {evaluation.collection}{part and f' ({part})'}, {len(evaluation.outcomes)} questions"
    words += f", {unanswerable} of them unanswerable" if unanswerable else ""
    return f"{words}; answers by {evaluation.model}" if evaluation.model else words


def changes_table(changes: Sequence[Change]) -> Table:
    """Every measure before and now; those that fell by more than the tolerance are marked."""
    table = Table("measure", "before", "now", "change", "")
    for column in table.columns[1:4]:
        column.justify = "right"
    for change in changes:
        both = change.before is not None and change.now is not None
        table.add_row(
            change.measure.label,
            shown(change.before),
            shown(change.now),
            f"{change.now.value - change.before.value:+.3f}" if change.before and change.now else "",
            Text("worse" if both else "not measured now", style="bold red") if change.is_worse else Text(""),
        )
    return table


def shown(figure: Figure | None) -> str:
    """A figure with three digits."""
    return "" if figure is None else f"{figure.value:.3f}"
