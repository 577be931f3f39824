"""Clients of the Petals chat server: forms, and sessions over a WebSocket."""

from __future__ import annotations

import json

from websockets.asyncio.client import connect

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving
from tests.rag.models.model_server import ModelServer, running, stream

QUESTION = "How often does the pump need oil?"
OPEN = {"type": "open_inference_session", "max_length": 1024, "retrieval": True}


def test_generate_takes_forms_addresses_and_json(http):
    fields = {"inputs": QUESTION, "max_new_tokens": "3", "do_sample": "0"}
    for answer in (
        http.post("/api/v1/generate", data=fields),
        http.post("/api/v1/generate", params=fields),
        http.post("/api/v1/generate", json=fields),
    ):
        assert answer.json() == {"ok": True, "outputs": "Every 90 days"}
    asked = http.post("/api/v1/generate", data={"inputs": QUESTION, "retrieval": "1"}).json()
    assert asked["outputs"].startswith("Every 90 days [1].")
    failed = http.post("/api/v1/generate", data={"inputs": QUESTION, "temperature": "hot"}).json()
    assert not failed["ok"]
    assert "temperature" in failed["traceback"]
    assert "Traceback" not in failed["traceback"]


async def test_a_session_generates_several_times(served):
    async with connect(served.url.replace("http", "ws") + "/api/v2/generate") as socket:

        async def reply_to(message):
            await socket.send(json.dumps(message))
            return json.loads(await socket.recv())

        assert await reply_to(OPEN) == {"ok": True}
        answer = await reply_to({"type": "generate", "inputs": QUESTION})
        assert answer["stop"]
        assert answer["outputs"].startswith("Every 90 days [1].")
        piece = await reply_to(
            {"type": "generate", "inputs": "And again?", "stop_sequence": "###", "max_new_tokens": 1}
        )
        pieces = [piece]
        while not pieces[-1]["stop"]:
            pieces.append(json.loads(await socket.recv()))
        assert len(pieces) > 3
        assert "".join(piece["outputs"] for piece in pieces).endswith("###")
        failed = await reply_to({"type": "shout"})
        assert not failed["ok"]
        assert failed["error"]


async def test_an_answer_that_was_cut_is_gone_on_with(tmp_path):
    with running(ModelServer()) as model:
        llm = {"provider": "openai", "base_url": model.base_url, "script": ""}
        with serving(api_settings(tmp_path, **llm), []) as served:
            async with connect(served.url.replace("http", "ws") + "/api/v2/generate") as socket:

                async def reply_to(message):
                    await socket.send(json.dumps(message))
                    return json.loads(await socket.recv())

                await reply_to({"type": "open_inference_session", "max_length": 1024})
                model.reply = lambda _, body: stream(["The pump", " needs"], body, finish_reason="length")
                assert (await reply_to({"type": "generate", "inputs": "Tell me.", "max_new_tokens": 2}))["outputs"]
                model.reply = lambda _, body: stream([" oil."], body)
                assert (await reply_to({"type": "generate", "max_new_tokens": 2}))["outputs"] == " oil."
                assert model.requests[-1]["messages"][-1] == {"role": "assistant", "content": "The pump needs"}
                assert (await reply_to({"type": "generate"}))["outputs"] == ""
