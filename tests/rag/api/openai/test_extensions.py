"""The short names `retrieval`, `mode`, `filters` and `vector_store_ids`, by OpenAI's own client."""

from __future__ import annotations

import openai
import pytest

from rag.answering.replies import reply_to
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

NOT_FOUND = reply_to("In English", "not_found")

QUESTION = "How often does the pump need oil?"


@pytest.fixture(scope="module")
def two_collections(tmp_path_factory):
    """`default` has the documents, `notes` a note that answers the same question."""
    folder = tmp_path_factory.mktemp("particulars")
    (folder / "pump.md").write_text("# Pump\n\nThe pump needs oil every 30 days, says the note.\n")
    with serving(api_settings(folder), [write_documents(folder / "documents")]) as served:
        list(served.services.ingest.add_paths([folder / "pump.md"], "notes"))
        yield served


@pytest.fixture
def ask(two_collections):
    with openai.OpenAI(base_url=f"{two_collections.url}/v1", api_key="any", max_retries=0) as client:

        def ask(model="scripted", **extra):
            messages = [{"role": "user", "content": QUESTION}]
            return client.chat.completions.create(model=model, messages=messages, extra_body=extra)

        ask.client = client
        yield ask


def prompt_of(served):
    return served.services.model.llm.prompts[-1]


def test_vector_stores_are_asked_by_id_or_name_several_at_once(ask, two_collections):
    store = next(c for c in two_collections.services.catalog.collections() if c.name == "notes")
    for stores, default, notes in (
        (["default"], True, False),
        (["notes"], False, True),
        ([store.id], False, True),
        (["default", store.id], True, True),
    ):
        ask(vector_store_ids=stores)
        assert ("every 90 days" in prompt_of(two_collections)) == default
        assert ("every 30 days" in prompt_of(two_collections)) == notes
    ask("footnote/notes", vector_store_ids=[store.id])
    with pytest.raises(openai.NotFoundError):
        ask(vector_store_ids=["vs_none"])


@pytest.mark.parametrize("extra", [{"retrieval": False}, {"mode": "chat"}, {"retrieval": False, "mode": "chat"}])
def test_without_retrieval_the_model_is_asked_alone(ask, two_collections, extra):
    answer = ask(**extra)
    assert prompt_of(two_collections) == f"user: {QUESTION}"
    assert answer.citations == []
    ask(retrieval=True)
    assert "every 90 days" in prompt_of(two_collections)


def test_a_filter_chooses_documents(ask):
    name = {"type": "eq", "key": "file_name", "value": "page.html"}
    for extra in ({"filters": name}, {"filters": name, "footnote": {"filters": name}}):
        assert ask(**extra).choices[0].message.content.startswith(NOT_FOUND)
    is_pump = {"type": "in", "key": "file_name", "value": ["pump.md"]}
    answer = ask(filters=is_pump, vector_store_ids=["default", "notes"])
    assert answer.citations[0]["quote"].startswith("The pump needs oil every 30 days")


def test_the_older_api_takes_them_too(ask, two_collections):
    ask.client.completions.create(model="scripted", prompt=QUESTION, extra_body={"vector_store_ids": ["notes"]})
    assert "every 30 days" in prompt_of(two_collections)
    ask.client.completions.create(model="scripted", prompt=QUESTION, extra_body={"retrieval": False})
    assert prompt_of(two_collections) == f"user: {QUESTION}"


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"retrieval": False, "mode": "summarize"}, "retrieval"),
        ({"retrieval": True, "mode": "chat"}, "retrieval"),
        ({"retrieval": False, "footnote": {"mode": "documents"}}, "retrieval"),
        ({"mode": "plan", "footnote": {"mode": "summarize"}}, "mode"),
        (
            {
                "filters": {"type": "eq", "key": "year", "value": 1},
                "footnote": {"filters": {"type": "eq", "key": "year", "value": 2}},
            },
            "filters",
        ),
        ({"vector_store_ids": ["default"], "footnote": {"collection": "notes"}}, "vector_store_ids"),
        ({"vector_store_ids": ["default", "notes"], "model": "footnote/notes"}, "vector_store_ids"),
        ({"vector_store_ids": []}, "vector_store_ids"),
        ({"mode": "guess"}, "mode"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(ask, extra, param):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(**extra)
    assert raised.value.body["param"] == param
