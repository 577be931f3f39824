"""Any other sentence-transformers model, by torch: here a tiny one, made on the spot."""

from __future__ import annotations

import numpy as np
import pytest

from rag.errors import ConfigurationError
from rag.models.embedding import open_embedding
from rag.models.embedding_base import adopt
from rag.models.sentence_transformer import SentenceTransformerEmbedding
from rag.settings import EmbeddingSettings
from rag.text.tokenizers import token_spans

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "passage", ":", "frost", "breaks", "the", "pump", "in", "spring"]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """The folder of a model with random weights and these words."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    bert = folder / "bert"
    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(bert / "vocab.txt")).save_pretrained(str(bert))
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(WORDS), **shape)).save_pretrained(str(bert))
    transformer = Transformer(str(bert), max_seq_length=64)
    SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu").save(str(folder / "model"))
    return folder / "model"


def opened(folder, **settings):
    return open_embedding(EmbeddingSettings(model=str(folder), device="cpu", **settings))


def test_a_folder_is_a_model(tiny_model):
    embedding = opened(tiny_model)
    assert isinstance(embedding, SentenceTransformerEmbedding)
    assert (embedding.dimension, embedding.max_tokens) == (32, 64)
    vectors = embedding.embed_passages(["frost breaks the pump", "in spring", "frost breaks the pump"])
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], vectors[2], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-2)
    assert np.allclose(embedding.embed_query("in spring"), vectors[1], atol=1e-5)


def test_its_tokenizer_counts_whole_texts(tiny_model):
    spans = token_spans(opened(tiny_model).tokenizer)
    assert spans("frost breaks") == [(0, 5), (6, 12)]
    assert len(spans("frost " * 100)) == 100


def test_prefixes_are_embedded_counted_and_part_of_the_fingerprint(tiny_model):
    plain, prefixed = opened(tiny_model), opened(tiny_model, passage_prefix="passage: ")
    assert np.allclose(prefixed.embed_passages(["frost"]), plain.embed_passages(["passage: frost"]), atol=1e-5)
    assert prefixed.max_tokens == plain.max_tokens - 2
    assert prefixed.fingerprint != plain.fingerprint
    with pytest.raises(ConfigurationError, match="reads 64"):
        opened(tiny_model, passage_prefix="frost " * 40)


def test_batches_of_any_size_give_the_same(tiny_model):
    texts = ["frost breaks the pump", "in spring", "the pump", "frost"]
    assert np.allclose(
        opened(tiny_model).embed_passages(texts), opened(tiny_model, batch_size=1).embed_passages(texts), atol=1e-5
    )


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        opened(tmp_path)


def test_vectors_are_cut_and_have_length_1_again(tiny_model):
    whole, cut = opened(tiny_model), opened(tiny_model, dimensions=8)
    assert (cut.dimension, cut.embed_query("frost").shape) == (8, (8,))
    beginning = whole.embed_passages(["frost", "spring pump"])[:, :8]
    beginning /= np.linalg.norm(beginning, axis=1, keepdims=True)
    assert np.allclose(cut.embed_passages(["frost", "spring pump"]), beginning, atol=1e-5)
    assert cut.fingerprint != whole.fingerprint
    with pytest.raises(ConfigurationError, match="has 32 dimensions, and not 64"):
        opened(tiny_model, dimensions=64)
    with pytest.raises(ConfigurationError, match="not trained to have its vectors cut"):
        open_embedding(EmbeddingSettings(dimensions=64))


def test_a_known_model_has_its_prefixes_but_where_the_index_was_made_without(tiny_model, tmp_path, caplog):
    folder = tmp_path / "e5-small-v2"
    folder.symlink_to(tiny_model)
    known = opened(folder)
    assert np.allclose(known.embed_query("frost"), opened(tiny_model).embed_query("query: frost"), atol=1e-5)
    before = opened(folder, query_prefix="", passage_prefix="")
    adopt(known, before.fingerprint)
    assert known.fingerprint == before.fingerprint
    assert np.allclose(known.embed_query("frost"), before.embed_query("frost"), atol=1e-5)
    assert "`rag reindex` makes it with them" in caplog.text
    chosen = opened(folder, query_prefix="search: ")
    adopt(chosen, before.fingerprint)
    assert chosen.fingerprint != before.fingerprint
