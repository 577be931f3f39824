"""Any embedding class of llama-index makes the vectors, by a function of one's own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rag.errors import BackendError, ConfigurationError
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
from tests.commands import ROOT, Commands
from tests.rag.models.own_embeddings import WORDS

OWN = "tests.rag.models.own_embeddings"


def opened(function="of_words", **settings):
    return open_embedding(EmbeddingSettings(provider=f"{OWN}:{function}", **settings))


def test_its_vectors_become_units():
    embedding = opened(options={"length": 5.0})
    texts = ["The pump needs oil.", "The heron nests.", ""]
    assert embedding.name == "of-words"
    np.testing.assert_allclose(embedding.embed_passages(texts), WORDS.embed_passages(texts), atol=1e-6)
    np.testing.assert_allclose(embedding.embed_query(texts[0]), WORDS.embed_query(texts[0]), atol=1e-6)
    assert embedding.dimension == WORDS.dimension
    assert embedding.fingerprint != opened(query_prefix="query: ").fingerprint


def test_prefixes_and_dimensions_are_those_of_the_settings():
    embedding = opened(query_prefix="find ", passage_prefix="text ", dimensions=256)
    text = "the oil that every pump wants in spring"
    cut = WORDS.embed_query(f"find {text}")[:256]
    np.testing.assert_allclose(embedding.embed_query(text), cut / np.linalg.norm(cut), atol=1e-6)
    assert embedding.embed_passages([text, "wood"]).shape == (2, 256)
    assert embedding.dimension == 256


def test_a_failure_is_told_without_the_secret(monkeypatch):
    monkeypatch.setenv("OWN_KEY", "wrong-and-secret")
    with pytest.raises(BackendError, match="of-words failed") as caught:
        opened(options={"key": {"env": "OWN_KEY"}})
    assert "wrong-and-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("nothing_of_the_kind", "not an embedding model of llama-index"),
        ("missing", "is no function"),
        ("without_vectors", "gave no vectors"),
    ],
)
def test_what_is_no_embedding_model_is_told(function, why):
    with pytest.raises((ConfigurationError, BackendError), match=why):
        opened(function)


@pytest.mark.slow
def test_documents_are_taken_in_and_found_with_it(tmp_path):
    (tmp_path / "note.md").write_text("The pump needs oil every 90 days.")
    environment = {"RAG_EMBEDDING__PROVIDER": f"{OWN}:of_words", "PYTHONPATH": str(ROOT)}
    commands = Commands(tmp_path)
    commands.environment.update(environment)
    commands.run("ingest", "note.md")
    found = json.loads(commands.run("rag", "search", "pump oil", "--json").stdout)
    assert "90 days" in json.dumps(found)
    commands.environment["RAG_EMBEDDING__OPTIONS"] = '{"length": 7}'  # the same vectors
    commands.run("rag", "search", "pump oil")
    del commands.environment["RAG_EMBEDDING__PROVIDER"], commands.environment["RAG_EMBEDDING__OPTIONS"]
    refused = commands.run("rag", "search", "pump oil", code=2)
    assert "of-words" in refused.stderr
