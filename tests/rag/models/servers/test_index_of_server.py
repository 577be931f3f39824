"""An index whose vectors come from a server: it stays the same through restarts, and notices another model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from ingest.ingestor import Ingestor
from ingest.reindex import Reindexing
from ingest.sandbox import Sandbox
from rag.answering.engine import ChatEngine
from rag.answering.replies import reply_to
from rag.errors import IndexMismatch
from rag.models.embedding import LazyEmbedding, is_configured, open_embedding
from rag.models.llm import open_language_model
from rag.models.reranker import open_reranker
from rag.operations.doctor import examine
from rag.operations.services import Services, open_index
from rag.retrieval.retriever import HybridRetriever
from rag.settings import RerankerSettings, RetrievalSettings, Settings
from rag.types.documents import Message
from tests.rag.api.serving import serving, write_documents
from tests.rag.index.test_index import scope
from tests.rag.models.model_server import free_port
from tests.rag.models.servers.embedding_server import EmbeddingServer, open_at, settings_of

QUESTION = "How often does the pump need oil?"


@pytest.fixture
def settings(tmp_path, server):
    return Settings(
        _env_file=None,
        storage={"dir": tmp_path / "storage"},
        embedding=settings_of(server).model_dump(),
        llm={"provider": "scripted"},
        retrieval={"min_relevance": 0},
    )


@pytest.fixture
def folder(tmp_path):
    return write_documents(tmp_path / "documents")


def ingest(settings, index, folder):
    with Ingestor(settings, index) as ingestor:
        return [progress.report.outcome for progress in ingestor.add_paths([folder]) if progress.report]


def test_documents_are_found_after_a_restart_of_a_server_that_rounds_otherwise(settings, server, folder):
    with open_index(settings) as index:
        assert ingest(settings, index, folder) == ["added"] * 3
    server.noise = 0.002
    asked = len(server.inputs)
    with open_index(settings) as index:
        assert ingest(settings, index, folder) == ["unchanged"] * 3
        assert len(server.inputs) == asked + 12  # the texts that a model is known by
        assert len(index.search_dense(QUESTION, scope(index), 10)) == 5


@pytest.mark.slow
def test_another_model_behind_the_name_is_an_error_until_the_index_is_made_anew(settings, server, folder):
    with open_index(settings) as index:
        ingest(settings, index, folder)
    server.turn = 1
    with pytest.raises(IndexMismatch, match="it is another model by now") as caught, open_index(settings):
        pass
    assert "`rag reindex`" in caught.value.hint
    with Services(settings) as services, Sandbox(settings.ingest) as sandbox:
        made = Reindexing(services.dormant_index, sandbox, settings.ingest, open_embedding(settings.embedding))
        assert list(made)[-1].chunks == 5
    with open_index(settings) as index:
        best, cosine = index.search_dense("The pump needs oil every 90 days.", scope(index), 1)[0]
        assert cosine > 0.8
        assert "manual.pdf" in index.live_chunks([best], scope(index))[best].source


def test_an_archive_of_the_model_is_taken_and_of_another_is_not(settings, server):
    made_with = open_at(server).fingerprint
    server.noise = 0.002
    assert is_configured(settings.embedding, "whatever it was called", made_with)
    lazy = LazyEmbedding(settings.embedding, "test", made_with)
    assert lazy.embed_passages(["frost"]).shape == (1, 512)
    server.turn = 1
    assert not is_configured(settings.embedding, "test", made_with)
    with pytest.raises(IndexMismatch):
        LazyEmbedding(settings.embedding, "test", made_with).embed_query("frost")


# ----------------------------------------------------------------------------------------------- Footnote as the server


@pytest.mark.slow  # loads the real model, twice
def test_another_footnote_gives_the_vectors_and_the_hits_of_its_own_model(tmp_path, minilm, folder):
    theirs = Settings(
        _env_file=None,
        storage={"dir": tmp_path / "theirs"},
        embedding={"device": "cpu"},
        llm={"provider": "scripted"},
    )
    with serving(theirs, [folder]) as served:
        embedding = {"provider": "openai", "base_url": f"{served.url}/v1", "model": minilm.name}
        ours = Settings(_env_file=None, storage={"dir": tmp_path / "ours"}, embedding=embedding)
        with open_index(ours) as index:
            texts = ["The pump needs oil every 90 days.", "naïve café", "x " * 2000]
            assert np.allclose(index.embedding.embed_passages(texts), minilm.embed_passages(texts), atol=1e-5)
            known = (index.embedding.max_tokens, index.embedding.tokenizer, index.embedding.is_multilingual)
            assert known == (minilm.max_tokens, minilm.tokenizer, False)
            assert index.embedding.similarity_scale == minilm.similarity_scale
            assert ingest(ours, index, folder) == ["added"] * 3
            mine = index.search_dense(QUESTION, scope(index), 10)
            own = served.services.index.search_dense(QUESTION, scope(served.services.index), 10)
            assert [score for _, score in mine] == pytest.approx([score for _, score in own], abs=1e-5)


# ------------------------------------------------------------------------------------------------ a reranker that fails


async def test_a_reranker_that_fails_leaves_the_order_of_the_search_and_that_is_told(settings, folder, caplog):
    dead = RerankerSettings(provider="tei", base_url=f"http://127.0.0.1:{free_port()}")
    with open_index(settings) as index:
        ingest(settings, index, folder)
        plain, failing = (
            HybridRetriever(index, RetrievalSettings(), reranker) for reranker in (None, open_reranker(dead))
        )
        hits = await failing.retrieve(QUESTION, scope(index), 5)
        assert [hit.chunk.id for hit in hits] == [
            hit.chunk.id for hit in await plain.retrieve(QUESTION, scope(index), 5)
        ]
        assert "The order is that of the search: The reranker at" in caplog.text
        answer = partial(ChatEngine(failing, open_language_model(settings), settings).answer, scope=scope(index))
        answered = await answer([Message("user", QUESTION)])
        assert answered.notices[-1] == "not_reranked"
        assert answered.text.endswith(reply_to(QUESTION, "not_reranked"))


# --------------------------------------------------------------------------------------------------------------- doctor


def test_doctor_asks_the_servers(settings, server):
    reranker = {"provider": "tei", "base_url": f"http://127.0.0.1:{free_port()}"}
    checks = {c.subject: c for c in examine(settings.model_copy(update={"reranker": RerankerSettings(**reranker)}))}
    assert checks["Embedding model"].ok
    assert checks["Embedding model"].summary.startswith(f"test-embedding at {server.base_url}, 512 dimensions")
    assert not checks["Reranker"].ok
    assert "RAG_RERANKER__BASE_URL" in checks["Reranker"].advice


@pytest.mark.slow
def test_doctor_tells_of_a_server_that_is_away(settings):
    away = settings_of(EmbeddingServer())
    checks = {c.subject: c for c in examine(settings.model_copy(update={"embedding": away}))}
    assert not checks["Embedding model"].ok
    assert "does not answer" in checks["Embedding model"].summary
    assert "RAG_EMBEDDING__BASE_URL" in checks["Embedding model"].advice
