"""Which settings are swept over, and what a difference is worth."""

from __future__ import annotations

import pytest

from rag.errors import InvalidRequest
from rag.evaluation.sweep import compare_variants, read_sweep
from rag.settings import RetrievalSettings, Settings
from tests.rag.evaluation.test_report import outcome

SETTINGS = Settings(_env_file=None)


def test_all_combinations_but_what_is_set_already():
    variants = read_sweep(["dense_weight=.3,.5", "RAG_RETRIEVAL__MAX_PASSAGES=6, 8"], SETTINGS)
    retrieval = [variant.settings.retrieval for variant in variants]
    assert [(group.dense_weight, group.max_passages) for group in retrieval] == [(0.3, 6), (0.3, 8), (0.5, 8)]
    assert variants[0].name == "dense_weight=.3 max_passages=6"
    assert {variant.settings.storage.dir for variant in variants} == {SETTINGS.storage.dir}
    (always,) = read_sweep(["retrieval.min_relevance=0"], SETTINGS)
    assert always.settings.retrieval.min_relevance == 0


def test_values_of_a_setting_may_be_given_apart():
    variants = read_sweep(["dense_weight=.3", "dense_weight=.7"], SETTINGS)
    assert [variant.settings.retrieval.dense_weight for variant in variants] == [0.3, 0.7]


def test_combinations_without_number_are_refused_at_once():
    with pytest.raises(InvalidRequest, match="combinations are too many"):
        read_sweep([f"{name}={','.join(['1'] * 50)}" for name in RetrievalSettings.model_fields], SETTINGS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dense_weight", "names no values"),
        ("dense_weight=.3,", "names no values"),
        ("dense_weight=2", r"dense_weight=2 is not valid"),
        ("dense=.3", "'dense' is no setting of the retrieval"),
        ("chunk_tokens=100", "needs a reindex"),
        ("RAG_EMBEDDING__MODEL=other", "needs a reindex"),
        (f"candidates_per_leg={','.join(map(str, range(1, 100)))}", "99 combinations are too many"),
    ],
)
def test_what_cannot_be_swept_over_is_refused(text, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        read_sweep([text], SETTINGS)
    assert caught.value.hint


def ranked(*ranks):
    return [outcome(str(number), ranks=(rank,)) for number, rank in enumerate(ranks)]


def verdicts(comparisons):
    return {comparison.measure.name: comparison.verdict for comparison in comparisons}


def test_a_difference_pays_where_it_is_more_than_chance():
    current = ranked(*[2] * 20)
    better, worse, same = compare_variants(current, [ranked(*[1] * 20), ranked(*[9] * 20), current])
    assert verdicts(better)["ndcg@10"] == "pays"
    assert verdicts(better)["recall@5"] == "does not pay"  # the same among the first five
    assert {verdicts(worse)[name] for name in ("ndcg@10", "recall@5")} == {"does not pay"}
    assert {comparison.differing for comparison in same} == {0}
    (few,) = compare_variants(current, [ranked(1, 1, 1, *[2] * 17)])
    (ndcg,) = (comparison for comparison in few if comparison.measure.name == "ndcg@10")
    assert (ndcg.verdict, ndcg.questions, ndcg.differing) == ("cannot be told", 20, 3)
    assert ndcg.chance == pytest.approx(2 / 2**3)


def test_fewer_answerable_questions_refused_is_better():
    current = [outcome(str(number), refused=True) for number in range(12)]
    (comparisons,) = compare_variants(current, [[outcome(str(number)) for number in range(12)]])
    assert verdicts(comparisons)["answerable_refused"] == "pays"


def test_of_many_values_one_looks_good_by_luck():
    current = ranked(*[2] * 20)
    lucky = ranked(*[1] * 6, *[2] * 14)
    (alone,) = compare_variants(current, [lucky])
    among_many = compare_variants(current, [lucky, *(ranked(1, 3, *[2] * (18)) for _ in range(9))])[0]
    assert verdicts(alone)["ndcg@10"] == "pays"
    assert verdicts(among_many)["ndcg@10"] == "cannot be told"
