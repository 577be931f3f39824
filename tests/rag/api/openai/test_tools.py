"""Function calling by OpenAI's own client, through Footnote to a model server that speaks OpenAI's wire form."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import openai
import pytest
from fastapi.responses import JSONResponse

from tests.rag.api.calling import CHAT_TOOL, TOOL, WEATHER, calling_server, calls
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import chunk, events, running

QUESTION = "How often does the pump need oil?"
UNKNOWN = "What is the weather like in Oslo and Rome?"
MESSAGES = [{"role": "user", "content": QUESTION}]
SEARCH = {"type": "file_search", "vector_store_ids": ["default"]}
PLACES = ["Oslo", "Rome"]


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("functions"), calling_server()
    settings = api_settings(folder, provider="openai", base_url=model.base_url)
    with running(model), serving(settings, [write_documents(folder / "documents")]) as served:
        yield model, served


@pytest.fixture
def model(behind):
    model, _ = behind
    model.requests.clear()
    model.reply = calls
    return model


@pytest.fixture
def client(behind, model):
    with openai.OpenAI(base_url=f"{behind[1].url}/v1", api_key="any", max_retries=0) as client:
        yield client


def answered(tool_calls):
    """The turns that follow the model's calls, for a chat."""
    assistant = {"role": "assistant", "content": None, "tool_calls": [call.model_dump() for call in tool_calls]}
    return [assistant, *({"role": "tool", "tool_call_id": call.id, "content": "4 degrees"} for call in tool_calls)]


# ------------------------------------------------------------------------------------------------------------- chat


