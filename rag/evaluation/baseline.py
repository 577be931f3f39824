"""A gate: the figures of a run beside those of a former one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from rag.errors import InvalidRequest
from rag.evaluation.report import FORM, MEASURES, Evaluation, Figure, Measure
from rag.storage.selection import EVERYTHING, Selection, as_typed

_ROUNDING = 1e-9
_SELECTION = TypeAdapter(Selection)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A former run: the collection and which part of it was asked, how many questions, and the figures by name."""

    collection: str
    questions: int
    figures: Mapping[str, Figure]
    selection: Selection = EVERYTHING


@dataclass(frozen=True, slots=True)
class Change:
    """One measure, before and now; None where it was not measured. `is_worse` beyond the tolerance, or not measured
    any more."""

    measure: Measure
    before: Figure | None
    now: Figure | None
    is_worse: bool


def read_baseline(path: Path) -> Baseline:
    """A file that `--json` wrote. Raises InvalidRequest."""
    hint = "A baseline is a file that `rag eval --json FILE` wrote."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["form"] != FORM:
            raise InvalidRequest(f"{path} was written by another version of Footnote.", hint="Write it anew: --json.")
        figures = {name: Figure(float(f["value"]), int(f["questions"])) for name, f in content["figures"].items()}
        if not all(math.isfinite(figure.value) for figure in figures.values()):
            raise InvalidRequest(f"{path} holds a figure that is no number.", hint=hint)  # no run could be worse
        selection = _SELECTION.validate_python(content.get("selection", {}))
        return Baseline(str(content["collection"]), int(content["questions"]), figures, selection)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(f"{path} holds no figures.", hint=hint) from error


def differences(before: Baseline, now: Evaluation) -> list[str]:
    """Why the figures of two runs may differ though nothing got worse or better, in sentences."""
    sentences = []
    if before.collection != now.collection:
        sentences.append(f"The baseline asked another collection: {before.collection}.")
    if before.selection != now.selection:
        sentences.append(f"The baseline asked another part: {as_typed(before.selection) or 'all documents'}.")
    if before.questions != len(now.outcomes):
        sentences.append(f"The baseline asked {before.questions} questions, this run {len(now.outcomes)}.")
    return sentences


def compare(before: Mapping[str, Figure], now: Mapping[str, Figure], tolerance: float) -> list[Change]:
    """Every measure of either run. Latency is not compared: it tells of the machine as much as of the documents."""
    changes = []
    for measure in MEASURES:
        former, present = before.get(measure.name), now.get(measure.name)
        if former is None and present is None:
            continue
        worse = former is not None and (present is None or _loss(measure, former, present) > tolerance + _ROUNDING)
        changes.append(Change(measure, former, present, worse))
    return changes


def _loss(measure: Measure, before: Figure, now: Figure) -> float:
    return before.value - now.value if measure.higher_is_better else now.value - before.value
