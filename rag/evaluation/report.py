"""From outcomes to figures: the measures of a whole run, the figures as JSON, and why a question failed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rag.evaluation import metrics
from rag.evaluation.metrics import RefusalPoint
from rag.evaluation.run import JudgedAnswer, Outcome
from rag.storage.selection import EVERYTHING, Selection

DEPTHS = (1, 3, 5, 10)
DEPTH = 10  # of MRR, nDCG, and of what counts as found at all
FORM = 1  # of the JSON


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of one question: `of` gives its value (0–1), None for questions it does not concern."""

    name: str
    label: str
    of: Callable[[Outcome], float | None]
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean of a measure over so many questions."""

    value: float
    questions: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a search."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of a run. `figures` holds what could be measured, by name; `curve` is empty unless there are
    answerable and unanswerable questions."""

    collection: str
    selection: Selection
    threshold: float
    outcomes: tuple[Outcome, ...]
    figures: Mapping[str, Figure]
    latency: Latency
    curve: tuple[RefusalPoint, ...]

    @property
    def model(self) -> str:
        """Who wrote the answers; empty where none were asked for."""
        return next((outcome.answer.model for outcome in self.outcomes if outcome.answer), "")


def _at_depth(name: str, label: str, of: Callable[[Outcome, int], float | None]) -> list[Measure]:
    def at(depth: int) -> Measure:
        return Measure(f"{name}@{depth}", f"{label}@{depth}", lambda outcome: of(outcome, depth))

    return [at(depth) for depth in DEPTHS]


def _share_supported(answer: JudgedAnswer | None) -> float | None:
    return 1 - len(answer.doubtful) / len(answer.claims) if answer and answer.claims else None


MEASURES = (
    *_at_depth("recall", "recall", lambda o, k: metrics.recall(o.ranks, k) if o.ranks else None),
    Measure("mrr@10", "MRR@10", lambda o: metrics.reciprocal_rank(o.ranks, DEPTH) if o.ranks else None),
    Measure("ndcg@10", "nDCG@10", lambda o: metrics.ndcg_of_ranks(o.ranks, DEPTH) if o.ranks else None),
    *_at_depth("page_hit", "page hit", lambda o, k: metrics.hit(o.page_ranks, k) if o.page_ranks else None),
    Measure("document_first", "expected document first", lambda o: o.document_first),
    Measure("evidence_in_context", "evidence in the prompt", lambda o: o.evidence_in_context),
    Measure("answer_in_context", "answer's text in the prompt", lambda o: o.answer_in_context),
    Measure(
        "unanswerable_refused",
        "unanswerable questions refused",
        lambda o: None if o.question.is_answerable else o.refused,
    ),
    Measure(
        "answerable_refused",
        "answerable questions refused",
        lambda o: o.refused if o.question.is_answerable else None,
        higher_is_better=False,
    ),
    Measure(
        "answer_holds_text", "answers with the expected text", lambda o: o.answer.holds_answer if o.answer else None
    ),
    Measure(
        "answer_cites_page", "answers that cite an expected page", lambda o: o.answer.cites_page if o.answer else None
    ),
    Measure("claims_supported", "claims that their sources support", lambda o: _share_supported(o.answer)),
    Measure(
        "unanswerable_not_answered",
        "unanswerable questions not answered",
        lambda o: o.answer.refused if o.answer and not o.question.is_answerable else None,
    ),
    Measure(
        "answerable_not_answered",
        "answerable questions not answered",
        lambda o: o.answer.refused if o.answer and o.question.is_answerable else None,
        higher_is_better=False,
    ),
)


def evaluate(
    collection: str, threshold: float, outcomes: Sequence[Outcome], selection: Selection = EVERYTHING
) -> Evaluation:
    """The figures of a run of at least one question; `threshold` is the relevance below which it refused."""
    figures = {}
    for measure in MEASURES:
        values = [float(value) for outcome in outcomes if (value := measure.of(outcome)) is not None]
        if values:
            figures[measure.name] = Figure(statistics.fmean(values), len(values))
    times = [outcome.milliseconds for outcome in outcomes]
    curve = metrics.refusal_curve(
        [outcome.relevance for outcome in outcomes if outcome.question.is_answerable],
        [outcome.relevance for outcome in outcomes if not outcome.question.is_answerable],
    )
    return Evaluation(
        collection=collection,
        selection=selection,
        threshold=threshold,
        outcomes=tuple(outcomes),
        figures=figures,
        latency=Latency(metrics.percentile(times, 0.5), metrics.percentile(times, 0.95)),
        curve=tuple(curve),
    )


def failures(outcome: Outcome) -> list[str]:
    """Why a question counts as failed, in words; empty where all is well."""
    reasons = []
    if outcome.unknown:
        reasons.append(f"not in the collection: {', '.join(outcome.unknown)}")
    missing = [rank for rank in outcome.ranks if not metrics.is_within(rank, DEPTH)]
    if missing:
        reasons.append(f"expected evidence not among the first {DEPTH} hits{_of_all(missing, outcome.ranks)}")
    elif outcome.evidence_in_context is not None and outcome.evidence_in_context < 1:
        reasons.append("evidence found, but not in the prompt")
    if outcome.answer_in_context is False:
        reasons.append("the answer's text is not in the prompt")
    if outcome.refused and outcome.question.is_answerable:
        reasons.append("refused, though it is answerable")
    if not outcome.refused and not outcome.question.is_answerable and outcome.answer is None:
        reasons.append("not refused, though it is unanswerable")
    return reasons + _failures_of_answer(outcome)


def _of_all(missing: Sequence[object], ranks: Sequence[object]) -> str:
    return "" if len(missing) == len(ranks) == 1 else f" ({len(missing)} of {len(ranks)} pieces)"


def _failures_of_answer(outcome: Outcome) -> list[str]:
    answer = outcome.answer
    if answer is None:
        return []
    if not outcome.question.is_answerable:
        return [] if answer.refused else ["answered, though it is unanswerable"]
    if answer.refused:
        return [] if outcome.refused else ["the model found no answer"]
    reasons = []
    if answer.holds_answer is False:
        reasons.append("the expected text is not in the answer")
    if answer.cites_page is False:
        reasons.append("the answer cites no expected page")
    if answer.doubtful:
        reasons.append(f"{len(answer.doubtful)} of {len(answer.claims)} claims not supported by their sources")
    return reasons


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """The figures as `--json` writes and `--baseline` reads them, with what became of each question."""
    return {
        "form": FORM,
        "collection": evaluation.collection,
        "selection": asdict(evaluation.selection),
        "questions": len(evaluation.outcomes),
        "model": evaluation.model,
        "threshold": evaluation.threshold,
        "figures": {name: asdict(figure) for name, figure in evaluation.figures.items()},
        "latency": asdict(evaluation.latency),
        "refusal_curve": [asdict(point) for point in evaluation.curve],
        "outcomes": [_outcome_line(outcome) for outcome in evaluation.outcomes],
    }


def _outcome_line(outcome: Outcome) -> dict[str, Any]:
    values: Iterable[tuple[str, Any]] = asdict(outcome).items()
    line = {name: value for name, value in values if name != "question"}
    return {"id": outcome.question.id, "question": outcome.question.question, **line, "failures": failures(outcome)}
