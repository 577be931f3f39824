"""An optional reranker: here a tiny cross-encoder, made on the spot."""

from __future__ import annotations

import pytest

from rag.errors import ConfigurationError
from rag.models.reranker import open_reranker
from rag.settings import RerankerSettings
from tests.rag.models.test_sentence_transformer import WORDS

pytestmark = pytest.mark.slow  # makes a cross-encoder with torch


@pytest.fixture(scope="module")
def tiny_cross_encoder(tmp_path_factory):
    """The folder of a cross-encoder with random weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)  # of some weights, all texts have the same score
    folder = tmp_path_factory.mktemp("cross-encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(str(folder))
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(WORDS), num_labels=1, **shape)
    BertForSequenceClassification(config).save_pretrained(str(folder))
    return folder


def test_a_folder_is_a_reranker(tiny_cross_encoder):
    reranker = open_reranker(RerankerSettings(model=str(tiny_cross_encoder)))
    scores = reranker.score("frost in spring", ["frost breaks the pump", "spring", "frost breaks the pump"])
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] == pytest.approx(scores[2], abs=1e-5)
    assert scores[0] != pytest.approx(scores[1], abs=1e-7)
    assert reranker.score("frost", []) == []


def test_none_is_the_default():
    assert open_reranker(RerankerSettings()) is None


def test_what_is_no_reranker_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be loaded") as caught:
        open_reranker(RerankerSettings(model=str(tmp_path)))
    assert "RAG_RERANKER__MODEL" in caught.value.hint
