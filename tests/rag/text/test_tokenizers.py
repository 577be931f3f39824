"""How well a tokenizer knows a language shows in how many of its words it cuts into pieces."""

from __future__ import annotations

import pytest

from rag.text.tokenizers import WORDS, continued_words, token_spans


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
