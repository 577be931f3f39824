"""OpenAI's chat, asked by the official client, and by clients that make mistakes."""

from __future__ import annotations

import json
import time

import httpx
import openai
import pytest
from fastapi.responses import JSONResponse

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import ModelServer, chunk, endless, events, running

QUESTION = [{"role": "user", "content": "How often does the pump need oil?"}]
REPLY = "Every 90 days [1]. Nothing. Again [1]."


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def check_sources(annotations, citations, text, served):
    """Both forms of the sources point at the page where the answer stands."""
    (citation,) = citations
    document = served.document_id("manual.pdf")
    url = f"{served.url}/documents/{document}/source#page=2"
    expected = {"number": 1, "document_id": document, "title": "Pump manual", "page_index": 1, "page_label": "2"}
    assert citation.items() >= {**expected, "quote": "The pump needs oil every 90 days.", "url": url}.items()
    assert citation["source"].endswith("manual.pdf")
    assert citation["end"] - citation["start"] == len(citation["quote"])
    assert len(annotations) == 2
    for annotation in annotations:
        assert annotation["type"] == "url_citation"
        place = annotation["url_citation"]
        assert text[place["start_index"] : place["end_index"]] == "[1]"
        assert (place["title"], place["url"]) == ("Pump manual, p. 2", url)


CLAIM = {
    "text": "Every 90 days [1].",
    "start": 0,
    "end": 18,
    "numbers": [1],
    "verdict": "supported",
    "reason": "",
    "attributed": False,
}


def test_models(client, served):
    models = client.models.list().data
    assert [model.id for model in models] == ["scripted", "footnote/default", "chat/scripted", "bag-of-words"]
    assert all(time.time() - 3600 < model.created <= time.time() for model in models)
    assert [client.models.retrieve(model.id) for model in models] == models
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("footnote/nobody")


@pytest.mark.parametrize("name", ["gpt-4o", "local-model", "openai/mistral"])
@pytest.mark.parametrize("stream", [True, False])
def test_any_name_is_taken_for_the_only_model_and_a_header_says_so(client, name, stream):
    answer = client.chat.completions.with_raw_response.create(model=name, messages=QUESTION, stream=stream)
    assert answer.headers["x-footnote-model"] == "scripted"
    assert '"answered_by":"scripted"' in answer.http_response.read().decode().replace(": ", ":")
    response = client.responses.with_raw_response.create(model=name, input="When?", stream=stream)
    assert response.headers["x-footnote-model"] == "scripted"
    assert client.models.retrieve(name).id == name
    for known in ("scripted", "footnote/default", "chat/scripted"):
        answer = client.chat.completions.with_raw_response.create(model=known, messages=QUESTION)
        assert "x-footnote-model" not in answer.headers


def test_a_name_says_whether_the_documents_are_asked(client):
    alone = client.chat.completions.create(model="chat/scripted", messages=QUESTION)
    assert (alone.model, alone.answered_by, alone.citations) == ("chat/scripted", "scripted", [])
    named = {"vector_store_ids": ["default"]}
    assert client.chat.completions.create(model="chat/scripted", messages=QUESTION, extra_body=named).citations
    tool = {"type": "file_search", "vector_store_ids": ["default"]}
    searched = client.responses.create(model="chat/scripted", input=QUESTION[0]["content"], tools=[tool])
    assert searched.output[-1].content[0].annotations


def test_the_embedding_model_is_asked_for_no_answer(client):
    with pytest.raises(openai.NotFoundError, match="/v1/embeddings"):
        client.chat.completions.create(model="bag-of-words", messages=QUESTION)


