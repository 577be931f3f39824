"""Conversations by OpenAI's own client: kept, listed, gone on from by responses, and private."""

from __future__ import annotations

import openai
import pytest

from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from rag.types.documents import LOCAL_NAME
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

QUESTION = "How often does the pump need oil?"


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def texts(items):
    return [item.content[0].text for item in items if item.type == "message"]


def test_a_conversation_is_made_changed_and_deleted(client):
    conversation = client.conversations.create(
        metadata={"topic": "pumps"}, items=[{"type": "message", "role": "user", "content": "Good morning."}]
    )
    assert (conversation.object, conversation.metadata) == ("conversation", {"topic": "pumps"})
    assert client.conversations.retrieve(conversation.id) == conversation
    assert client.conversations.update(conversation.id, metadata={"topic": "hotels"}).metadata == {"topic": "hotels"}
    assert texts(client.conversations.items.list(conversation.id)) == ["Good morning."]
    assert client.conversations.delete(conversation.id).deleted
    for ask in (client.conversations.retrieve, client.conversations.items.list, client.conversations.delete):
        with pytest.raises(openai.NotFoundError, match="no conversation"):
            ask(conversation.id)
    assert client.conversations.create().metadata == {}


def test_items_are_added_listed_by_pages_and_deleted(client):
    conversation = client.conversations.create()
    added = client.conversations.items.create(
        conversation.id,
        items=[
            {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "two", "annotations": []}]},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "four degrees"},
        ],
    )
    assert [item.type for item in added.data] == ["message", "message", "function_call", "function_call_output"]
    assert added.last_id == added.data[-1].id
    listed = list(client.conversations.items.list(conversation.id, limit=3, order="asc"))
    assert [item.id for item in listed] == [item.id for item in added.data]
    first = client.conversations.items.retrieve(added.data[0].id, conversation_id=conversation.id)
    assert first.content[0].text == "one"
    left = client.conversations.items.delete(first.id, conversation_id=conversation.id)
    assert left.id == conversation.id
    with pytest.raises(openai.NotFoundError, match="no item"):
        client.conversations.items.retrieve(first.id, conversation_id=conversation.id)
    assert len(list(client.conversations.items.list(conversation.id))) == 3


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_response_goes_on_from_its_conversation_and_is_added_to_it(client, served, is_streamed, is_stored):
    conversation = client.conversations.create(items=[{"role": "user", "content": "My name is Ann."}])
    options = {"model": "scripted", "tools": [{"type": "file_search", "vector_store_ids": ["default"]}]}

    def ask(question, named):
        if not is_streamed:
            return client.responses.create(input=question, conversation=named, store=is_stored, **options)
        with client.responses.create(
            input=question, conversation=named, store=is_stored, stream=True, **options
        ) as stream:
            return list(stream)[-1].response

    response = ask(QUESTION, conversation.id)
    assert response.conversation.id == conversation.id
    ask("And the hotels?", {"id": conversation.id})
    prompt = served.services.model.llm.prompts[-1]
    assert "My name is Ann." in prompt
    assert QUESTION in prompt
    items = list(client.conversations.items.list(conversation.id, order="asc"))
    kinds = ["message", *(["message", "file_search_call", "message"] * 2)]
    assert [item.type for item in items] == kinds
    assert texts(items)[:3] == ["My name is Ann.", QUESTION, response.output_text]
    assert items[3].content[0].annotations[0].filename == "manual.pdf"


def test_a_conversation_that_is_not_there_is_told_and_never_ignored(client):
    with pytest.raises(openai.NotFoundError, match="no conversation 'conv_none'"):
        client.responses.create(model="scripted", input=QUESTION, conversation="conv_none")
    first = client.responses.create(model="scripted", input=QUESTION)
    conversation = client.conversations.create()
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(
            model="scripted", input=QUESTION, conversation=conversation.id, previous_response_id=first.id
        )
    assert raised.value.body["param"] == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as raised:
        client.conversations.items.create(conversation.id, items=[{"type": "computer_call", "call_id": "x"}])
    assert raised.value.body["param"] == "items"


def test_what_rests_on_a_document_goes_with_it_and_what_was_before_stays(tmp_path):
    with (
        serving(api_settings(tmp_path), [write_documents(tmp_path / "documents")]) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client,
    ):
        conversation = client.conversations.create(items=[{"role": "user", "content": "Good morning."}])
        client.responses.create(model="scripted", input=QUESTION, conversation=conversation.id)
        client.responses.create(model="scripted", input="Thanks!", conversation=conversation.id)
        served.services.ingest.delete(served.document_id("manual.pdf"))
        assert texts(client.conversations.items.list(conversation.id)) == ["Good morning."]


def test_a_conversation_is_its_owners(tmp_path):
    settings = api_settings(tmp_path)
    settings = settings.model_copy(update={"auth": settings.auth.model_copy(update={"required": True})})
    with serving(settings, []) as served:
        database = served.services.catalog.database
        users = [Users(database).add(name).id for name in ("anna", "ben")]
        keys = [ApiKeys(database).create(user) for user in users]
        reading = ApiKeys(database).create(users[0], read_only=True)
        anna, ben, reader = (
            openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) for key in (*keys, reading)
        )
        conversation = anna.conversations.create(items=[{"role": "user", "content": "It is a secret."}])
        with pytest.raises(openai.NotFoundError):
            ben.conversations.items.list(conversation.id)
        with pytest.raises(openai.NotFoundError):
            ben.responses.create(model="scripted", input=QUESTION, conversation=conversation.id)
        assert texts(reader.conversations.items.list(conversation.id)) == ["It is a secret."]
        for write in (
            reader.conversations.create,
            lambda: reader.conversations.delete(conversation.id),
            lambda: reader.responses.create(model="scripted", input=QUESTION, conversation=conversation.id),
        ):
            with pytest.raises(openai.PermissionDeniedError):
                write()
        Users(database).delete("anna", heir=LOCAL_NAME)
        assert not database.read("SELECT 1 FROM response_items")
