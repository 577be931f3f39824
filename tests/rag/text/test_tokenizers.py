"""How well a tokenizer knows a language shows in how many of its words it cuts into pieces."""

from __future__ import annotations

import pytest

from rag.models.embedding_base import bundled_tokenizer
from rag.text.tokenizers import CAUTIOUS, WORDS, continued_words, token_spans


def test_words_of_a_known_language_stay_whole(minilm):
    spans = token_spans(minilm.tokenizer)
    assert continued_words("How much did the company pay for its machines in 2019?", spans) == 0
    assert continued_words("What did Gudrun Ensslin-Wiechert and Przybyszewski say?", spans) == 0
    assert continued_words("¿Cuánto pagó la empresa por sus máquinas en 2019?", spans) > 0.6
    assert continued_words("Сколько заплатила компания за станки?", spans) == 1
    assert continued_words("公司在机器上花了多少钱？", spans) == 1


@pytest.mark.parametrize("text", ["", "2019?", "12 + 30", "🦊"])
def test_text_without_words_is_known(text):
    assert continued_words(text, token_spans(WORDS)) == 0


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The pumps", ["The", "pumps"]),
        ("manufacturer", ["manuf", "actur", "er"]),
        ("§ 4.2-a", ["§", "4", ".", "2", "-", "a"]),
        ("für", ["fü", "r"]),
        ("насос", ["на", "со", "с"]),
        ("水泵", ["水", "泵"]),
        ("🦊", ["🦊"] * 3),
        (" \n", []),
    ],
)
def test_an_estimate_cuts_words_into_short_pieces(text, pieces):
    assert [text[start:end] for start, end in token_spans(CAUTIOUS)(text)] == pieces


def test_the_cautious_estimate_counts_no_less_than_a_real_tokenizer_does():
    texts = (
        "The manufacturer guarantees interchangeable elements; see section 4.2 of the agreement dated 2024-03-31.",
        "def drain(pump, until=None):\n    return pump.valve.open(until or 'spring')",
        "水泵每九十天需要加油，第一次霜冻之前。",
    )
    real = token_spans(bundled_tokenizer())
    assert all(len(token_spans(CAUTIOUS)(text)) >= len(real(text)) for text in texts)