@pytest.mark.parametrize("model", ["scripted", "footnote/default"])
def test_a_whole_answer(client, served, model):
    answer = client.chat.completions.create(model=model, messages=QUESTION)
    (choice,) = answer.choices
    assert choice.message.content == REPLY
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.model == model
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens == 8
    annotations = [annotation.model_dump() for annotation in choice.message.annotations]
    check_sources(annotations, answer.model_dump()["citations"], choice.message.content, served)
    assert answer.model_dump()["claims"] == [CLAIM]


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream(client, served, include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(client.chat.completions.create(model="scripted", messages=QUESTION, stream=True, **options))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    with_choices = [chunk for chunk in chunks if chunk.choices]
    assert with_choices[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in with_choices) == REPLY
    assert len(with_choices) > 5, "it streams"
    assert [c.choices[0].finish_reason for c in with_choices if c.choices[0].finish_reason] == ["stop"]
    last = with_choices[-1].model_dump()
    check_sources(last["choices"][0]["delta"]["annotations"], last["citations"], REPLY, served)
    assert last["claims"] == [CLAIM]
    if include_usage:
        assert chunks[-1].choices == []
        assert chunks[-1].usage.completion_tokens == 8
    else:
        assert all(chunk.usage is None for chunk in chunks)


async def test_the_async_client(served):
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        answer = await client.chat.completions.create(model="scripted", messages=QUESTION, max_tokens=3)
        assert answer.choices[0].finish_reason == "length"
        assert answer.choices[0].message.content == "Every 90 days"
        stream = await client.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
        text = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(text) == REPLY


def test_content_in_parts_history_and_unknown_fields_are_understood(client, served):
    parts = [{"type": "text", "text": "How often does "}, {"type": "text", "text": "the pump need oil?"}]
    messages = [
        {"role": "developer", "content": "Be a pirate."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Ahoy"},
        {"role": "user", "content": parts, "name": "somebody"},
    ]
    client.chat.completions.create(
        model="scripted", messages=messages, seed=1, top_p=0.5, user="me", extra_body={"unknown": {"deep": 1}}
    )
    prompt = served.services.model.llm.prompts[-1]
    assert prompt.startswith("system: Be a pirate.")
    assert prompt.endswith("user: How often does the pump need oil?")
    assert "assistant: Ahoy" in prompt


# -------------------------------------------------------------------------------------------------------- mistakes


def test_an_unknown_model_is_not_found_and_the_known_ones_named(client):
    with pytest.raises(openai.NotFoundError, match="footnote/default") as raised:
        client.chat.completions.create(model="footnote/nobody", messages=QUESTION)
    assert raised.value.body["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "maybe"}, "stream"),
        ({"n": 2}, "n"),
        ({"model": 5}, "model"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_request_is_told_which_field(served, body, param, stream):
    whole = {"model": "scripted", "messages": QUESTION, "stream": stream, **body}
    response = httpx.post(f"{served.url}/v1/chat/completions", json=whole)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["param"] or "").startswith(param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"model": "scripted"}'])
def test_a_body_that_is_no_request(served, body):
    headers = {"content-type": "application/json"}
    response = httpx.post(f"{served.url}/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["message"]


def test_a_question_longer_than_the_window_is_a_bad_request(tmp_path):
    settings = api_settings(tmp_path, context_window=400)
    with serving(settings, [write_documents(tmp_path / "documents")]) as served:
        body = {"model": "scripted", "messages": [{"role": "user", "content": "oil " * 500}], "stream": True}
        response = httpx.post(f"{served.url}/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages"


# -------------------------------------------------------------------------------------------- failing model servers


@pytest.fixture
def behind(tmp_path):
    """Our server in front of a model server."""
    model = ModelServer()
    settings = api_settings(tmp_path, provider="openai", base_url=model.base_url)
    with running(model), serving(settings, [write_documents(tmp_path / "documents")]) as served:
        yield model, served


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_fails_before_the_first_word_gives_its_status(behind, stream):
    model, served = behind
    model.reply = lambda *_: JSONResponse({"error": {"message": "out of memory"}}, 500)
    with (
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="tiny", messages=QUESTION, stream=stream)
    assert raised.value.status_code == 502
    assert raised.value.body["code"] == "backend_failed"
    assert raised.value.body["type"] == "server_error"
    ready = httpx.get(f"{served.url}/readyz")
    assert ready.status_code == 200


def test_a_model_that_fails_after_the_first_word_ends_the_stream_with_an_error(behind):
    model, served = behind

    async def breaks():
        yield chunk("Every ")
        yield chunk("90 days ")
        yield b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'

    model.reply = lambda *_: events(breaks())
    body = {"model": "tiny", "messages": QUESTION, "stream": True}
    lines = httpx.post(f"{served.url}/v1/chat/completions", json=body).text.split("\n\n")
    sent = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert sent[-1]["error"]["type"] == "server_error"
    assert sent[-1]["error"]["message"]
    assert "".join(s["choices"][0]["delta"].get("content") or "" for s in sent[:-1]) == "Every 90 days"
    with (
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client,
        pytest.raises(openai.APIError),
    ):
        list(client.chat.completions.create(model="tiny", messages=QUESTION, stream=True))


def test_a_client_that_leaves_a_stream_stops_the_model(behind):
    model, served = behind
    model.reply = endless(model)
    body = {"model": "tiny", "messages": QUESTION, "stream": True}
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    assert model.left.wait(10)


def test_a_client_that_leaves_while_the_answer_is_written_stops_the_model(behind):
    model, served = behind
    model.reply = endless(model)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.url}/v1/chat/completions", json={"model": "tiny", "messages": QUESTION}, timeout=2)
    assert model.left.wait(10)


def test_without_the_model_server_the_application_lives_but_is_not_ready(tmp_path):
    model = ModelServer()
    settings = api_settings(tmp_path, provider="openai", base_url=model.base_url)
    with serving(settings, [write_documents(tmp_path / "documents")]) as served:
        assert httpx.get(f"{served.url}/healthz").status_code == 200
        ready = httpx.get(f"{served.url}/readyz")
        assert ready.status_code == 503
        assert model.base_url in ready.json()["status"]
        body = {"model": "footnote/default", "messages": QUESTION}
        for stream in (True, False):
            response = httpx.post(f"{served.url}/v1/chat/completions", json={**body, "stream": stream})
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "backend_unavailable"
        names = [entry["id"] for entry in httpx.get(f"{served.url}/v1/models").json()["data"]]
        assert all(names), "a model without a name cannot be asked for"
        with running(model):
            assert httpx.get(f"{served.url}/readyz").status_code == 200
            answer = httpx.post(f"{served.url}/v1/chat/completions", json={**body, "model": names[0]})
            assert answer.status_code == 200
