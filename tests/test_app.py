"""`python app.py` as a user starts it: one port for chat and API, and plain words when it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import time

import httpx
import openai
import pytest

from rag.lock import read_owner
from tests.commands import Commands
from tests.rag.backends.model_server import free_port


@pytest.fixture
def commands(tmp_path):
    return Commands(tmp_path)


def test_it_ingests_serves_and_ends(commands):
    (commands.folder / "note.txt").write_text("The pump needs oil every 90 days.")
    port = free_port()
    with commands.server(port, "note.txt") as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            answer = client.chat.completions.create(
                model="footnote/default", messages=[{"role": "user", "content": "How often does the pump need oil?"}]
            )
        assert answer.choices[0].message.content == "The documents say so [1]."
        assert answer.model_dump()["citations"][0]["quote"] == "The pump needs oil every 90 days."
        with httpx.Client(base_url=url, trust_env=False) as http:
            assert http.get("/readyz").json()["documents"] == 1
            page = http.get("/")
            assert page.status_code == 200
            assert "text/html" in page.headers["content-type"]
            assert http.get("/v1/nothing").json()["error"]["code"] == "not_found"
            assert http.get("/", headers={"Host": "evil.example"}).status_code == 403
        owner = read_owner(commands.storage)
        assert owner is not None
        assert owner.url == url
        assert owner.token
    assert read_owner(commands.storage) is None


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_what_it_says_and_how_it_ends(commands, ending):
    port = free_port()
    with commands.server(port):
        owner = read_owner(commands.storage)
        assert owner is not None
        os.kill(owner.pid, ending)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the server still listens")
    (commands.folder / "note.txt").write_text("The pump needs oil.")
    commands.run("ingest", "note.txt")  # the folder is free again, whatever the note says


def test_wrong_settings_are_told_before_anything_slow(commands):
    assert "RAG_SERVER__HOST" in commands.refused("app", RAG_SERVER__HOST="0.0.0.0")
    assert "RAG_SERVER__PORT" in commands.refused("app", RAG_SERVER__PORT="70000")
    assert "RAG_SERVER__PORT" in commands.refused("app", RAG_SERVER__PROT="8000")
