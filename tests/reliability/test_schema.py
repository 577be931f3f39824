"""The whole API, asked for whatever its own schema allows and much that it does not: no fault of the server's, and no
answer that the schema does not tell of.

Requests are made up by schemathesis. Of its checks those are left out that our protocol breaks on purpose: fields that
are unknown are ignored, as OpenAI's clients expect (`negative_data_rejection`); what fits the schema may name what is
not there, or break a rule that a schema cannot tell (`positive_data_acceptance`); a method that a path has not is 404
below `/v1` (`unsupported_method`). Who may ask what is in tests/rag/ui/test_callers.py (`ignored_auth`).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import Failure

from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import ModelServer, running
from tests.reliability.examples import number_of_examples, seed

pytestmark = pytest.mark.slow
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
WITHOUT_KEY = 5  # of so many requests, the last has no key


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that asks for keys, before a model server."""
    folder = tmp_path_factory.mktemp("schema")
    with running(ModelServer()) as models:
        settings = api_settings(folder, provider="openai", base_url=models.base_url, model="tiny")
        auth = settings.auth.model_copy(
            update={"required": True, "requests_per_minute": 0, "attempts_per_minute": 10**6}
        )
        with serving(settings.model_copy(update={"auth": auth}), [write_documents(folder / "documents")]) as served:
            yield served


@pytest.fixture(scope="module")
def client(served):
    database = served.services.catalog.database
    key = ApiKeys(database).create(Users(database).add("anna", is_admin=True).id)
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


def existing(client, served):
    """What paths may name: made anew, as what was asked before may have deleted it."""
    file = client.post(
        "/v1/files", files={"file": ("note.md", b"# Note\n\nThe heron nests.")}, data={"purpose": "assistants"}
    )
    store = client.post("/v1/vector_stores", json={"name": "notes"}).json()["id"]
    batch = client.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": [file.json()["id"]]}).json()["id"]
    answer = client.post("/v1/responses", json={"model": "footnote/default", "input": "How often is oil needed?"})
    file_id, response_id = file.json()["id"], answer.json()["id"]
    talk = {"items": [{"type": "message", "role": "user", "content": "How often is oil needed?"}]}
    conversation = client.post("/v1/conversations", json=talk).json()["id"]
    items = client.get(f"/v1/conversations/{conversation}/items").json()["data"]
    sent = {"filename": "more.md", "purpose": "assistants", "bytes": 5, "mime_type": "text/markdown"}
    upload = client.post("/v1/uploads", json=sent).json()["id"]
    in_paths = {"file_id": file_id, "store_id": store, "batch_id": batch, "response_id": response_id}
    in_paths |= {"conversation_id": conversation, "item_id": items[0]["id"], "upload_id": upload}
    in_paths |= {"document_id": served.document_id("manual.pdf"), "number": 1, "name": "footnote/default"}
    question = "How often is oil needed?"
    asked = {
        "input": question,
        "prompt": question,
        "query": question,
        "messages": [{"role": "user", "content": question}],
    }
    return in_paths | asked | {"model": "footnote/default", "file_ids": [file_id], "previous_response_id": response_id}


def strategies(operation, known):
    """Requests by the schema and against it, for made up things and, where the path names any, for known ones."""
    named = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
    for mode in GenerationMode:
        yield operation.as_strategy(mode)
        if named:
            yield operation.as_strategy(mode, path_parameters=named)


def failures_of(operation, strategy, client, known, count, counts):
    """What is wrong with the answers to so many requests, the smallest that show it."""
    numbers = itertools.count()

    @hypothesis.seed(seed())
    @hypothesis.settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def ask(case):
        number = next(numbers)
        if number % 2 and isinstance(case.body, dict):  # names of what there is: else most requests would end there
            case.body = {name: known.get(name, value) for name, value in case.body.items()}
        headers = {} if number % WITHOUT_KEY == WITHOUT_KEY - 1 else dict(client.headers)
        response = case.call(base_url=str(client.base_url), headers=headers)
        (content_type, *_) = response.headers.get("content-type", ["none"])
        counts[f"{response.status_code} {content_type}"] += 1
        case.validate_response(response, checks=CHECKS)

    try:
        with contextlib.suppress(Unsatisfiable):  # there is nothing that could be against the schema
            ask()
    except (Failure, BaseExceptionGroup) as failure:
        return [f"{operation.label}: {str(failure)[:1000]}"]
    return []


def test_every_answer_is_one_of_the_schema(served, client, caplog):
    described = client.get("/openapi.json").json()
    del described["security"]  # else keys would be made up as well
    schema = schemathesis.openapi.from_dict(described)
    operations = [found.ok() for found in schema.get_all_operations()]
    share = max(2, number_of_examples(600) // (3 * len(operations)))
    wrong, counts = [], Counter()
    for operation in operations:
        for strategy in strategies(operation, known := existing(client, served)):
            wrong += failures_of(operation, strategy, client, known, share, counts)
    print(f"{counts.total()} answers:", *sorted(counts.items()))  # `pytest -s` shows it
    assert not wrong, "\n\n".join(wrong)
    assert not [record.getMessage() for record in caplog.records if record.exc_info]
    assert client.get("/readyz").status_code == 200
