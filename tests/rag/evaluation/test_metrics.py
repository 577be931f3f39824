"""The measures beside values worked out by hand."""

from __future__ import annotations

import math

import pytest

from rag.evaluation.metrics import (
    hit,
    holm,
    ndcg,
    ndcg_of_ranks,
    paired_randomization,
    percentile,
    recall,
    reciprocal_rank,
    refusal_curve,
)


def test_recall_counts_the_pieces_within_the_depth():
    ranks = [1, 4, None]
    assert [recall(ranks, depth) for depth in (1, 3, 4, 10)] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_hit_asks_for_any_piece():
    assert [hit([4, None, 6], depth) for depth in (1, 3, 4, 10)] == [0, 0, 1, 1]
    assert hit([], 10) == 0


def test_reciprocal_rank_is_that_of_the_first_piece():
    assert reciprocal_rank([7, 4, None], 10) == 1 / 4
    assert reciprocal_rank([11], 10) == 0
    assert reciprocal_rank([None], 10) == 0


def test_ndcg_of_the_worked_example():
    # Grades 3, 2, 3, 0, 1, 2 in the order found: DCG 6.861 with linear gains, the ideal order gives 7.141.
    relevance = {"a": 3.0, "b": 2.0, "c": 3.0, "d": 0.0, "e": 1.0, "f": 2.0}
    assert ndcg("abcdef", relevance) == pytest.approx(0.9608, abs=1e-4)
    assert ndcg("acbfed", relevance) == pytest.approx(1)
    assert ndcg("xyz", relevance) == 0
    assert ndcg("abc", {}) == 0


def test_ndcg_looks_no_deeper_than_asked():
    assert ndcg("xa", {"a": 1.0}, depth=1) == 0
    assert ndcg("xa", {"a": 1.0}, depth=2) == pytest.approx(1 / math.log2(3))


def test_ndcg_of_ranks():
    assert ndcg_of_ranks([1], 10) == 1
    assert ndcg_of_ranks([3], 10) == pytest.approx(1 / math.log2(4))
    assert ndcg_of_ranks([None], 10) == 0
    ideal = 1 + 1 / math.log2(3)
    assert ndcg_of_ranks([1, None], 10) == pytest.approx(1 / ideal)
    assert ndcg_of_ranks([4, 1], 10) == pytest.approx((1 + 1 / math.log2(5)) / ideal)
    assert ndcg_of_ranks([1, 1], 10) == pytest.approx(1)  # one hit that brings both is as good as can be


def test_percentile_interpolates():
    assert percentile([4, 1, 3, 2], 0.5) == 2.5
    assert percentile([1, 2, 3, 4, 5], 0.95) == pytest.approx(4.8)
    assert percentile([7], 0.95) == 7
    assert percentile([1, 2], 1) == 2


def test_refusal_curve_refuses_what_is_below_the_threshold():
    curve = {point.threshold: point for point in refusal_curve([0.5, 1.0], [0.2, 0.5, 0.9, 1.5])}
    assert (curve[0.0].answerable, curve[0.0].unanswerable) == (0, 0)
    assert (curve[0.5].answerable, curve[0.5].unanswerable) == (0, 0.25)
    assert (curve[0.51].answerable, curve[0.51].unanswerable) == (0.5, 0.5)
    assert (curve[1.5].answerable, curve[1.5].unanswerable) == (1, 0.75)
    assert (curve[1.51].answerable, curve[1.51].unanswerable) == (1, 1)
    assert max(curve) == 1.51
    assert refusal_curve([], [1.0]) == refusal_curve([1.0], []) == []


def test_the_chance_of_a_difference_is_the_share_of_ways_to_deal_that_reach_it():
    assert paired_randomization([0.5, 0.2], [0.5, 0.2]) == 1
    assert paired_randomization([], []) == 1
    assert (
        paired_randomization([0, 0, 0, 0.7], [1, 1, 1, 0.7]) == 2 / 8
    )  # all up or all down; who is alike tells nothing
    assert paired_randomization([0, 0, 1], [1, 1, 0]) == 1  # two of three: any way to deal gives as much
    assert paired_randomization([0] * 30, [1] * 30) < 0.001
    assert paired_randomization([0, 1] * 15, [1, 0] * 15) == 1


def test_a_drawn_chance_is_near_the_counted_one():
    before, now = [0.0] * 14, [1.0] * 11 + [-1.0] * 3
    reached = sum(math.comb(14, down) for down in range(4)) * 2  # at least eight more up than down, or the reverse
    assert paired_randomization(before, now) == pytest.approx(reached / 2**14, abs=0.01)


def test_holm_raises_each_chance_by_the_number_of_those_that_are_left():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []
