"""Clients of TGI: Hugging Face's own one, over a real connection."""

from __future__ import annotations

import pytest
from huggingface_hub import InferenceClient

QUESTION = "How often does the pump need oil?"


@pytest.fixture
def client(served):
    return InferenceClient(f"{served.url}/generate")


def test_a_prompt_is_answered_from_the_documents(client, http):
    assert client.text_generation(QUESTION).startswith("Every 90 days [1].")
    answer = client.text_generation(QUESTION, details=True, max_new_tokens=2)
    assert answer.generated_text == "Every 90"
    assert answer.details.finish_reason == "length"
    (listed,) = http.post("/", json={"inputs": QUESTION}).json()  # as its own client wants it
    assert listed["generated_text"] == client.text_generation(QUESTION)
    beside = http.post("/generate", json={"inputs": QUESTION}).json()
    assert beside["citations"][0]["title"] == "Pump manual"


def test_a_stream_ends_with_the_whole(client, http):
    pieces = list(client.text_generation(QUESTION, stream=True, details=True))
    assert "".join(piece.token.text for piece in pieces) == pieces[-1].generated_text
    assert [piece.generated_text is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    with http.stream("POST", "/generate_stream", json={"inputs": QUESTION}) as streamed:
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert sum(line.startswith("data:") for line in streamed.iter_lines()) == len(pieces)


def test_the_prompt_is_given_back_where_this_is_wanted(client):
    assert client.text_generation(QUESTION, return_full_text=True).startswith(QUESTION + "Every 90 days")


def test_what_answers_is_told(http, served):
    assert http.get("/info").json()["model_id"] == served.services.model.name


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": ""}, "inputs"),
        ({"inputs": "a", "parameters": {"temperature": 9}}, "temperature"),
        ({"inputs": "a", "parameters": {"grammar": {"type": "regex", "value": "a"}}}, "grammar"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(http, body, words):
    refused = http.post("/generate", json=body)
    assert refused.status_code == 400
    assert words in refused.json()["error"]