def test_functions_reach_the_model_beside_the_passages_and_its_calls_come_back(client, model):
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=[CHAT_TOOL], tool_choice="required", parallel_tool_calls=True
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me ["
    assert [(call.id, call.type, call.function.name) for call in choice.message.tool_calls] == [
        ("call_1", "function", "weather"),
        ("call_2", "function", "weather"),
    ]
    assert [json.loads(call.function.arguments)["place"] for call in choice.message.tool_calls] == PLACES
    (request,) = model.requests
    assert request["tools"] == [CHAT_TOOL]
    assert (request["tool_choice"], request["parallel_tool_calls"]) == ("required", True)
    assert "The pump needs oil every 90 days." in request["messages"][0]["content"]
    assert "call the functions" in request["messages"][0]["content"]


def test_a_stream_brings_the_calls_piece_by_piece(client):
    with client.chat.completions.stream(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL]) as stream:
        pieces = [event.arguments_delta for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = stream.get_final_completion()
    assert [piece for piece in pieces if piece] == ['{"place"', ': "Oslo"}', '{"place": "Rome"}']
    (choice,) = final.choices
    assert choice.finish_reason == "tool_calls"
    assert [call.id for call in choice.message.tool_calls] == ["call_1", "call_2"]
    assert [json.loads(call.function.arguments)["place"] for call in choice.message.tool_calls] == PLACES


def test_a_call_is_shown_before_it_is_whole(client, model):
    seen = asyncio.Event()
    loops = []

    async def slow():
        loops.append(asyncio.get_running_loop())
        call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": "{"}}
        yield chunk(choices=[{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}])
        async with asyncio.timeout(10):
            await seen.wait()
        yield chunk(None, "tool_calls")

    model.reply = lambda *_: events(slow())
    with client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL], stream=True) as chunks:
        first = next(told for told in chunks if told.choices[0].delta.tool_calls)
        assert first.choices[0].delta.tool_calls[0].function.arguments == "{"
        loops[0].call_soon_threadsafe(seen.set)
        assert list(chunks)[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
def test_with_what_the_functions_gave_the_answer_is_cited(client, model, stream):
    first = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL])
    messages = [*MESSAGES, *answered(first.choices[0].message.tool_calls)]
    answer = client.chat.completions.create(model="tiny", messages=messages, tools=[CHAT_TOOL], stream=stream)
    if stream:
        chunks = list(answer)
        text = "".join(told.choices[0].delta.content or "" for told in chunks)
        told, finish_reason = chunks[-1].model_dump(), chunks[-1].choices[0].finish_reason
    else:
        text, finish_reason = answer.choices[0].message.content, answer.choices[0].finish_reason
        told = answer.model_dump()
    assert text == "Oslo has 4 degrees.\n\nThe pump needs oil every 90 days [1]."
    assert finish_reason == "stop"
    assert told["citations"][0]["quote"] == "The pump needs oil every 90 days."
    assert [claim["verdict"] for claim in told["claims"]] == ["supported"], "no source is asked of what a function gave"
    sent = model.requests[-1]["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "tool", "tool"]
    assert sent[2]["tool_calls"] == messages[1]["tool_calls"]
    assert [turn["tool_call_id"] for turn in sent[3:]] == ["call_1", "call_2"]
    assert "The pump needs oil" in sent[0]["content"]


def test_a_question_beyond_the_documents_is_answered_by_a_function_if_there_is_one(client, model):
    unknown = [{"role": "user", "content": UNKNOWN}]
    client.chat.completions.create(model="tiny", messages=unknown)
    client.chat.completions.create(model="tiny", messages=unknown, tools=[CHAT_TOOL], tool_choice="none")
    assert model.requests == [], "the documents do not tell, and no model is asked"
    answer = client.chat.completions.create(model="tiny", messages=unknown, tools=[CHAT_TOOL])
    assert len(answer.choices[0].message.tool_calls) == 2
    follow_up = [*unknown, *answered(answer.choices[0].message.tool_calls)]
    answer = client.chat.completions.create(model="tiny", messages=follow_up, tools=[CHAT_TOOL])
    assert answer.choices[0].message.content.startswith("Oslo has 4 degrees.")


def test_without_retrieval_only_the_functions_go_to_the_model(client, model):
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=[CHAT_TOOL], extra_body={"retrieval": False}
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [turn["role"] for turn in model.requests[0]["messages"]] == ["user"]


def test_one_function_and_some_functions_can_be_chosen(client, model):
    other = {"type": "function", "function": {"name": "time"}}
    named = {"type": "function", "function": {"name": "weather"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    for choice in (named, allowed):
        client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL, other], tool_choice=choice)
    first, second = model.requests
    assert (first["tool_choice"], len(first["tools"])) == (named, 2)
    assert (second["tool_choice"], second["tools"]) == ("required", [CHAT_TOOL])


def test_a_later_question_is_told_the_calls_of_the_earlier_one(client, model):
    calls_made = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL]).choices[0].message
    turns = [*MESSAGES, *answered(calls_made.tool_calls), {"role": "assistant", "content": "4 degrees."}]
    client.chat.completions.create(
        model="tiny", messages=[*turns, {"role": "user", "content": "And how often does the pump need oil?"}]
    )
    sent = model.requests[-1]["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    assert "weather(" in model.requests[-2]["messages"][0]["content"], "the question is condensed with what was called"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools"),
        ({"tools": [CHAT_TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [CHAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "time"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [CHAT_TOOL], "extra_body": {"mode": "summarize"}}, "tools"),
        ({"messages": [*MESSAGES, {"role": "tool", "tool_call_id": "call_1", "content": "4"}]}, "messages"),
        ({"messages": [*MESSAGES, {"role": "tool", "content": "4"}]}, "messages"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(client, model, wrong, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**{"model": "tiny", "messages": MESSAGES, **wrong})
    assert raised.value.body["param"].startswith(param)
    assert model.requests == []


def test_a_call_must_have_its_answer(client):
    calls_made = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL]).choices[0].message
    turns = answered(calls_made.tool_calls)
    for missing in (turns[:2], [turns[0], *MESSAGES], [*turns[:2], *MESSAGES]):
        with pytest.raises(openai.BadRequestError, match="call_2") as raised:
            client.chat.completions.create(model="tiny", messages=[*MESSAGES, *missing], tools=[CHAT_TOOL])
        assert raised.value.body["param"] == "messages"


STRICT = {"type": "function", "function": {**WEATHER, "strict": True}}
NEEDED = [{"tools": [STRICT]}, {"tools": [CHAT_TOOL], "tool_choice": "required"}]


@pytest.mark.parametrize("needed", NEEDED, ids=["strict", "required"])
def test_a_model_without_function_calling_says_so_where_one_is_needed(served, needed):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        for ask in (
            lambda: client.chat.completions.create(model="scripted", messages=MESSAGES, **needed),
            lambda: client.chat.completions.create(model="scripted", messages=MESSAGES, stream=True, **needed),
            lambda: client.responses.create(model="scripted", input=QUESTION, tools=[{**TOOL, "strict": True}, SEARCH]),
        ):
            with pytest.raises(openai.BadRequestError, match="cannot call functions") as raised:
                ask()
            assert raised.value.body["param"] == "tools"


def test_a_model_without_function_calling_answers_where_it_may_do_without(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        answer = client.chat.completions.create(model="scripted", messages=MESSAGES, tools=[CHAT_TOOL])
        assert answer.choices[0].message.content.startswith("Every 90 days [1]")
        assert answer.notices == ["functions_left_out"]
        assert answer.citations
        answer = client.responses.create(model="scripted", input=QUESTION, tools=[TOOL, SEARCH])
        assert answer.output_text.startswith("Every 90 days [1]")


REFUSALS = [
    (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    (400, "registry.ollama.ai/library/tiny:latest does not support tools"),
    (500, "tools param requires --jinja flag"),
]


@pytest.mark.parametrize(("status", "said"), REFUSALS)
def test_a_server_that_takes_no_functions_is_told_of_where_one_is_needed(client, model, caplog, status, said):
    model.reply = lambda *_: JSONResponse({"error": {"message": said}}, status)
    with pytest.raises(
        openai.BadRequestError, match="--enable-auto-tool-choice and --tool-call-parser, llama"
    ) as raised:
        client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[STRICT])
    assert said not in str(raised.value), "what a server says is for the log"
    assert said in caplog.text
    assert len(model.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "said"), REFUSALS)
def test_a_server_that_takes_no_functions_answers_where_it_may_do_without(client, model, status, said, stream):
    refusal = JSONResponse({"error": {"message": said}}, status)
    model.reply = lambda request, body: refusal if "tools" in body else calls(request, body)
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL], stream=stream)
    if stream:
        chunks = list(answer)
        assert "every 90 days" in "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
        assert [each.notices for each in chunks if getattr(each, "notices", None)] == [["functions_left_out"]]
    else:
        assert "every 90 days" in answer.choices[0].message.content
        assert answer.notices == ["functions_left_out"]


