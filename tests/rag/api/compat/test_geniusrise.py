"""Clients of Geniusrise's text server: its addresses and shapes."""

from __future__ import annotations

import pytest

QUESTION = "How often does the pump need oil?"


@pytest.mark.parametrize("name", ["chat", "chat_vllm", "chat_llama_cpp"])
def test_a_prompt_or_a_conversation_is_answered(http, name):
    answer = http.post(f"/api/v1/{name}", json={"prompt": QUESTION, "max_tokens": 50}).json()
    assert answer["result"].startswith("Every 90 days [1].")
    assert answer["choices"][0]["message"]["content"] == answer["result"]
    messages = [{"role": "user", "content": QUESTION}]
    cut = http.post(f"/api/v1/{name}", json={"messages": messages, "max_tokens": 2, "top_k": -1, "best_of": 3}).json()
    assert cut["result"] == "Every 90"


def test_nothing_asked_is_refused(http):
    for body in ({}, {"prompt": "a", "messages": [{"role": "user", "content": "b"}]}):
        refused = http.post("/api/v1/chat", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
