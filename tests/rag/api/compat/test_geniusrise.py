"""Clients of Geniusrise's text server: its addresses and shapes."""

from __future__ import annotations

import httpx
import pytest

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving
from tests.rag.models.model_server import ModelServer, running

QUESTION = "How often does the pump need oil?"


@pytest.mark.parametrize("name", ["chat", "chat_vllm", "chat_llama_cpp"])
def test_a_prompt_or_a_conversation_is_answered(http, name):
    answer = http.post(f"/api/v1/{name}", json={"prompt": QUESTION, "max_tokens": 50, "retrieval": True}).json()
    assert answer["result"].startswith("Every 90 days [1].")
    assert answer["choices"][0]["message"]["content"] == answer["result"]
    assert answer["citations"]
    messages = [{"role": "user", "content": QUESTION}]
    cut = http.post(f"/api/v1/{name}", json={"messages": messages, "max_tokens": 2, "top_k": -1, "best_of": 3}).json()
    assert cut["result"] == "Every 90"


def test_documents_are_asked_only_where_this_is_said(http):
    def citations(**how):
        return http.post("/api/v1/chat", json={"prompt": QUESTION, **how}).json()["citations"]

    assert not citations()
    assert citations(retrieval=True)
    assert citations(mode="documents")
    assert citations(model="footnote/default")


def test_a_stream_is_openais(http):
    with http.stream("POST", "/api/v1/chat_vllm", json={"prompt": QUESTION, "stream": True}) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert len(lines) > 3
    assert lines[-1] == "data: [DONE]"


def test_what_cannot_be_done_is_refused(http):
    for body, param in (
        ({}, "messages"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "messages"),
        ({"prompt": "a", "n": 2}, "n"),
        ({"prompt": "a", "model": "footnote/nobody"}, None),
    ):
        refused = http.post("/api/v1/chat", json=body)
        assert refused.status_code in (400, 404)
        assert refused.json()["error"]["param"] == param


def test_what_the_client_wrote_reaches_the_model_and_its_system_turns_are_the_assistants(tmp_path):
    with running(ModelServer()) as model:
        llm = {"provider": "openai", "base_url": model.base_url, "script": ""}
        with serving(api_settings(tmp_path, **llm), []) as served:
            turns = [
                ("system", "You judge."),
                ("user", "What is 2 + 2?"),
                ("system", "5"),
                ("user", "Is that right? yes/no"),
            ]
            messages = [{"role": role, "content": content} for role, content in turns]
            body = {"messages": messages, "logit_bias": {"5": -100}}
            answer = httpx.post(f"{served.url}/api/v1/chat", json=body, auth=("a", "b"), timeout=30)
            assert answer.status_code == 200
    assert model.requests[-1]["logit_bias"] == {"5": -100}
    sent = model.requests[-1]["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "user"]
    assert [turn["content"] for turn in sent][1:] == [content for _, content in turns[1:]]
    assert "You judge." in sent[0]["content"]
