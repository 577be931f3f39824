"""Clients of Ollama: its own one, over a real connection."""

from __future__ import annotations

import ollama
import pytest

from rag.api.compat.ollama import Call, CallOf, Turn, _arguments, _messages
from rag.api.openai.tools import MOST_TOOLS
from rag.types.chat import ToolCall
from tests.growth import assert_linear

QUESTION = "How often does the pump need oil?"
MODEL = "footnote/default"
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def client(served):
    with ollama.Client(served.url) as client:
        yield client


def test_models_are_listed_and_shown(client):
    names = [model.model for model in client.list().models]
    assert MODEL in names
    assert [model.model for model in client.ps().models] == names
    shown = client.show(MODEL)
    assert "completion" in shown.capabilities
    with pytest.raises(ollama.ResponseError, match="There is no model 'footnote/nothing'") as refused:
        client.show("footnote/nothing")
    assert refused.value.status_code == 404


@pytest.mark.parametrize("name", [MODEL, MODEL + ":latest"])
def test_a_chat_has_its_sources_in_the_text_and_beside_it(client, served, name):
    answer = client.chat(name, ASKED)
    text, _, sources = answer.message.content.partition("\n\n")
    assert text.startswith("Every 90 days [1].")
    assert sources.startswith(
        f"[1] Pump manual, p. 2: {served.url}/documents/{served.document_id('manual.pdf')}/source"
    )
    assert answer.done
    assert answer.done_reason == "stop"
    assert answer.eval_count
    assert answer.total_duration


def test_a_stream_says_the_same(client):
    whole = client.chat(MODEL, ASKED)
    pieces = list(client.chat(MODEL, ASKED, stream=True))
    assert len(pieces) > 3
    assert "".join(piece.message.content for piece in pieces) == whole.message.content
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_the_lines_of_the_sources_do_not_come_back_as_words_of_the_conversation(http):
    prompts = [
        http.post("/api/chat", json={"model": MODEL, "stream": False, "messages": turns}).json()["prompt_eval_count"]
        for answer in ("Every 90 days [1].", "Every 90 days [1].\n\n[1] Pump manual, p. 2: http://a/documents/x/source")
        for turns in [[*ASKED, {"role": "assistant", "content": answer}, {"role": "user", "content": "And the crate?"}]]
    ]
    assert prompts[0] == prompts[1]


def test_a_prompt_is_answered_from_the_documents(client):
    answer = client.generate(MODEL, QUESTION, options={"num_predict": 2, "top_k": -1, "num_ctx": 4096})
    assert answer.response.splitlines()[0] == "Every 90"
    assert answer.done_reason == "length"
    streamed = list(client.generate(MODEL, QUESTION, stream=True))
    assert "".join(piece.response for piece in streamed).startswith("Every 90 days [1].")
    assert streamed[-1].done


def test_who_says_nothing_loads_the_model(client):
    assert client.generate(MODEL).done_reason == "load"
    assert client.chat(MODEL).done_reason == "load"


def test_texts_are_embedded(client, served):
    name = served.services.index.embedding.name
    answer = client.embed(name, ["oil", "crate"])
    assert [len(vector) for vector in answer.embeddings] == [served.services.index.embedding.dimension] * 2
    assert client.embeddings(name, "oil").embedding == pytest.approx(answer.embeddings[0])


def test_what_is_wrong_is_told_in_a_sentence(client, http):
    with pytest.raises(ollama.ResponseError, match="temperature") as refused:
        client.chat(MODEL, ASKED, options={"temperature": 9})
    assert refused.value.status_code == 400
    assert "messages" in http.post("/api/chat", json={"model": MODEL, "messages": 3}).json()["error"]


def test_more_texts_than_openai_takes_get_no_vectors(http):
    refused = http.post("/api/embed", json={"model": "nothing", "input": ["pump"] * 2049})
    assert refused.status_code == 400
    assert "input" in refused.json()["error"]


def test_results_without_a_call_are_matched_in_linear_time():
    calling = Turn(role="assistant", tool_calls=[CallOf(function=Call(name="look"))] * MOST_TOOLS)
    result = Turn(role="tool", content="none", tool_name="other")

    assert_linear(lambda count: _messages([calling] * count + [result] * (20 * count)), 25)


def test_a_result_is_that_of_the_first_call_of_its_name_without_one():
    calls = [CallOf(function=Call(name=name)) for name in ("look", "count", "look")]
    results = [Turn(role="tool", tool_name=name) for name in ("count", "look", "")]
    messages = _messages([Turn(role="assistant", tool_calls=calls), *results])
    assert [message.tool_call_id for message in messages[1:]] == ["call_0_1", "call_0_0", "call_0_2"]


def test_arguments_nested_too_deep_are_handed_on_as_they_are():
    nested = "[" * 200_000
    assert _arguments(ToolCall(id="call_1", name="look", arguments=nested)) == {"invalid_json": nested}
