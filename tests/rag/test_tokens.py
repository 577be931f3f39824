"""How well a tokenizer knows a language shows in how many pieces it cuts its words into."""

from __future__ import annotations

import pytest

from rag.tokens import WORDS, fertility, token_spans


def test_words_of_a_known_language_stay_whole(minilm):
    spans = token_spans(minilm.tokenizer)
    assert fertility("How much did the company pay for its machines in 2019?", spans) < 1.2
    assert fertility("¿Cuánto pagó la empresa por sus máquinas en 2019?", spans) > 1.6
    assert fertility("Сколько заплатила компания за станки?", spans) > 3
    assert fertility("公司在机器上花了多少钱？", spans) > 3


@pytest.mark.parametrize("text", ["", "2019?", "12 + 30", "🦊"])
def test_text_without_words_is_known(text):
    assert fertility(text, token_spans(WORDS)) == 1.0
