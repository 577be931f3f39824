"""The older completions API, and the name that every request gets."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving

QUESTION = "How often does the pump need oil?"


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_prompt_is_answered_from_the_documents_whole_and_streamed(client):
    whole = client.completions.create(model="scripted", prompt=QUESTION)
    assert whole.choices[0].text.startswith("Every 90 days [1].")
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens > 0) == ("stop", True)
    with client.completions.create(model="scripted", prompt=[QUESTION], stream=True, max_tokens=2) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Every 90"
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_prompt_without_words_is_refused(client):
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="scripted", prompt=" ")
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="footnote/nobody", prompt=QUESTION)


def test_any_name_is_taken_for_the_only_model(client):
    answer = client.completions.with_raw_response.create(model="gpt-9", prompt=QUESTION)
    assert answer.headers["x-footnote-model"] == "scripted"


def test_every_answer_has_a_name_of_its_own(served):
    paths = ["/v1/models", "/v1/nothing", "/healthz", "/v1/files/file_none"]
    answers = [httpx.get(served.url + path) for path in paths]
    answers.append(httpx.get(f"{served.url}/v1/models", headers={"host": "elsewhere.example"}))
    names = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(names)) == len(names)
    assert all(name.startswith("req_") for name in names)


def test_what_nobody_foresaw_has_an_envelope_and_a_name_too(tmp_path):
    with serving(api_settings(tmp_path), []) as served:
        with served.services.catalog.database.transaction() as connection:
            connection.execute("DROP TABLE batch_jobs")
            connection.execute("DROP TABLE attachments")
        answer = httpx.get(f"{served.url}/v1/vector_stores")
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in answer.json()["error"]["hint"]
        assert "attachments" not in answer.text
        assert httpx.get(f"{served.url}/v1/models").status_code == 200