# -------------------------------------------------------------------------------------------------------- responses


def outputs(response):
    """What the client sends after the model's calls."""
    called = [item for item in response.output if item.type == "function_call"]
    return [{"type": "function_call_output", "call_id": item.call_id, "output": "4 degrees"} for item in called]


def test_a_response_has_the_search_the_words_and_the_calls(client, model):
    response = client.responses.create(model="tiny", input=QUESTION, tools=[TOOL, SEARCH], tool_choice="required")
    search, message, first, second = response.output
    assert (search.type, message.content[0].text, response.status) == ("file_search_call", "Let me [", "completed")
    assert [(c.type, c.call_id, c.name, c.status) for c in (first, second)] == [
        ("function_call", "call_1", "weather", "completed"),
        ("function_call", "call_2", "weather", "completed"),
    ]
    assert [json.loads(call.arguments)["place"] for call in (first, second)] == PLACES
    assert response.parallel_tool_calls
    assert response.tools[0].name == "weather"
    assert model.requests[0]["tools"] == [{"type": "function", "function": WEATHER}]
    assert model.requests[0]["tool_choice"] == "required"


def test_a_response_goes_on_with_what_the_functions_gave(client, model):
    first = client.responses.create(model="tiny", input=QUESTION, tools=[TOOL])
    kept = client.responses.create(model="tiny", input=outputs(first), previous_response_id=first.id, tools=[TOOL])
    sent_back = [{"role": "user", "content": QUESTION}, *(item.model_dump() for item in first.output), *outputs(first)]
    loose = client.responses.create(model="tiny", input=sent_back, tools=[TOOL], store=False)
    for response, request in zip((kept, loose), model.requests[1:], strict=True):
        assert response.output_text == "Oslo has 4 degrees.\n\nThe pump needs oil every 90 days [1]."
        assert response.output[-1].content[0].annotations[0].quote == "The pump needs oil every 90 days."
        assert [turn["role"] for turn in request["messages"]] == ["system", "user", "assistant", "tool", "tool"]
        assert [call["id"] for call in request["messages"][2]["tool_calls"]] == ["call_1", "call_2"]
        assert request["messages"][2]["content"] == "Let me ["
    listed = client.responses.input_items.list(kept.id, order="asc").data
    assert [(item.type, item.call_id, item.output) for item in listed] == [
        ("function_call_output", "call_1", "4 degrees"),
        ("function_call_output", "call_2", "4 degrees"),
    ]
    third = client.responses.create(model="tiny", input="And how often is that?", previous_response_id=kept.id)
    assert third.status == "completed"
    assert sum(turn["role"] == "tool" for turn in model.requests[-1]["messages"]) == 2


