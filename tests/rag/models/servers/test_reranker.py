"""A reranker behind a server: its scores on one scale, whichever way it gives them."""

from __future__ import annotations

import math

import pytest
from fastapi.responses import JSONResponse, PlainTextResponse

from rag.errors import BackendError, BackendUnavailable, ConfigurationError
from rag.models.reranker import open_reranker
from rag.settings import RerankerSettings
from tests.rag.models.model_server import free_port

PASSAGES = ["the pump in spring", "a frost", "the pump needs oil in spring"]
QUESTION = "pump spring oil"


def overlap(body, passage):
    wanted = set(body["query"].split())
    return len(wanted & set(passage.split())) / len(wanted)


def as_jina(server, score=overlap, most_characters=10_000):
    """Jina, vLLM, LocalAI and llama-server, which gives logits."""

    def rerank(body):
        server.requests.append(body)
        if any(len(document) > most_characters for document in body["documents"]):
            message = "input (700 tokens) is too large to process. increase the physical batch size"
            return JSONResponse({"error": {"code": 500, "message": message}}, 500)
        scores = [(score(body, document), index) for index, document in enumerate(body["documents"])]
        results = [{"index": index, "relevance_score": value} for value, index in sorted(scores, reverse=True)]
        return JSONResponse({"model": "m", "results": results[: body["top_n"]], "usage": {}})

    server.posts["v1/rerank"] = rerank


def as_tei(server, most=32):
    def rerank(body):
        server.requests.append(body)
        if len(body["texts"]) > most:
            message = f"batch size {len(body['texts'])} > maximum allowed batch size {most}"
            return JSONResponse({"error": message, "error_type": "Validation"}, 422)
        scores = [(overlap(body, text), index) for index, text in enumerate(body["texts"])]
        return JSONResponse([{"index": index, "score": value} for value, index in sorted(scores, reverse=True)])

    server.posts["rerank"] = rerank


def opened(server, provider="jina", **settings):
    address = f"http://127.0.0.1:{server.port}"
    return open_reranker(RerankerSettings(provider=provider, **{"base_url": address, **settings}))


@pytest.mark.parametrize("base", ["", "/v1", "/v1/"])
def test_scores_are_those_of_the_passages_in_their_order(server, base):
    as_jina(server)
    reranker = opened(server, model="jina-reranker-v2", base_url=f"http://127.0.0.1:{server.port}{base}")
    assert reranker.score(QUESTION, PASSAGES) == pytest.approx([2 / 3, 0, 1])
    assert server.requests[-1]["model"] == "jina-reranker-v2"
    assert reranker.score(QUESTION, []) == []


@pytest.mark.parametrize("base", ["", "/v1"])
def test_tei_has_a_form_of_its_own_and_a_limit(server, base):
    as_tei(server, most=8)
    reranker = opened(server, "tei", base_url=f"http://127.0.0.1:{server.port}{base}")
    assert reranker.score(QUESTION, PASSAGES * 30) == pytest.approx([2 / 3, 0, 1] * 30)
    asked = len(server.requests)
    reranker.score(QUESTION, PASSAGES * 30)
    assert all(len(body["texts"]) <= 8 for body in server.requests[asked:])


def test_logits_become_scores_between_0_and_1(server):
    as_jina(server, lambda body, document: 8 * overlap(body, document) - 5)
    reranker = opened(server)
    scores = reranker.score(QUESTION, PASSAGES)
    assert scores[1] == pytest.approx(1 / (1 + math.exp(5)))
    assert scores[1] < scores[0] < scores[2] < 1
    [alone] = reranker.score(QUESTION, [PASSAGES[0]])  # a logit between 0 and 1, or near: known from before
    assert alone == pytest.approx(scores[0])


def test_passages_that_are_too_long_are_cut(server):
    as_jina(server, most_characters=300)
    scores = opened(server).score(QUESTION, [*PASSAGES, "spring pump " + "and so on " * 200])
    assert scores == pytest.approx([2 / 3, 0, 1, 2 / 3])


@pytest.mark.parametrize(
    "reply",
    [
        PlainTextResponse("<html>"),
        JSONResponse({"results": [{"index": 0, "relevance_score": 1}]}),
        JSONResponse({"results": [{"index": 0}, {"index": 1}, {"index": 2}]}),
        JSONResponse({"error": "no"}, 400),
        JSONResponse({"detail": "Not Found"}, 404),
    ],
)
def test_a_server_without_scores_is_an_error(server, reply):
    server.posts["v1/rerank"] = lambda body: reply
    with pytest.raises(BackendError) as caught:
        opened(server).score(QUESTION, PASSAGES)
    assert "RAG_RERANKER" in caught.value.hint or "log" in caught.value.hint


def test_a_server_that_is_away_is_left_alone_for_a_while(server):
    reranker = opened(server, base_url=f"http://127.0.0.1:{free_port()}")
    for problem in ("does not answer", "did not answer just now"):
        with pytest.raises(BackendUnavailable, match=problem):
            reranker.score(QUESTION, PASSAGES)


def test_there_must_be_an_address():
    with pytest.raises(ConfigurationError, match="has no address"):
        open_reranker(RerankerSettings(provider="tei"))
