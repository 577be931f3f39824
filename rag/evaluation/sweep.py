"""A sweep: the same questions asked under other settings, and whether a difference is more than chance."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import ValidationError

from rag.errors import InvalidRequest
from rag.evaluation.metrics import holm, paired_randomization
from rag.evaluation.questions import Question
from rag.evaluation.report import MEASURES, Measure
from rag.evaluation.run import EvaluationRun, Outcome
from rag.settings import EmbeddingSettings, IngestSettings, RetrievalSettings, Settings

Verdict = Literal["pays", "does not pay", "cannot be told"]

_MOST_VARIANTS = 64
_CHANCE = 0.05  # of a difference this large where there is none, below which it is believed
_GROUP = "retrieval"
# What decides: whether evidence is found, comes first, and is read; whether it is rightly refused; and the answers.
_DECISIVE = frozenset(
    {
        *("recall@5", "ndcg@10", "evidence_in_context", "unanswerable_refused", "answerable_refused"),
        *("answer_holds_text", "claims_supported", "unanswerable_not_answered", "answerable_not_answered"),
    }
)


@dataclass(frozen=True, slots=True)
class Variant:
    """Settings under which the questions are asked, by what is changed: `dense_weight=.3 max_passages=8`."""

    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure under the current settings and under a variant: the means over `questions` that both concern, for how
    many of them it differs, and how likely so large a difference is by chance."""

    measure: Measure
    before: float
    now: float
    questions: int
    differing: int
    chance: float

    @property
    def verdict(self) -> Verdict:
        """Whether the variant is better; "does not pay" also where nothing differs."""
        if not self.differing:
            return "does not pay"
        if self.chance >= _CHANCE:
            return "cannot be told"
        return "pays" if (self.now > self.before) == self.measure.higher_is_better else "does not pay"


def read_sweep(texts: Sequence[str], settings: Settings) -> list[Variant]:
    """The variants that `dense_weight=.3,.5` and further such texts make, all combinations; what is set already is
    none. Raises InvalidRequest for what is no setting of the retrieval, for values that it does not take, and for too
    many."""
    values: dict[str, list[str]] = {}
    for name, more in map(_read, texts):
        values.setdefault(name, []).extend(more)
    if (count := math.prod(map(len, values.values()))) > _MOST_VARIANTS:
        raise InvalidRequest(
            f"{count} combinations are too many.",
            hint=f"Sweep over {_MOST_VARIANTS} at most: each asks every question.",
        )
    combinations = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    variants = [
        Variant(
            " ".join(f"{name}={value}" for name, value in changed.items()),
            settings.model_copy(update={_GROUP: _changed(settings.retrieval, changed)}),
        )
        for changed in combinations
    ]
    return [variant for variant in variants if variant.settings.retrieval != settings.retrieval]


def _read(text: str) -> tuple[str, list[str]]:
    """The setting's name and its values."""
    name, separator, values = text.partition("=")
    name = name.strip().lower().removeprefix("rag_retrieval__").removeprefix(f"{_GROUP}.")
    if not separator or not all(value.strip() for value in values.split(",")):
        raise InvalidRequest(f"{text!r} names no values.", hint="A sweep looks like dense_weight=.3,.5,.7")
    if name in RetrievalSettings.model_fields:
        return name, [value.strip() for value in values.split(",")]
    for group, fields in (("embedding", EmbeddingSettings.model_fields), ("ingest", IngestSettings.model_fields)):
        if name.removeprefix(f"rag_{group}__").removeprefix(f"{group}.") in fields:
            raise InvalidRequest(
                f"Another {name} needs a reindex, which a sweep does not do.",
                hint="Index a copy of the documents with it (RAG_STORAGE__DIR=other `ingest PATH`), and compare by "
                "`rag eval --baseline`.",
            )
    raise InvalidRequest(
        f"{name!r} is no setting of the retrieval.", hint=f"These are {', '.join(RetrievalSettings.model_fields)}."
    )


def _changed(settings: RetrievalSettings, values: Mapping[str, str]) -> RetrievalSettings:
    try:
        return RetrievalSettings.model_validate({**settings.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0]
        raise InvalidRequest(
            f"{name}={first['input']} is not valid: {first['msg']}.", hint="docs/settings.md"
        ) from error


def outcomes_in_turns(runs: Sequence[EvaluationRun], questions: Sequence[Question]) -> Iterator[tuple[Outcome, ...]]:
    """For each question the outcome of every run. Each goes first in its turn, so that what one of them loads for a
    question makes no other look faster on the whole. Blocking."""
    with ExitStack() as opened:
        asking = [opened.enter_context(closing(run.outcomes(questions))) for run in runs]
        for turn in range(len(questions)):
            order = [(turn + place) % len(runs) for place in range(len(runs))]
            outcomes = {number: next(asking[number]) for number in order}
            yield tuple(outcomes[number] for number in range(len(runs)))


def compare_variants(current: Sequence[Outcome], variants: Sequence[Sequence[Outcome]]) -> list[list[Comparison]]:
    """For each variant the decisive measures beside the current settings', both with the outcomes of the same questions
    in the same order. The chances of a measure are for all variants together (`holm`): of many, one looks good by luck.
    """
    compared: list[list[Comparison]] = [[] for _ in variants]
    for measure in MEASURES:
        if measure.name in _DECISIVE:
            of_measure = [_compare(measure, current, outcomes) for outcomes in variants]
            chances = iter(holm([comparison.chance for comparison in of_measure if comparison.differing]))
            for comparisons, comparison in zip(compared, of_measure, strict=True):
                comparisons.append(replace(comparison, chance=next(chances)) if comparison.differing else comparison)
    return compared


def _compare(measure: Measure, current: Sequence[Outcome], other: Sequence[Outcome]) -> Comparison:
    pairs = [(measure.of(before), measure.of(now)) for before, now in zip(current, other, strict=True)]
    values = [(float(before), float(now)) for before, now in pairs if before is not None and now is not None]
    before, now = [first for first, _ in values], [second for _, second in values]
    return Comparison(
        measure,
        statistics.fmean(before or [0.0]),
        statistics.fmean(now or [0.0]),
        len(values),
        sum(first != second for first, second in values),
        paired_randomization(before, now),
    )