def test_a_stream_of_a_response_tells_every_call_in_order(client):
    with client.responses.stream(model="tiny", input=QUESTION, tools=[TOOL, SEARCH]) as stream:
        told = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in told] == list(range(len(told)))
    assert final.output[2].call_id == "call_1"
    by_place: dict[int, list[str]] = {}
    for event in told:
        if hasattr(event, "output_index"):
            by_place.setdefault(event.output_index, []).append(event.type.removeprefix("response."))
    assert list(by_place) == [0, 1, 2, 3]
    begun, ended = "output_item.added", "output_item.done"
    arguments = "function_call_arguments"
    assert by_place[2] == [begun, *[f"{arguments}.delta"] * 2, f"{arguments}.done", ended]
    assert by_place[3] == [begun, f"{arguments}.delta", f"{arguments}.done", ended]
    assert by_place[1][0] == begun
    assert by_place[1][-1] == ended
    done = [event for event in told if event.type == f"response.{arguments}.done"]
    assert [json.loads(event.arguments)["place"] for event in done] == PLACES


def test_a_reply_of_calls_alone_has_no_message(client, model):
    def only_calls(request, body):
        response = calls(request, body)
        pieces = response.body_iterator

        async def without_words():
            async for piece in pieces:
                if b"Let me" not in piece:
                    yield piece

        response.body_iterator = without_words()
        return response

    model.reply = only_calls
    response = client.responses.create(model="tiny", input=QUESTION, tools=[TOOL])
    assert [item.type for item in response.output] == ["function_call", "function_call"]
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[CHAT_TOOL])
    assert answer.choices[0].message.content is None
    assert len(answer.choices[0].message.tool_calls) == 2


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "time"}}, "tool_choice"),
        ({"input": [{"type": "function_call_output", "call_id": "call_1", "output": "4"}]}, "messages"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]}, "input"),
        ({"input": [{"type": "function_call_output", "output": "4"}]}, "input"),
    ],
)
def test_what_does_not_fit_together_in_a_response_is_refused(client, wrong, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(**{"model": "tiny", "input": QUESTION, **wrong})
    assert raised.value.body["param"] == param


def test_a_response_may_choose_too(client, model):
    for choice in ({"type": "function", "name": "weather"}, {"type": "file_search"}, "required"):
        client.responses.create(model="tiny", input=QUESTION, tools=[TOOL, SEARCH], tool_choice=choice)
    assert [request["tool_choice"] for request in model.requests] == [
        {"type": "function", "function": {"name": "weather"}},
        "none",
        "required",
    ]
    client.responses.create(model="tiny", input=QUESTION, tools=[SEARCH], tool_choice="required")
    assert "tools" not in model.requests[-1]


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_documentation_run(behind, model, capsys, number):
    page = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    section = page.partition("\n## Functions\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    assert "http://127.0.0.1:8000" in blocks[number]
    exec(compile(blocks[number].replace("http://127.0.0.1:8000", behind[1].url), "example", "exec"), {})
    # The model cites [1]; whichever passage is about the pump is cited instead.
    assert re.fullmatch(r"Oslo has 4 degrees\.\n\nThe pump needs oil every 90 days \[\d\]\.\n", capsys.readouterr().out)
    asked, answered = [request["messages"] for request in model.requests]
    assert [turn["role"] for turn in asked] == ["system", "user"]
    assert answered[2]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"place": "Oslo"}'}
    assert "31" in answered[3]["content"]
