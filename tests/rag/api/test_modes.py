"""Several models, personas and modes through the API and the command line's way to the server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import openai
import pytest

from rag.api.openai.chat_completions import ChatRequest
from rag.operations.control_protocol import AskRequest
from rag.operations.server_client import ServerClient
from rag.settings import ModelsSettings
from rag.storage.lock import Owner
from rag.types.documents import AnswerCompleted, Candidate, Message
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import SECRET, serving, write_documents
from tests.rag.models.model_server import free_port

QUESTION = [{"role": "user", "content": "How often does the pump need oil?"}]
MODELS = """
default = "small"

[[model]]
name = "large"
provider = "scripted"
script = "Large. Every 90 days [1]."

[[model]]
name = "small"
provider = "scripted"
script = "Small. Every 90 days [1]."

[[model]]
name = "hidden"
provider = "scripted"
script = "Hidden. Every 90 days [1]."
visible = false

[[model]]
name = "gone"
provider = "openai"
base_url = "http://127.0.0.1:PORT/v1"
visible = false

[[persona]]
name = "Pirate"
instructions = "Speak like a pirate."
examples = "examples.jsonl"
model = "large"
temperature = 0.7
"""
EXAMPLE = {"question": "Is it raining?", "answer": "Arr, aye!"}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Our server with several models and a persona."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "models.toml").write_text(MODELS.replace("PORT", str(free_port())))
    (folder / "examples.jsonl").write_text(json.dumps(EXAMPLE))
    file = ModelsSettings(file=str(folder / "models.toml"))
    settings = api_settings(folder).model_copy(update={"models": file})
    with serving(settings, [write_documents(folder / "documents")]) as served:
        yield served


@pytest.fixture
def client(several):
    with openai.OpenAI(base_url=f"{several.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def remote(several):
    return ServerClient(Owner(0, several.url, SECRET))


def asked(client, model, **footnote):
    return client.chat.completions.create(model=model, messages=QUESTION, extra_body={"footnote": footnote})


def last_prompt(several, model):
    return several.services.models.get(model).llm.prompts[-1]


def test_the_default_model_is_listed_first_and_hidden_ones_not_at_all(client):
    assert [model.id for model in client.models.list()] == [
        *("small", "large", "footnote/default", "chat/small", "chat/large", "bag-of-words")
    ]
    assert client.models.retrieve("hidden").id == "hidden"


@pytest.mark.parametrize("name", ["gpt-4o", "chat/gpt-4o"])
def test_of_several_models_none_is_taken_for_another(client, name):
    with pytest.raises(openai.NotFoundError, match="There are: small, large, footnote/default"):
        asked(client, name)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(name)


def test_any_model_can_be_asked_alone(several, client):
    answer = asked(client, "chat/hidden")
    assert (answer.answered_by, answer.citations) == ("hidden", [])
    assert "oil every" not in last_prompt(several, "hidden")


@pytest.mark.parametrize("model", ["small", "large", "hidden"])
def test_the_model_that_is_named_answers(several, client, model):
    answer = asked(client, model, collection="default")
    assert answer.choices[0].message.content == f"{model.capitalize()}. Every 90 days [1]."
    assert answer.model == answer.answered_by == model
    assert "pirate" not in last_prompt(several, model)


def test_a_collection_is_asked_as_its_persona(several, client):
    answer = asked(client, "footnote/default")
    assert answer.answered_by == "large"
    prompt = last_prompt(several, "large")
    assert prompt.startswith("system: Speak like a pirate.")
    assert f"user: {EXAMPLE['question']}\n\nassistant: {EXAMPLE['answer']}\n\nuser: {QUESTION[0]['content']}" in prompt


def test_a_chat_without_documents(several, client):
    answer = asked(client, "small", mode="chat")
    assert answer.citations == []
    assert "<source" not in last_prompt(several, "small")


def test_a_comparison_is_one_answer_to_any_client(client):
    answer = asked(client, "footnote/default", mode="compare", models=["small", "large"])
    (choice,) = answer.choices
    assert choice.message.content == "Small. Every 90 days [1]."
    assert [c["model"] for c in answer.candidates] == ["small", "large"]
    assert answer.candidates[1]["content"] == "Large. Every 90 days [1]."
    assert answer.candidates[1]["citations"][0]["page_index"] == 1
    stream = client.chat.completions.create(
        model="small", messages=QUESTION, stream=True, extra_body={"footnote": {"mode": "compare"}}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Small. Every 90 days [1]."
    assert {chunk.choices[0].index for chunk in chunks} == {0}
    assert sorted(c["content"] for c in chunks[-1].candidates) == [
        "Large. Every 90 days [1].",
        "Small. Every 90 days [1].",
    ]


def test_progress_is_a_comment_that_clients_skip(several, client):
    body = {"model": "small", "messages": QUESTION, "stream": True, "footnote": {"mode": "summarize"}}
    lines = httpx.post(f"{several.url}/v1/chat/completions", json=body).text.split("\n\n")
    assert any(re.fullmatch(r": Reading \d+ pages in 3 documents \(\d+ of \d+\)", line) for line in lines), lines
    assert all(line.startswith((":", "data:")) for line in lines if line)
    stream = client.chat.completions.create(
        model="small", messages=QUESTION, stream=True, extra_body={"footnote": {"mode": "summarize"}}
    )
    assert "Small. Every 90 days" in "".join(chunk.choices[0].delta.content or "" for chunk in stream)


@pytest.mark.parametrize(
    ("model", "footnote", "param"),
    [
        ("small", {"mode": "guess"}, "footnote.mode"),
        ("small", {"models": ["small", "large"]}, "footnote.models"),
        ("footnote/default", {"collection": "other"}, "footnote.collection"),
        ("small", {"mode": "compare", "models": ["small"]}, "models"),
        ("small", {"mode": "route"}, "mode"),
    ],
)
def test_what_cannot_be_done_is_said(client, model, footnote, param):
    with pytest.raises(openai.BadRequestError) as raised:
        asked(client, model, **footnote)
    assert raised.value.param == param


@pytest.mark.parametrize("footnote", [{"collection": "other"}, {"mode": "compare", "models": ["small", "nobody"]}])
def test_what_is_not_there_is_not_found(client, footnote):
    with pytest.raises(openai.NotFoundError):
        asked(client, "small", **footnote)


async def test_the_command_line_compares_through_the_server(remote):
    request = AskRequest(messages=[Message("user", QUESTION[0]["content"])], mode="compare", models=("large", "hidden"))
    events = [event async for event in remote.ask(request)]
    whole = [e for e in events if isinstance(e, Candidate) and isinstance(e.event, AnswerCompleted)]
    assert {e.model for e in whole} == {"large", "hidden"}
    assert events[-1].answer.text == "Large. Every 90 days [1]."


async def test_the_command_line_measures_models_through_the_server(remote):
    speeds = {speed.name: speed async for speed in remote.measure_models()}
    assert list(speeds) == ["large", "small", "hidden", "gone"]
    assert speeds["small"].first_token > 0
    assert speeds["small"].tokens_per_second > 0
    assert speeds["small"].context_window == 8192
    assert "nothing answers" in speeds["gone"].problem


def test_bodies_that_are_printed_in_the_documentation_are_understood():
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    bodies = [body for body in re.findall(r"-d '(\{.*?\})'", page) if "messages" in body]
    assert len(bodies) >= 3
    for body in bodies:
        ChatRequest.model_validate_json(body)


def test_the_command_line_hears_who_answered_what_was_routed(remote):
    assert remote.route_shares().told() == "", "nothing was"
