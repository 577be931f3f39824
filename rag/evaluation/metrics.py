"""The measures, as pure functions: recall, reciprocal rank, nDCG, percentiles, significance, and the refusal curve.

A rank is the place, from 1, of the first hit that brings a piece of expected evidence; None when no hit does.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

Rank = int | None

_COUNTED = 12  # questions that differ, of which all 2¹² ways to deal are counted
_DRAWN, _BATCH = 20_000, 500  # ways that are drawn where there are more, and how many at once


def recall(ranks: Sequence[Rank], depth: int) -> float:
    """The share of the expected pieces that are among the first `depth` hits (Manning, Raghavan, Schütze:
    "Introduction to Information Retrieval", 2008, section 8.4). `ranks` holds one rank a piece and is not empty."""
    return sum(is_within(rank, depth) for rank in ranks) / len(ranks)


def hit(ranks: Sequence[Rank], depth: int) -> float:
    """1 if any of the expected pieces is among the first `depth` hits, else 0 ("success at k")."""
    return float(any(is_within(rank, depth) for rank in ranks))


def reciprocal_rank(ranks: Sequence[Rank], depth: int) -> float:
    """1 / rank of the first expected piece, 0 if none is among the first `depth` hits (Voorhees: "The TREC-8 Question
    Answering Track Report", 1999); its mean over the questions is MRR."""
    return max((1 / rank for rank in ranks if rank is not None and rank <= depth), default=0.0)


def is_within(rank: Rank, depth: int) -> bool:
    """Whether it was found, and among the first `depth`."""
    return rank is not None and rank <= depth


def ndcg(ranking: Sequence[Hashable], relevance: Mapping[Hashable, float], depth: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `depth` items of `ranking`, each there once; `relevance` gives
    their grades (Järvelin, Kekäläinen: "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with the gain
    divided by log2(rank + 1))."""
    gain = sum(relevance.get(item, 0) / math.log2(place + 2) for place, item in enumerate(ranking[:depth]))
    best = sorted(relevance.values(), reverse=True)[:depth]
    ideal = sum(grade / math.log2(place + 2) for place, grade in enumerate(best))
    return gain / ideal if ideal else 0.0


def ndcg_of_ranks(ranks: Sequence[Rank], depth: int) -> float:
    """nDCG where all expected pieces count alike. A hit that brings nothing new takes its place all the same; pieces
    that come with one hit follow one another."""
    pieces = range(len(ranks))
    ranking: list[Hashable] = []
    for place in range(1, depth + 1):
        ranking += [piece for piece in pieces if ranks[piece] == place] or [f"hit {place}"]
    return ndcg(ranking, dict.fromkeys(pieces, 1.0), depth)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0–1) of the values do not exceed, interpolated between neighbours (definition 7 of
    Hyndman, Fan: "Sample Quantiles in Statistical Packages", The American Statistician 1996)."""
    import numpy as np

    return float(np.quantile(values, share))


def paired_randomization(before: Sequence[float], now: Sequence[float]) -> float:
    """How likely (0–1) the means of two runs over the same questions differ as much as they do, or more, if each
    question's two values had been dealt to the runs by the toss of a coin: Fisher's two-sided paired randomization
    test, recommended by Smucker, Allan, Carterette ("A Comparison of Statistical Significance Tests for Information
    Retrieval Evaluation", CIKM 2007). All ways to deal are counted where few questions differ, else 20,000 are drawn,
    always the same ones."""
    import numpy as np

    differences = np.subtract(now, before)
    differences = differences[differences != 0]
    count = len(differences)
    if count == 0:
        return 1.0
    observed = abs(differences.sum()) - 1e-9
    if count <= _COUNTED:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
        return float(np.mean(np.abs(signs @ differences) >= observed))
    chance = np.random.default_rng(0)
    drawn = (chance.integers(0, 2, (_BATCH, count)) * 2 - 1 for _ in range(_DRAWN // _BATCH))
    reached = sum(int(np.sum(np.abs(signs @ differences) >= observed)) for signs in drawn)
    return (reached + 1) / (_DRAWN + 1)


def holm(chances: Sequence[float]) -> list[float]:
    """The chances (0–1) of several tests, each raised so that with a bound on it the chance of any false alarm among
    all of them has that bound (Holm: "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
    Statistics 1979)."""
    raised, least = [0.0] * len(chances), 0.0
    for place, test in enumerate(sorted(range(len(chances)), key=lambda test: chances[test])):
        least = max(least, min(1.0, (len(chances) - place) * chances[test]))
        raised[test] = least
    return raised


@dataclass(frozen=True, slots=True)
class RefusalPoint:
    """What a threshold does: the shares (0–1) of answerable and of unanswerable questions that it refuses."""

    threshold: float
    answerable: float
    unanswerable: float


def refusal_curve(answerable: Sequence[float], unanswerable: Sequence[float]) -> list[RefusalPoint]:
    """The shares refused as the threshold moves from 0 until all is refused, in steps of 0.01, given the evidence found
    for each question; one is refused when its relevance is below the threshold. Empty where a kind is missing."""
    if not answerable or not unanswerable:
        return []
    highest = max(0.0, *answerable, *unanswerable)
    thresholds = [step / 100 for step in range(math.floor(highest * 100) + 2)]
    return [RefusalPoint(t, _share_below(answerable, t), _share_below(unanswerable, t)) for t in thresholds]


def _share_below(values: Sequence[float], threshold: float) -> float:
    return sum(value < threshold for value in values) / len(values)
