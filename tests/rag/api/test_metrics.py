"""`/metrics`: every figure counts what happened, and none tells what was asked or answered."""

from __future__ import annotations

import time
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rag.auth.principals import OF_THIS_MACHINE
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

QUESTION = "How often does the zephyrine pump need oil?"


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def figures(http):
    """(name, labels) → value."""
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def answered(figures):
    """How many requests are counted, but those for the figures."""
    counted = {labels: value for (name, labels), value in figures.items() if name == "footnote_requests_total"}
    return sum(value for labels, value in counted.items() if ("route", "/metrics") not in labels)


@contextmanager
def changes(http):
    """A function that tells by how much a figure changed in the block. A request is counted when its answer has been
    sent, which a client can see a moment earlier."""
    before, after = figures(http), {}
    paths = []
    http.event_hooks = {"response": [lambda response: paths.append(response.request.url.path)]}

    def change(name, **labels):
        key = f"footnote_{name}", frozenset(labels.items())
        return after.get(key, 0) - before.get(key, 0)

    try:
        yield change
    finally:
        http.event_hooks = {}
    deadline = time.monotonic() + 10
    while answered(after) < answered(before) + len(paths) - paths.count("/metrics") and time.monotonic() < deadline:
        after |= figures(http)


def ask(http, question=QUESTION, **more):
    body = {"model": "scripted", "messages": [{"role": "user", "content": question}], **more}
    return http.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_counted_and_timed(http, stream):
    with changes(http) as change:
        assert ask(http, "How often does the pump need oil?", stream=stream).status_code == 200
    route = {"method": "POST", "route": "/v1/chat/completions"}
    assert change("requests_total", **route, status="200") == 1
    assert change("request_seconds_count", **route) == 1
    answer = {"mode": "documents", "model": "scripted"}
    assert change("answers_total", **answer, outcome="answered") == 1
    assert 0 < change("first_token_seconds_sum", **answer) <= change("answer_seconds_sum", **answer)
    assert change("answer_seconds_sum", **answer) <= change("request_seconds_sum", **route)
    assert change("tokens_total", model="scripted", kind="completion") == 8
    assert change("tokens_total", model="scripted", kind="prompt") > 20
    for name in ("embed", "dense", "lexical", "fuse", "look_up", "pack", "prompt", "generate", "cite"):
        assert change("stage_seconds_count", stage=name) >= 1, name
    assert change("stage_seconds_sum", stage="generate") < change("answer_seconds_sum", **answer)


def test_a_refusal_is_told_from_an_answer(http):
    with changes(http) as change:
        assert ask(http, "zephyrine quokka").status_code == 200
    assert change("answers_total", mode="documents", model="scripted", outcome="refused") == 1
    assert change("tokens_total", model="scripted", kind="completion") == 0


def test_what_there_is_and_what_was_taken_in(tmp_path):
    documents = write_documents(tmp_path / "documents")
    with (
        serving(api_settings(tmp_path), [documents]) as served,
        httpx.Client(base_url=served.url, trust_env=False) as http,
    ):
        ingest, catalog = served.services.ingest, served.services.catalog
        assert not [
            labels for name, labels in figures(http) if name == "footnote_answers_total"
        ]  # another application's
        (documents / "broken.pdf").write_bytes(b"no PDF")
        job = ingest.submit(documents / "broken.pdf", "broken.pdf", "default", OF_THIS_MACHINE)
        assert ingest.wait(job.id, 30).state == "failed"
        seen = {name: value for (name, labels), value in figures(http).items() if not labels}
        assert seen["footnote_chunks"] == sum(document.chunks for document in catalog.documents())
        assert seen["footnote_ingest_pages_total"] == 5
        assert seen["process_resident_memory_bytes"] > 1e6
        values = {(name, *dict(labels).values()): value for (name, labels), value in figures(http).items()}
        assert values["footnote_documents", "ready"] == 3
        assert values["footnote_ingest_files_total", "added"] == 3
        assert values["footnote_ingest_failures_total", "unreadable_document"] == 1
        assert (values["footnote_jobs", "failed"], values["footnote_jobs", "queued"]) == (1, 0)


def test_errors_are_counted_by_kind_and_once(http):
    with changes(http) as change:
        assert ask(http, " ").status_code == 400
        assert http.get("/v1/files/file_none").status_code == 404
        assert http.get("/healthz", headers={"Host": "evil.example"}).status_code == 403
        assert http.get("/documents/none/source").status_code == 404
    assert change("errors_total", kind="invalid_request") == 1
    assert change("errors_total", kind="not_found") == 2
    assert change("errors_total", kind="http_403") == 1
    assert change("answers_total", mode="documents", model="", outcome="failed") == 1


def test_a_client_that_leaves_is_counted_as_such(http, served):
    served.services.model.llm.tokens_per_second = 5
    try:
        with changes(http) as change:
            body = {"model": "scripted", "messages": [{"role": "user", "content": "oil, pump?"}], "stream": True}
            with http.stream("POST", "/v1/chat/completions", json=body) as response:
                next(line for line in response.iter_lines() if "Every" in line)
            while not any("stopped" in dict(labels).values() for _, labels in figures(http)):
                time.sleep(0.01)
    finally:
        served.services.model.llm.tokens_per_second = 0
    assert change("answers_total", mode="documents", model="", outcome="stopped") == 1


def test_labels_are_few_however_many_things_are_asked_for(http):
    before = figures(http).keys()
    for number in range(50):
        http.get(f"/v1/files/file_{number}")
        http.get(f"/nowhere/{number}")
        http.request(f"FETCH{number}", "/healthz")
    seen = {labels for name, labels in figures(http) if name == "footnote_requests_total"}
    routes = {dict(labels)["route"] for labels in seen}
    assert {"/v1/files/{file_id}", "none"} <= routes
    assert len([name for name, _ in figures(http).keys() - before if name == "footnote_requests_total"]) <= 3


def test_no_word_of_question_answer_or_document(http):
    ask(http)
    ask(http, stream=True)
    http.get("/v1/files/zephyrine-name", params={"q": "zephyrine"})
    text = http.get("/metrics").text.lower()
    assert not any(word in text for word in ("zephyrine", "pump", "90 days", "manual", "hotels"))
