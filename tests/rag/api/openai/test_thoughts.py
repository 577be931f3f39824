"""What a model thinks, and fields that only its server knows, on their way through the API, by OpenAI's own client."""

from __future__ import annotations

import httpx
import openai
import pytest
from fastapi.responses import JSONResponse

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import ModelServer, chunk, events, running, stream

QUESTION = "How often does the pump need oil?"
MESSAGES = [{"role": "user", "content": QUESTION}]
THOUGHTS, ANSWER = ["The pump ", "is in [2]."], ["Every 90 ", "days [1]."]
SEARCH = {"type": "file_search", "vector_store_ids": ["default"]}


def thinking(words=ANSWER, finish_reason="stop", calls=()):
    def reply(_, body):
        async def pieces():
            for thought in THOUGHTS:
                yield chunk(choices=[{"index": 0, "delta": {"reasoning": thought}, "finish_reason": None}])
            for word in words:
                yield chunk(word)
            for call in calls:
                yield chunk(choices=[{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}])
            yield chunk(None, finish_reason)
            yield b"data: [DONE]\n\n"

        return events(pieces())

    return reply


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("thoughts"), ModelServer()
    with running(model):
        settings = api_settings(folder, provider="openai", base_url=model.base_url)
        with serving(settings, [write_documents(folder / "documents")]) as served:
            yield model, served


@pytest.fixture
def model(behind):
    model, _ = behind
    model.requests.clear()
    model.reply = thinking()
    return model


@pytest.fixture
def client(behind, model):
    with openai.OpenAI(base_url=f"{behind[1].url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_chat_has_thoughts_beside_its_text(client):
    completion = client.chat.completions.create(model="tiny", messages=MESSAGES)
    message = completion.choices[0].message
    assert (message.content, message.reasoning_content) == ("Every 90 days [1].", "The pump is in [2].")
    assert [citation["number"] for citation in completion.citations] == [1]


def test_a_stream_has_thoughts_before_its_text(client):
    deltas = [c.choices[0].delta for c in client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)]
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    words = [delta.content or "" for delta in deltas]
    assert ("".join(thoughts), "".join(words)) == ("The pump is in [2].", "Every 90 days [1].")
    assert max(place for place, thought in enumerate(thoughts) if thought) < min(
        place for place, word in enumerate(words) if word
    )


def test_a_task_of_the_client_is_done_without_thoughts(client, model):
    title = "### Task:\nGenerate a title.\n<chat_history>\nUSER: How often?\nASSISTANT: Every 90 days.\n</chat_history>"
    client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": title}])
    (request,) = model.requests
    assert request["chat_template_kwargs"]["enable_thinking"] is False
    assert request["reasoning_effort"] == "none"


def test_a_model_that_does_not_think_has_no_such_field(client, model):
    model.reply = lambda _, body: stream(ANSWER, body)
    message = client.chat.completions.create(model="tiny", messages=MESSAGES).choices[0].message
    assert "reasoning_content" not in message.model_dump()


def test_an_answer_spent_on_thoughts_says_so(client, model):
    model.reply = thinking([], "length")
    completion = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=64)
    assert completion.choices[0].finish_reason == "length"
    assert "spent all 64 tokens" in completion.choices[0].message.content
    assert completion.notices == ["only_thoughts"]
    answer = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "good morning"}])
    assert "tokens" in answer.choices[0].message.content


@pytest.mark.parametrize("words", [ANSWER, []])
def test_a_response_has_thoughts_as_an_item(client, model, words):
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    tools = [
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": None}
    ]
    model.reply = thinking(words, calls=[] if words else [call])
    response = client.responses.create(model="tiny", input=QUESTION, tools=[SEARCH, *tools])
    assert [item.type for item in response.output] == [
        *("file_search_call", "reasoning"),
        "message" if words else "function_call",
    ]
    reasoning = response.output[1]
    assert (reasoning.content[0].text, reasoning.summary) == ("The pump is in [2].", [])
    assert response.output_text == "".join(words)
    kept = client.responses.retrieve(response.id)
    assert [item.type for item in kept.output] == [item.type for item in response.output]


