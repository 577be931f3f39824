"""Nothing that waits for a disk, a database or a clock does so in the event loop's thread."""

from __future__ import annotations

import time

import httpx
import pytest
from blockbuster import blockbuster_ctx
from fastapi import APIRouter

from tests.rag.api.serving import serving, write_documents

QUESTION = {"model": "scripted", "messages": [{"role": "user", "content": "How often does the pump need oil?"}]}
REQUESTS = [
    ("POST", "/v1/chat/completions", QUESTION),
    ("POST", "/v1/chat/completions", {**QUESTION, "stream": True}),
    ("POST", "/v1/responses", {"model": "scripted", "input": "How often does the pump need oil?"}),
    ("POST", "/v1/responses", {"model": "scripted", "input": "How often does the pump need oil?", "stream": True}),
    ("POST", "/v1/embeddings", {"model": "bag-of-words", "input": "oil"}),
    *(("GET", path, None) for path in ("/v1/models", "/v1/files", "/v1/vector_stores", "/readyz", "/metrics")),
]

blocking = APIRouter()


@blocking.get("/healthz/blocking")
async def block() -> str:
    time.sleep(0.01)  # noqa: ASYNC251  (which is to be found)
    return "blocked"


@pytest.fixture
def served(settings, tmp_path):
    with (
        serving(settings, [write_documents(tmp_path / "documents")], blocking) as served,
        httpx.Client(base_url=served.url, trust_env=False, timeout=60) as client,
    ):
        client.post("/v1/chat/completions", json=QUESTION)  # what is read once, at the first question, is read
        yield client


def test_no_request_blocks_the_event_loop(served):
    with blockbuster_ctx(scanned_modules=["rag", "ingest"]):
        for method, path, body in REQUESTS:
            answer = served.request(method, path, json=body)
            assert answer.status_code == 200, (path, answer.text)
            assert "error" not in answer.text[:20], path
            assert "Something went wrong" not in answer.text, path


def test_a_call_that_blocks_is_found(served, caplog):
    with blockbuster_ctx(scanned_modules=[__name__]):
        assert served.get("/healthz/blocking").status_code == 500
    assert "BlockingError" in caplog.text
