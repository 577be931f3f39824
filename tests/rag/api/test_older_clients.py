"""Clients of older servers: their addresses, their shapes, their password."""

from __future__ import annotations

import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

QUESTION = "How often does the pump need oil?"
AUTH = ("ada", "secret:with colon")


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    folder = tmp_path_factory.mktemp("older")
    settings = api_settings(folder)
    server = settings.server.model_copy(update={"older_clients": type(settings.server.older_clients)(":".join(AUTH))})
    settings = settings.model_copy(update={"server": server})
    with serving(settings, [write_documents(folder / "documents")]) as served:
        yield served


@pytest.fixture
def http(older):
    with httpx.Client(base_url=older.url, auth=AUTH) as client:
        yield client


@pytest.mark.parametrize("name", ["chat", "chat_vllm", "chat_llama_cpp"])
def test_a_prompt_or_a_conversation_is_answered(http, name):
    answer = http.post(f"/api/v1/{name}", json={"prompt": QUESTION, "max_tokens": 50}).json()
    assert answer["result"].startswith("Every 90 days [1].")
    assert answer["choices"][0]["message"]["content"] == answer["result"]
    turns = [{"role": "user", "content": QUESTION}]
    cut = http.post(f"/api/v1/{name}", json={"messages": turns, "max_tokens": 2, "top_k": -1, "best_of": 3}).json()
    assert cut["result"] == "Every 90"


def test_nothing_asked_is_refused(http):
    for body in ({}, {"prompt": "a", "messages": [{"role": "user", "content": "b"}]}):
        refused = http.post("/api/v1/chat", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize("auth", [None, ("ada", "wrong"), ("", "")])
def test_without_the_password_nothing_is_answered(older, auth):
    for path in ("/api/v1/chat", "/api/v1/generate"):
        refused = httpx.post(older.url + path, json={"prompt": QUESTION}, auth=auth)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")


def test_by_default_the_addresses_are_not_there(served):
    assert httpx.post(f"{served.url}/api/v1/chat", json={"prompt": QUESTION}).status_code in (404, 405)


def test_generate_takes_forms_addresses_and_json(http):
    wanted = {"inputs": QUESTION, "max_new_tokens": "3", "do_sample": "0"}
    for answer in (
        http.post("/api/v1/generate", data=wanted),
        http.post("/api/v1/generate", params=wanted),
        http.post("/api/v1/generate", json=wanted),
    ):
        assert answer.json() == {"ok": True, "outputs": "Every 90 days"}
    failed = http.post("/api/v1/generate", data={"inputs": QUESTION, "temperature": "hot"}).json()
    assert not failed["ok"]
    assert "temperature" in failed["traceback"]
    assert "Traceback" not in failed["traceback"]


async def test_a_session_generates_several_times(older):
    address = older.url.replace("http", "ws") + "/api/v2/generate"
    basic = httpx.BasicAuth(*AUTH)._auth_header
    async with connect(address, additional_headers={"Authorization": basic}) as socket:

        async def told(message):
            await socket.send(json.dumps(message))
            return json.loads(await socket.recv())

        assert await told({"type": "open_inference_session", "max_length": 1024}) == {"ok": True}
        whole = await told({"type": "generate", "inputs": QUESTION})
        assert whole["stop"]
        assert whole["outputs"].startswith("Every 90 days [1].")
        piece = await told({"type": "generate", "inputs": "And again?", "stop_sequence": "###", "max_new_tokens": 1})
        pieces = [piece]
        while not pieces[-1]["stop"]:
            pieces.append(json.loads(await socket.recv()))
        assert len(pieces) > 3
        assert "".join(piece["outputs"] for piece in pieces).endswith("###")
        failed = await told({"type": "shout"})
        assert not failed["ok"]
        assert failed["error"]
    with pytest.raises(InvalidStatus):
        async with connect(address):
            pass
