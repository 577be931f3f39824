"""How chunks are counted for a server: by the tokenizer at hand that counts as it does, else with caution."""

from __future__ import annotations

import pytest
from fastapi.responses import JSONResponse

from rag.models.embedding_base import bundled_tokenizer
from rag.text.tokenizers import CAUTIOUS, token_spans
from tests.rag.models.servers.embedding_server import MODEL, as_llama_server, as_tei, as_vllm, open_at

SENTENCE = "Notwithstanding clause 4.2 the manufacturer guarantees interchangeable heating elements (5 years)."


def as_bert(server, kind):
    """The server counts with the vocabulary of the default model."""
    spans = token_spans(bundled_tokenizer())
    kind(server)
    reply = {
        as_tei: lambda body: [[{"id": 1}] * len(spans(body["inputs"]))],
        as_vllm: lambda body: {"count": len(spans(body["prompt"])), "tokens": []},
        as_llama_server: lambda body: {"tokens": [1] * len(spans(body["content"]))},
    }[kind]
    server.posts["tokenize"] = lambda body: JSONResponse(reply(body))


@pytest.mark.parametrize("kind", [as_tei, as_vllm, as_llama_server])
def test_a_tokenizer_at_hand_that_counts_alike_is_taken(server, kind):
    as_bert(server, kind)
    embedding = open_at(server)
    assert embedding.tokenizer == bundled_tokenizer()
    assert not embedding.is_multilingual


@pytest.mark.parametrize("kind", [as_tei, as_vllm, as_llama_server])
def test_else_the_estimate_never_counts_less_than_the_server(server, kind):
    kind(server)  # a word is a token
    embedding = open_at(server)
    assert embedding.tokenizer == "estimate 7 7"
    assert len(token_spans(embedding.tokenizer)(SENTENCE)) >= len(SENTENCE.split())
    server.posts["tokenize"] = lambda body: JSONResponse({"tokens": [1] * len(next(iter(body.values())))})
    assert embedding.max_tokens == (512 if kind is as_llama_server else 64)


def test_a_server_whose_tokens_are_letters_makes_chunks_short(server):
    as_llama_server(server)
    server.posts["tokenize"] = lambda body: JSONResponse({"tokens": [1] * len("".join(body["content"].split()))})
    assert open_at(server).tokenizer == "estimate 1 1"


def test_without_a_tokenizer_the_name_tells_or_caution_does(server):
    assert open_at(server).tokenizer == CAUTIOUS
    assert open_at(server).max_tokens == 512
    known = open_at(server, model="mxbai-embed-large:latest")
    assert known.tokenizer == bundled_tokenizer()
    assert open_at(server, model="all-minilm").max_tokens == 256


def test_the_rest_of_a_server_may_misbehave(server):
    as_vllm(server)
    server.facts |= {"info": ["?"], "props": 7, "v1/models": {"data": [{"id": MODEL, "max_model_len": "many"}, None]}}
    server.posts["tokenize"] = lambda body: JSONResponse({"tokens": None, "count": "?"})
    assert open_at(server).tokenizer == CAUTIOUS


def test_the_prefix_is_counted(server):
    as_vllm(server)
    assert open_at(server, passage_prefix="passage: ").max_tokens < open_at(server).max_tokens
