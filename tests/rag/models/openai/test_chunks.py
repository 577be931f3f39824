"""Calls of functions in the streams of servers that write them in their own ways."""

from __future__ import annotations

import json

import pytest

from rag.errors import AnswerInterrupted
from rag.models.chat_template import fold_system, to_turns
from rag.models.llm import stream_text
from rag.models.openai.chunks import ToolCallReader
from rag.types.chat import Functions, ToolCall, joined
from rag.types.documents import Message
from tests.rag.models.model_server import QUESTION, chunk, counts_as_vllm, events, open_at

OSLO, ROME = ToolCall("a", "weather", '{"place": "Oslo"}'), ToolCall("b", "weather", '{"place": "Rome"}')
FUNCTIONS = Functions(({"name": "weather", "parameters": {"type": "object"}},))


def piece(index, call_id=None, name=None, arguments=None):
    told = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in told.items() if value is not None}


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [
                *(piece(0, "a", "weather", '{"place": '), piece(0, None, None, '"Oslo"}')),
                *(piece(1, "b", "weather", ""), piece(1, None, None, ROME.arguments)),
            ],
            id="as OpenAI and vLLM do",
        ),
        pytest.param(
            [piece(0, "a", "weather", OSLO.arguments), piece(0, "b", "weather", ROME.arguments)],
            id="every call has the same number (Ollama)",
        ),
        pytest.param(
            [
                *(piece(0, "a", "weather", '{"place": '), piece(0, "a", "weather", '"Oslo"}')),
                piece(1, "b", "weather", ROME.arguments),
            ],
            id="id and name in every piece",
        ),
        pytest.param(
            [
                *(piece(None, "a", "weather", '{"place": '), piece(None, None, None, '"Oslo"}')),
                piece(None, "b", "weather", ROME.arguments),
            ],
            id="no numbers",
        ),
        pytest.param([piece(3, "a", "weather", OSLO.arguments), piece(7, "b", "weather", ROME.arguments)], id="gaps"),
    ],
)
def test_however_they_are_written_the_calls_are_the_same(pieces):
    reader = ToolCallReader()
    deltas = [delta for piece in pieces for delta in reader.feed([piece])]
    assert joined(deltas) == (OSLO, ROME)
    assert [delta.index for delta in deltas] == sorted(delta.index for delta in deltas)
    assert [delta.id for delta in deltas if delta.id] == ["a", "b"]
    assert [delta.name for delta in deltas if delta.name] == ["weather", "weather"]


def test_a_call_without_an_id_gets_one():
    deltas = ToolCallReader().feed([piece(0, "", "weather", "{}"), piece(1, None, "weather", "{}")])
    first, second = joined(deltas)
    assert first.id.startswith("call_")
    assert len({first.id, second.id}) == 2


@pytest.mark.parametrize("nonsense", [None, "weather", 5, [None, "x"], {}])
def test_what_is_no_call_is_passed_over(nonsense):
    assert ToolCallReader().feed(nonsense) == ()


async def test_a_server_that_dies_in_a_call_interrupts_the_answer(server):
    async def breaks():
        yield chunk(choices=[{"index": 0, "delta": {"tool_calls": [piece(0, "a", "weather", "{")]}}])
        yield b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'

    server.reply = lambda *_: events(breaks())
    with pytest.raises(AnswerInterrupted):
        [delta async for delta in stream_text(open_at(server), QUESTION, functions=FUNCTIONS)]
    assert len(server.requests) == 1, "nothing is asked again once a call has begun"
    assert server.requests[0]["tools"] == [{"type": "function", "function": FUNCTIONS.definitions[0]}]


def test_calls_and_results_stay_apart_where_turns_are_merged():
    messages = [
        Message("system", "Be brief."),
        Message("user", "Oslo and Rome?"),
        Message("assistant", "", (OSLO, ROME)),
        Message("tool", "4", tool_call_id="a"),
        Message("tool", "9", tool_call_id="b"),
    ]
    turns = fold_system(to_turns(messages))
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "tool"]
    assert turns[0]["content"] == "Be brief.\n\nOslo and Rome?"
    assert turns[1]["tool_calls"][1] == {
        "id": "b",
        "type": "function",
        "function": {"name": "weather", "arguments": ROME.arguments},
    }
    assert (turns[3]["tool_call_id"], turns[3]["content"]) == ("b", "9")


async def test_a_template_that_refuses_calls_still_counts_everything_else(server):
    counts_as_vllm(server)
    model = open_at(server)
    called = [QUESTION[1], Message("assistant", "", (OSLO,)), Message("tool", "4", tool_call_id="a")]
    assert model.count_prompt(called) is None
    assert model.count_prompt(QUESTION[1:]) is not None


async def test_a_template_with_functions_counts_the_calls(server):
    counts_as_vllm(server, make_prompt=json.dumps)
    called = [QUESTION[1], Message("assistant", "", (OSLO,)), Message("tool", "4", tool_call_id="a")]
    assert open_at(server).count_prompt(called) > 20
    assert [turn["role"] for turn in server.counted[0]["messages"]] == ["user", "assistant", "tool"]
    assert server.counted[0]["messages"][1]["tool_calls"][0]["function"]["name"] == "weather"
