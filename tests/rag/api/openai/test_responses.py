"""The Responses API by OpenAI's own client: file search, streams, conversations, and what is refused."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


SEARCH = {"type": "file_search", "vector_store_ids": ["default"]}
QUESTION = "How often does the pump need oil?"


def test_a_response_cites_file_page_and_quote(client, served):
    response = client.responses.create(
        model="scripted", input=QUESTION, tools=[SEARCH], include=["file_search_call.results"], metadata={"a": "b"}
    )
    search, message = response.output
    assert (search.type, search.status, search.queries) == ("file_search_call", "completed", [QUESTION])
    assert "oil every 90 days" in search.results[0].text
    assert search.results[0].attributes["page"] == 2
    assert 0 < search.results[0].score <= 1
    assert "[1]" in response.output_text
    assert "[9]" not in response.output_text
    annotations = message.content[0].annotations
    assert [response.output_text[: a.index][-3:] for a in annotations] == ["[1]", "[1]"]
    assert annotations[0].file_id == served.document_id("manual.pdf")
    assert (annotations[0].page, annotations[0].filename) == (2, "manual.pdf")
    assert "90 days" in annotations[0].quote
    assert (response.status, response.metadata, response.usage.output_tokens > 0) == ("completed", {"a": "b"}, True)


def test_without_the_tool_the_models_collection_is_asked_and_results_stay_out(client):
    response = client.responses.create(model="footnote/default", input=QUESTION)
    (message,) = response.output
    assert message.content[0].annotations
    response = client.responses.create(model="scripted", input=QUESTION, tools=[SEARCH])
    assert response.output[0].results is None


def test_a_stream_tells_every_step_in_order(client):
    with client.responses.create(model="scripted", input=QUESTION, tools=[SEARCH], stream=True) as stream:
        events = list(stream)
    kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    with client.responses.stream(model="scripted", input=QUESTION, tools=[SEARCH]) as stream:
        assert stream.get_final_response().output_text == text


def test_a_conversation_goes_on_from_a_response_that_was_kept(client, served):
    first = client.responses.create(model="scripted", input="How often does the pump need oil?")
    second = client.responses.create(
        model="scripted", input="And the hotels?", previous_response_id=first.id, instructions="Be brief."
    )
    assert second.previous_response_id == first.id
    prompt = served.services.model.llm.prompts[-1]
    assert "How often does the pump need oil?" in prompt
    assert "Be brief." in prompt
    assert client.responses.retrieve(second.id).output_text == second.output_text
    (item,) = client.responses.input_items.list(second.id).data
    assert item.content[0].text == "And the hotels?"
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)
    third = client.responses.create(model="scripted", input=QUESTION, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="scripted", input=QUESTION, previous_response_id=third.id)


def test_a_cut_answer_is_incomplete(client):
    response = client.responses.create(model="scripted", input=QUESTION, max_output_tokens=2)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "file_search"}]}, "tools"),
        ({"input": [{"type": "message", "role": "user", "content": [{"type": "input_image"}]}]}, "input"),
        ({"input": [{"role": "assistant", "content": "Hello."}]}, "input"),
        ({"background": True}, "background"),
        ({"tools": [{**SEARCH, "filters": {"type": "near", "key": "a", "value": 1}}]}, "filters"),
    ],
)
def test_what_footnote_has_not_is_refused_by_name(client, wrong, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(**{"model": "scripted", "input": QUESTION, **wrong})
    assert raised.value.body["param"] == param


def test_what_openai_has_and_footnote_has_not_names_what_to_use(client):
    with pytest.raises(openai.BadRequestError, match="`stream`"):
        client.responses.create(model="scripted", input=QUESTION, background=True)
    assert client.responses.create(model="scripted", input=QUESTION, background=False).status == "completed"
    with pytest.raises(openai.NotFoundError, match="Nothing is moderated here"):
        client.moderations.create(input=QUESTION)
    with pytest.raises(openai.NotFoundError, match="one by one"):
        client.batches.list()
    with pytest.raises(openai.NotFoundError, match="/docs"):
        client.get("/nowhere", cast_to=object)


def test_what_file_search_says_cannot_be_said_twice(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(
            model="scripted", input=QUESTION, tools=[SEARCH], extra_body={"footnote": {"documents": ["page.html"]}}
        )
    assert raised.value.body["param"] == "footnote"
    response = client.responses.create(
        model="scripted", input=QUESTION, extra_body={"footnote": {"documents": ["page.html"]}}
    )
    assert not response.output[-1].content[0].annotations or all(
        annotation.filename == "page.html" for annotation in response.output[-1].content[0].annotations
    )
    response = client.responses.create(model="scripted", input=QUESTION, tools=[SEARCH], tool_choice="none")
    assert [item.type for item in response.output] == ["message"]


def test_a_response_goes_with_the_document_it_quotes(tmp_path):
    with (
        serving(api_settings(tmp_path), [write_documents(tmp_path / "documents")]) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client,
    ):
        first = client.responses.create(model="scripted", input=QUESTION)
        second = client.responses.create(model="scripted", input="And hotels?", previous_response_id=first.id)
        served.services.ingest.delete(served.document_id("manual.pdf"))
        for response in (first, second):
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(response.id)


@pytest.mark.parametrize(
    "body",
    [
        {"input": "\ud83d"},
        {"input": QUESTION, "instructions": "\ud83d", "metadata": {"\ud83d": "\ud83d"}},
        {"input": QUESTION, "stream": True, "metadata": {"a": "\ud83d"}, "tool_choice": "\ud83d"},
        {"input": QUESTION, "tools": [{"type": "file_search", "vector_store_ids": ["\ud83d"]}]},
        {"input": QUESTION, "previous_response_id": "\ud83d"},
        {"input": QUESTION, "tool_choice": float("nan")},
        {"input": QUESTION, "temperature": float("inf")},
    ],
)
def test_half_characters_and_no_numbers_do_no_harm(served, body):
    answer = httpx.post(
        f"{served.url}/v1/responses",
        content=json.dumps({"model": "scripted", **body}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (200, 400, 404)
    answer.read().decode()


def test_the_input_of_a_long_conversation_is_listed_by_pages(client):
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(6) for role in ("user", "assistant")]
    response = client.responses.create(model="scripted", input=[*turns, {"role": "user", "content": QUESTION}])
    first = client.responses.input_items.list(response.id, limit=3, order="asc")
    assert [item.content[0].text for item in first.data] == ["user 0", "assistant 0", "user 1"]
    assert len(list(client.responses.input_items.list(response.id, limit=4))) == 13


def test_unknown_models_stores_and_responses_are_not_found(client):
    for wrong in ({"model": "footnote/nobody"}, {"tools": [{**SEARCH, "vector_store_ids": ["vs_none"]}]}):
        with pytest.raises(openai.NotFoundError):
            client.responses.create(**{"model": "scripted", "input": QUESTION, **wrong})
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="scripted", input=QUESTION, previous_response_id="resp_none")


def test_embeddings_by_either_name(client):
    vectors = client.embeddings.create(model="bag-of-words", input=["pump oil", "fox"])
    assert [item.index for item in vectors.data] == [0, 1]
    assert sum(value * value for value in vectors.data[0].embedding) == pytest.approx(1, abs=1e-4)
    single = client.embeddings.create(model="bag-of-words", input="pump oil", encoding_format="float")
    assert single.data[0].embedding == pytest.approx(vectors.data[0].embedding, abs=1e-6)
    assert single.usage.prompt_tokens == 4
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-3-small", input="x")
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="bag-of-words", input="x", dimensions=7)
