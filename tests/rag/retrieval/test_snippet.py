"""The part of a chunk that speaks to the question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.snippet import snippet

TEXT = (
    "The kiln stands in the yard. Its lining holds 149 kg of clay. The lining lasts five years. "
    "Cats like to sleep on it. Nobody knows who built the wall behind it, or when."
)


def shown(weights, standing=1.0):
    return TEXT[slice(*snippet(TEXT, weights, standing))]


def test_the_sentences_with_the_question_s_words():
    assert shown({"line": 2.0, "last": 3.0}) == "Its lining holds 149 kg of clay. The lining lasts five years."
    assert shown({"cat": 3.0, "sleep": 1.0}) == "Cats like to sleep on it."


def test_a_lower_hit_shows_less():
    weights = {"kiln": 1.0, "last": 1.0}
    assert (
        shown(weights) == "The kiln stands in the yard. Its lining holds 149 kg of clay. The lining lasts five years."
    )
    assert shown(weights, 0.3) == "The kiln stands in the yard."


def test_without_a_word_of_the_question_all_is_shown():
    assert shown({"quince": 1.0}) == shown({}) == TEXT
    assert snippet("", {"quince": 1.0}, 1.0) == (0, 0)


@given(st.text(alphabet="ab .\n。漢", max_size=200), st.floats(0, 1))
def test_it_is_a_span_of_the_text(text, standing):
    start, end = snippet(text, {"a": 1.0, "漢": 2.0}, standing)
    assert 0 <= start <= end <= len(text)
    assert (start, end) == (0, len(text)) or text[start:end].strip()
