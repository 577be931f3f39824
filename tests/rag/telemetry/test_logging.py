"""The line of a request: what was measured, and neither content nor secrets unless content is wanted."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import pytest

from rag.errors import BackendUnavailable
from rag.settings import LogSettings
from rag.telemetry.logging import JsonFormatter, TextFormatter, facts_of, known_errors_in_words, request_line
from rag.telemetry.spans import Answered, Recording, Span
from rag.types.documents import Usage
from tests.commands import Commands
from tests.rag.models.model_server import free_port

ANSWERED = Answered(
    *("documents", "answered", 1.5, "tiny", 0.25, (("tiny", Usage(100, 7)),)), question="my secret?", text="Yes [1]."
)
FINISHED = Recording(
    *("POST", "/v1/chat/completions", 200, 1_700_000_000.0, 1.75, "req_1", "prn_1", "00-abc"),
    stages=[Span("dense", 1_700_000_000.0, 0.25), Span("dense", 1_700_000_000.5, 0.5)],
    answers=[ANSWERED],
)


def record(level=logging.INFO, **facts):
    made = logging.LogRecord("footnote.requests", level, "", 1, "GET %s", ("/",), None)
    made.facts = facts
    return made


def test_errors_of_ours_are_told_in_words_and_others_with_their_trace():
    def line(error):
        made = logging.LogRecord("ingest.jobs", logging.ERROR, "", 1, "again in %d s", (5,), (type(error), error, None))
        assert known_errors_in_words(made)
        return TextFormatter("%(message)s").format(made)

    told = line(BackendUnavailable("The server is away.", hint="Start it."))
    assert told == "again in 5 s: The server is away. Start it."
    assert line(asyncio.CancelledError("the server ends")) == "again in 5 s: the server ends"
    assert "ValueError: odd" in line(ValueError("odd"))


def test_what_a_line_holds():
    assert facts_of(FINISHED, with_content=False) == {
        "request_id": "req_1",
        "principal": "prn_1",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "milliseconds": 1750,
        "stages": {"dense": 750},
        "answers": [
            {
                "mode": "documents",
                "model": "tiny",
                "outcome": "answered",
                "milliseconds": 1500,
                "first_token_milliseconds": 250,
                "prompt_tokens": 100,
                "completion_tokens": 7,
            }
        ],
    }


def test_content_comes_when_it_is_wanted():
    [answer] = facts_of(FINISHED, with_content=True)["answers"]
    assert (answer["question"], answer["text"]) == ("my secret?", "Yes [1].")


def test_a_line_is_one_line_whatever_it_holds():
    line = JsonFormatter().format(record(text="a\nb\u2028 ä"))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"], told["text"]) == ("info", "GET /", "a\nb\u2028 ä")
    assert told["time"].endswith("+00:00")
    assert TextFormatter("%(message)s").format(record(route="/", request_id="r\n1")) == 'GET / {"request_id": "r\\n1"}'
    assert TextFormatter("%(message)s").format(record(route="/")) == "GET /"


@pytest.mark.parametrize(
    ("route", "status", "level"),
    [("/v1/models", 200, logging.INFO), ("/v1/models", 503, logging.WARNING), ("/readyz", 503, logging.DEBUG)],
)
def test_levels(caplog, route, status, level):
    with caplog.at_level(logging.DEBUG):
        request_line(with_content=False)(Recording("GET", route, status, 0.0, 0.1))
    assert [(made.levelno, made.getMessage()) for made in caplog.records] == [(level, f"GET {route} {status}")]


@pytest.mark.slow
def test_the_log_of_a_server(tmp_path):
    commands = Commands(tmp_path)
    (tmp_path / "note.txt").write_text("The pump needs oil every 90 days.")
    commands.run("ingest", "note.txt")
    question = "How often does the pump need oil?"
    body = {"model": "scripted", "messages": [{"role": "user", "content": question}]}
    settings = {"RAG_LOG__FORMAT": "json", "RAG_LOG__LEVEL": "info"}
    with (
        commands.server(free_port(), **settings) as url,
        httpx.Client(base_url=url, trust_env=False, headers={"Authorization": "Bearer hush-hush"}) as http,
    ):
        answered = http.post("/v1/chat/completions", json=body, params={"key": "hush-hush"})
        assert answered.status_code == 200
        assert http.get("/v1/files/file_hush-hush").status_code == 404
    lines = [json.loads(line) for line in commands.log.splitlines()]
    asked, lost = [line for line in lines if line["logger"] == "footnote.requests"]  # none for /healthz
    assert asked["request_id"] == answered.headers["x-request-id"]
    assert (asked["method"], asked["route"], asked["status"]) == ("POST", "/v1/chat/completions", 200)
    assert asked["stages"].keys() >= {"embed", "dense", "lexical", "generate"}
    assert asked["answers"][0]["completion_tokens"] == 5
    assert (lost["route"], lost["status"], lost["errors"]) == ("/v1/files/{file_id}", 404, ["not_found"])
    assert "hush" not in commands.log
    assert "pump" not in commands.log


def test_the_default_is_quiet_and_without_content():
    assert (LogSettings().format, LogSettings().level, LogSettings().content) == ("text", "warning", False)