def test_a_streamed_response_tells_thoughts_as_events(client):
    with client.responses.stream(model="tiny", input=QUESTION, tools=[SEARCH]) as stream_events:
        kinds = [
            (event.type.removeprefix("response."), getattr(event, "output_index", None)) for event in stream_events
        ]
        final = stream_events.get_final_response()
    order = list(dict.fromkeys(kind for kind in kinds if kind[1] in (1, 2)))
    assert order == [
        ("output_item.added", 1),
        ("content_part.added", 1),
        ("reasoning_text.delta", 1),
        ("reasoning_text.done", 1),
        ("content_part.done", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        ("content_part.added", 2),
        ("output_text.delta", 2),
        ("output_text.annotation.added", 2),
        ("output_text.done", 2),
        ("content_part.done", 2),
        ("output_item.done", 2),
    ]
    assert final.output[1].content[0].text == "The pump is in [2]."
    assert final.output_text == "Every 90 days [1]."


def test_thoughts_do_not_come_back_with_the_next_question(client, model):
    first = client.responses.create(model="tiny", input=QUESTION)
    client.responses.create(model="tiny", input="And the hotels?", previous_response_id=first.id)
    items = [item.model_dump() for item in first.output]
    client.responses.create(model="tiny", input=[*items, {"role": "user", "content": "And the hotels?"}])
    history = [*MESSAGES, {"role": "assistant", "content": "<think>The pump is in [2].</think>Every 90 days [1]."}]
    client.chat.completions.create(model="tiny", messages=[*history, {"role": "user", "content": "And hotels?"}])
    assert not [request for request in model.requests if "is in [2]" in str(request["messages"])]


# ------------------------------------------------------------------------------------------ fields of the server's own


def test_fields_that_only_the_server_knows_reach_it(client, model):
    client.chat.completions.create(
        model="tiny",
        messages=MESSAGES,
        reasoning_effort="high",
        user="anna",
        store=True,
        extra_body={"chat_template_kwargs": {"enable_thinking": True}, "min_p": 0.1, "footnote": {"mode": "documents"}},
    )
    (request,) = model.requests
    assert (request["reasoning_effort"], request["min_p"]) == ("high", 0.1)
    assert request["chat_template_kwargs"] == {"enable_thinking": True}
    assert not request.keys() & {"user", "store", "footnote", "retrieval", "extra_body"}


def test_fields_that_the_server_does_not_take_are_left_out(client, model):
    def picky(_, body):
        if "min_p" in body:
            return JSONResponse({"error": {"message": "Unrecognized request argument supplied: min_p"}}, 400)
        return stream(ANSWER, body)

    model.reply = picky
    completion = client.chat.completions.create(model="tiny", messages=MESSAGES, extra_body={"min_p": 0.1})
    assert completion.choices[0].message.content == "Every 90 days [1]."


def test_a_value_that_the_server_does_not_take_is_an_error(client, model):
    wording = (
        "Unsupported value: 'reasoning_effort' does not support 'most' with this model. Supported values are: 'low'."
    )
    model.reply = lambda *_: JSONResponse({"error": {"message": wording}}, 400)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="tiny", messages=MESSAGES, reasoning_effort="most")
    assert len(model.requests) == 1


def test_a_response_says_how_much_to_think(client, model):
    extra_body = {"min_p": 0.1, "mode": "nonsense"}
    response = client.responses.create(
        model="tiny", input=QUESTION, reasoning={"effort": "low"}, truncation="auto", user="anna", extra_body=extra_body
    )
    (request,) = model.requests
    assert (request["reasoning_effort"], request["min_p"]) == ("low", 0.1)
    assert not request.keys() & {"truncation", "user", "mode", "reasoning", "input"}
    assert response.reasoning.effort == "low"


@pytest.mark.parametrize(
    "wrong", [{"reasoning_effort": 7}, {"chat_template_kwargs": "no"}, dict.fromkeys(map(str, range(99)), 1)]
)
def test_such_fields_are_checked(client, wrong):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="tiny", messages=MESSAGES, extra_body=wrong)
    wrong = {"reasoning": {"effort": 7}} if "reasoning_effort" in wrong else wrong
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="tiny", input=QUESTION, extra_body=wrong)


# ---------------------------------------------------------------------------------- how a conversation goes on, or ends


def test_what_the_server_withheld_ends_with_content_filter(client, model):
    model.reply = lambda _, body: stream(["Every 90 "], body, "content_filter")
    completion = client.chat.completions.create(model="tiny", messages=MESSAGES)
    assert completion.choices[0].finish_reason == "content_filter"
    response = client.responses.create(model="tiny", input=QUESTION)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")


def test_an_answer_that_has_begun_is_gone_on_with(client, model):
    begun = {"role": "assistant", "content": "Every 90"}
    model.reply = lambda _, body: stream([" days [1]."], body)
    completion = client.chat.completions.create(model="tiny", messages=[*MESSAGES, begun])
    assert completion.choices[0].message.content == " days [1]."
    response = client.responses.create(model="tiny", input=[*MESSAGES, begun])
    assert response.output_text == " days [1]."
    for request in model.requests:
        assert request["messages"][-1] == begun
        assert request["continue_final_message"]


def test_an_item_is_referred_to_by_its_id(client, model):
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    tools = [
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": None}
    ]
    model.reply = thinking(calls=[call], finish_reason="tool_calls")
    first = client.responses.create(model="tiny", input=QUESTION, tools=tools)
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    output = {"type": "function_call_output", "call_id": "call_1", "output": "4 degrees"}
    model.reply = thinking()
    for items in (references, [{"id": reference["id"]} for reference in references]):
        client.responses.create(
            model="tiny", input=[{"role": "user", "content": QUESTION}, *items, output], tools=tools
        )
        roles = [message["role"] for message in model.requests[-1]["messages"]]
        assert roles == ["system", "user", "assistant", "tool"]
        answer = model.requests[-1]["messages"][2]
        assert answer["content"] == "Every 90 days [1]."
        assert answer["tool_calls"][0]["id"] == "call_1"


@pytest.mark.parametrize("item_id", ["msg_nowhere", "msg_", "", "msg_" + "f" * 24])
def test_an_item_that_nobody_kept_is_not_found(behind, item_id):
    reference = {"type": "item_reference", "id": item_id}
    body = {"model": "tiny", "input": [reference, {"role": "user", "content": QUESTION}]}
    response = httpx.post(f"{behind[1].url}/v1/responses", json=body, timeout=30)
    assert response.status_code == 404
    assert "previous_response_id" in response.json()["error"]["hint"]
