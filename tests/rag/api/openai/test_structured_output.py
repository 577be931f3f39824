"""Replies in the form that a program asks for, by OpenAI's own client."""

from __future__ import annotations

import json
from typing import Literal

import openai
import pytest
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import ModelServer, running, stream

MESSAGES = [{"role": "user", "content": "How often does the pump need oil?"}]
GREETING = [{"role": "user", "content": "good morning"}]
NOWHERE = [{"role": "user", "content": "Who painted the purple umbrellas of Lisbon?"}]
JSON = {"days": 90, "what": "oil", "sources": [1, 2], "unit": "days"}


class Interval(BaseModel):
    """What is asked for."""

    days: int
    what: str
    sources: list[int]
    unit: Literal["days", "hours"]


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("structured"), ModelServer()
    with running(model):
        settings = api_settings(folder, provider="openai", base_url=model.base_url)
        with serving(settings, [write_documents(folder / "documents")]) as served:
            yield model, served


@pytest.fixture
def model(behind):
    model, _ = behind
    model.requests.clear()
    text = json.dumps(JSON)
    model.reply = lambda _, body: stream([text[start : start + 7] for start in range(0, len(text), 7)], body)
    return model


@pytest.fixture
def client(behind, model):
    with openai.OpenAI(base_url=f"{behind[1].url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("messages", [MESSAGES, GREETING, NOWHERE])
def test_a_schema_reaches_the_model_and_nothing_but_its_json_comes_back(client, model, messages):
    answer = client.chat.completions.parse(model="tiny", messages=messages, response_format=Interval)
    assert answer.choices[0].message.parsed == Interval(**JSON)
    assert json.loads(answer.choices[0].message.content) == JSON
    (request,) = model.requests
    assert request["response_format"]["json_schema"]["name"] == "Interval"
    assert request["response_format"]["json_schema"]["strict"] is True
    assert '"days"' in request["messages"][0]["content"]


def test_the_values_have_footnotes_beside_the_json(client):
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, response_format={"type": "json_object"}
    ).model_dump()
    assert answer["citations"][0]["quote"] == "The pump needs oil every 90 days."
    assert (answer["claims"], answer["notices"]) == ([], [])


def test_responses_take_the_form_as_text_format(client, model):
    answer = client.responses.parse(model="tiny", input="How often does the pump need oil?", text_format=Interval)
    assert answer.output_parsed == Interval(**JSON)
    assert answer.text.format.name == "Interval"
    (request,) = model.requests
    assert request["response_format"]["json_schema"]["schema"]["required"] == list(JSON)


def test_a_server_that_cannot_is_an_error_and_no_prose(client, model):
    model.reply = lambda _, body: JSONResponse({"error": {"message": "response_format is not supported"}}, 400)
    with pytest.raises(openai.APIStatusError, match="response_format"):
        client.chat.completions.parse(model="tiny", messages=MESSAGES, response_format=Interval)
    assert all("response_format" in request for request in model.requests)


@pytest.mark.parametrize("mode", ["summarize", "plan", "compare", "route"])
def test_modes_of_several_calls_have_no_form(client, mode):
    with pytest.raises(openai.BadRequestError, match="No response format can be kept"):
        client.chat.completions.create(
            model="tiny",
            messages=MESSAGES,
            response_format={"type": "json_object"},
            extra_body={"footnote": {"mode": mode}},
        )


def test_a_form_without_a_schema_is_no_form(client):
    with pytest.raises(openai.BadRequestError, match="json_schema"):
        client.chat.completions.create(model="tiny", messages=MESSAGES, response_format={"type": "json_schema"})


def test_a_form_without_a_name_is_none_in_responses_either(client):
    with pytest.raises(openai.BadRequestError, match="name"):
        client.responses.create(model="tiny", input="oil?", text={"format": {"type": "json_schema", "schema": {}}})


@pytest.mark.parametrize("name", ["response_format", "max_tokens", "n", "stream", "tools", "tool_choice", "footnote"])
def test_null_means_absent(client, model, name):
    body = {"model": "tiny", "messages": MESSAGES, name: None}
    assert client.post("/chat/completions", body=body, cast_to=object)["choices"]
    assert "response_format" not in model.requests[0]


@pytest.mark.parametrize("name", ["include", "tools", "store", "stream", "text", "metadata", "tool_choice"])
def test_null_means_absent_in_responses(client, name):
    answer = client.post("/responses", body={"model": "tiny", "input": "oil?", name: None}, cast_to=object)
    assert answer["status"] == "completed"


def test_no_limit_is_minus_one_for_some(client):
    assert client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=-1).choices


def test_without_a_model_there_is_no_json(tmp_path):
    settings = api_settings(tmp_path, provider="quotes")
    with (
        serving(settings, [write_documents(tmp_path / "documents")]) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client,
        pytest.raises(openai.BadRequestError, match="cannot be held to a response format"),
    ):
        client.chat.completions.parse(model="quotes", messages=MESSAGES, response_format=Interval)
