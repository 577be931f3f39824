"""Thoughts are told apart from answers, however a server sends them, and helpers do without them, on a real socket."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fastapi.responses import JSONResponse

from rag.answering.generation import reply
from rag.models.llm import stream_text
from rag.models.thoughts import LeadingThoughts, after_thoughts
from rag.types.chat import Functions, Sampling
from rag.types.documents import Message
from tests.growth import assert_linear
from tests.rag.models.model_server import ModelServer, ask, chunk, events, open_at, running, stream, text_of

ANSWER = "Every 90 days [1]."
PROMPT = [Message("user", "Rewrite this.")]


def thoughts_of(deltas):
    return "".join(delta.thoughts for delta in deltas)


def cut(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


def in_field(name, thoughts, answer):
    """Thoughts in a field of their own, as vLLM, DeepSeek and Ollama send them."""

    async def pieces():
        for word in thoughts:
            yield chunk(choices=[{"index": 0, "delta": {name: word, "content": None}, "finish_reason": None}])
        for word in answer:
            yield chunk(word)
        yield chunk(None, "stop" if answer else "length")
        yield b"data: [DONE]\n\n"

    return events(pieces())


@pytest.mark.parametrize("size", [1, 4, 200])
@pytest.mark.parametrize(
    ("written", "thoughts"),
    [
        (f"<think>\nOil stands in [2].\n</think>\n\n{ANSWER}", "Oil stands in [2]."),
        (f"<thinking>Oil. </think> is no end.</thinking>{ANSWER}", "Oil. </think> is no end."),
        (f"[THINK]Oil.[/THINK]{ANSWER}", "Oil."),
        (f"Okay, oil it is.\n</think>\n\n{ANSWER}", "Okay, oil it is."),
        (f"<think>\n\n</think>\n\n{ANSWER}", ""),
        (ANSWER, ""),
    ],
)
async def test_thoughts_in_the_text_are_told_apart(server, written, thoughts, size):
    server.reply = lambda _, body: stream(cut(written, size), body)
    deltas = await ask(open_at(server))
    assert (text_of(deltas), thoughts_of(deltas).strip()) == (ANSWER, thoughts)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thoughts_in_a_field_are_told_apart(server, name):
    server.reply = lambda *_: in_field(name, ["Oil", " stands in [2]."], cut(ANSWER, 5))
    deltas = await ask(open_at(server))
    assert (text_of(deltas), thoughts_of(deltas)) == (ANSWER, "Oil stands in [2].")


async def test_a_server_that_has_both_fields_says_each_thought_once(server):
    delta = {"reasoning_content": "Oil.", "reasoning": "Oil."}

    async def pieces():
        yield chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
        yield chunk(ANSWER, "stop")

    server.reply = lambda *_: events(pieces())
    assert thoughts_of(await ask(open_at(server))) == "Oil."


async def test_thoughts_as_parts_of_the_content_are_told_apart(server):
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "Oil."}]}, {"type": "text", "text": ANSWER}]

    async def pieces():
        yield chunk(choices=[{"index": 0, "delta": {"content": content}, "finish_reason": "stop"}])

    server.reply = lambda *_: events(pieces())
    deltas = await ask(open_at(server))
    assert (text_of(deltas), thoughts_of(deltas)) == (ANSWER, "Oil.")


@pytest.mark.parametrize("size", [1, 4, 200])
async def test_thoughts_that_nobody_saw_begin_are_taken_back_at_their_end_and_known_from_then_on(server, size):
    written = f"Oil stands in [2].\n</think>\n\n{ANSWER}"
    server.reply = lambda _, body: stream(cut(written, size), body)
    model = open_at(server)
    deltas = await ask(model)
    (place,) = [place for place, delta in enumerate(deltas) if delta.retracts]
    assert text_of(deltas[place:]) == ANSWER
    deltas = await ask(model)
    assert (text_of(deltas), thoughts_of(deltas).strip()) == (ANSWER, "Oil stands in [2].")


async def test_an_answer_about_the_tag_is_none(server):
    written = "A line `</think>` ends the thoughts.\nAlso </think>."
    server.reply = lambda _, body: stream(cut(written, 4), body)
    assert text_of(await ask(open_at(server))) == written


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"<think>Oil.</think>\n{ANSWER}", ANSWER),
        (f"Oil.\n</think>\n{ANSWER}", ANSWER),
        (ANSWER, ANSWER),
        ("<think>Oil.", ""),
        ("The tag <think> begins thoughts.", "The tag <think> begins thoughts."),
    ],
)
def test_a_whole_text_without_its_thoughts(text, rest):
    assert after_thoughts(text) == rest


@pytest.mark.parametrize("begin", ["Okay, ", " ", "<think>", "The "])
def test_a_long_reply_takes_no_longer_for_coming_in_many_pieces(begin):
    def reply(pieces):
        leading = LeadingThoughts(None)
        text = leading.feed(begin)[1]
        for _ in range(pieces):
            text += "".join(leading.feed("  " if begin == " " else "word "))
        text += "".join(leading.flush())
        assert len(text) >= 2 * pieces

    assert_linear(reply, 10_000)


# --------------------------------------------------------------------------------------------------- without thinking


def thinker(server: ModelServer, *, obeys=(), refuses=None, needs=10_000):
    """A model that thinks, unless it is asked not to in a way that it obeys, and writes nothing where its tokens do
    not last for both. `refuses` maps fields to what the server says of them."""

    def answer(_, body):
        for field, message in (refuses or {}).items():
            if field in body:
                return JSONResponse({"error": {"message": message.format(value=body[field])}}, 400)
        ways = {
            "template": (body.get("chat_template_kwargs") or {}).get("enable_thinking") is False,
            "effort": body.get("reasoning_effort") in ("none", "minimal", "low"),
            "word": body["messages"][-1]["content"].endswith("/no_think"),
        }
        if any(ways[way] for way in obeys):
            return stream(cut(ANSWER, 5), body)
        return in_field("reasoning_content", ["Hm. "] * 3, cut(ANSWER, 5) if body["max_tokens"] >= needs else [])

    server.reply = answer


async def test_a_helper_asks_for_a_reply_without_thoughts(server):
    thinker(server, obeys=["template"])
    model = open_at(server)
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    (request,) = server.requests
    assert request["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert (request["reasoning_effort"], request["max_tokens"]) == ("none", 64)
    await ask(model)
    assert not server.requests[-1].keys() & {"chat_template_kwargs", "reasoning_effort"}, "an answer may be thought of"


async def test_what_the_server_does_not_take_of_it_is_left_out_from_then_on(server):
    thinker(
        server,
        obeys=["effort"],
        refuses={"chat_template_kwargs": "Unrecognized request argument supplied: chat_template_kwargs"},
    )
    model = open_at(server)
    for requests in (2, 3):
        assert (await reply(model, PROMPT, 64)).text == ANSWER
        assert len(server.requests) == requests, "it remembers"


async def test_the_least_effort_that_a_model_knows_is_asked_for(server):
    def picky(_, body):
        if body.get("reasoning_effort") == "none":
            message = (
                "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: "
            )
            return JSONResponse({"error": {"message": message + "'minimal', 'low', 'medium', and 'high'."}}, 400)
        return stream(cut(ANSWER, 5), body)

    server.reply = picky
    model = open_at(server)
    await reply(model, PROMPT, 64)
    await reply(model, PROMPT, 64)
    assert [request["reasoning_effort"] for request in server.requests] == ["none", "minimal", "minimal"]


async def test_a_refusal_in_words_that_name_no_field_costs_the_helper_nothing(server):
    def odd(_, body):
        is_plain = not body.keys() & {"chat_template_kwargs", "reasoning_effort"}
        return stream(cut(ANSWER, 5), body) if is_plain else JSONResponse({"error": "bad request"}, 400)

    server.reply = odd
    model = open_at(server)
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    assert len(server.requests) == 3


async def test_a_model_that_thinks_all_the_same_is_told_in_words(server):
    thinker(server, obeys=["word"])
    model = open_at(server)
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    assert len(server.requests) == 2
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    assert server.requests[-1]["messages"][-1]["content"] == "Rewrite this.\n\n/no_think"
    assert len(server.requests) == 3, "it remembers"


async def test_a_model_that_cannot_but_think_gets_room_for_it(server):
    thinker(server, needs=500)
    model = open_at(server)
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    assert [request["max_tokens"] for request in server.requests[:2]] == [64, 64]
    assert 500 < server.requests[2]["max_tokens"] <= model.context_window - len(PROMPT[0].content) // 4
    assert "/no_think" not in server.requests[2]["messages"][-1]["content"]
    assert (await reply(model, PROMPT, 64)).text == ANSWER
    assert len(server.requests) == 4


async def test_a_helper_that_gets_nothing_but_thoughts_gives_up(server):
    thinker(server)
    model = open_at(server)
    assert (await reply(model, PROMPT, 64)).text == ""
    assert len(server.requests) == 3


async def test_settings_reach_the_server_with_every_request_and_a_request_goes_before_them(server):
    model = open_at(server, extra_body={"chat_template_kwargs": {"style": "terse"}, "min_p": 0.1})
    await ask(model, extra_body={"min_p": 0.2, "reasoning_effort": "high"})
    await reply(model, PROMPT, 64)
    answered, helped = server.requests
    assert (answered["min_p"], answered["reasoning_effort"]) == (0.2, "high")
    assert answered["chat_template_kwargs"] == {"style": "terse"}
    assert (helped["min_p"], helped["reasoning_effort"]) == (0.1, "none")
    assert helped["chat_template_kwargs"] == {"style": "terse", "enable_thinking": False, "thinking": False}


async def test_a_field_of_one_request_that_the_server_does_not_take_is_left_out_of_that_one(server):
    def picky(_, body):
        if "min_p" in body:
            return JSONResponse({"error": {"message": "Unknown parameter: 'min_p'."}}, 400)
        return stream(cut(ANSWER, 5), body)

    server.reply = picky
    model = open_at(server)
    assert text_of(await ask(model, extra_body={"min_p": 0.2})) == ANSWER
    assert text_of(await ask(model, extra_body={"min_p": 0.2})) == ANSWER
    assert [("min_p" in request) for request in server.requests] == [True, False, True, False]


def test_two_models_of_one_server_do_not_share_what_is_known_of_them():
    async def both():
        with running(ModelServer()) as server:
            thinker(server, obeys=["word"])
            first, second = open_at(server), open_at(server)
            await reply(first, PROMPT, 64)
            assert (first.thoughts.failed_ways, second.thoughts.failed_ways) == (1, 0)
            copy = replace(first, context_window=512)
            deltas = stream_text(copy, PROMPT, Sampling(max_tokens=9), thinks=False)
            assert text_of([delta async for delta in deltas]) == ANSWER

    asyncio.run(both())


async def test_what_may_be_thoughts_is_told_before_the_calls_that_follow_it(server):
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}

    async def pieces():
        yield chunk("Let me look.")
        yield chunk(None, None, choices=[{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}])
        yield chunk(None, "tool_calls")
        yield b"data: [DONE]\n\n"

    server.reply = lambda *_: events(pieces())
    functions = Functions(({"name": "weather", "parameters": {}},))
    deltas = [delta async for delta in stream_text(open_at(server), [Message("user", "?")], functions=functions)]
    told = [(delta.text, bool(delta.calls)) for delta in deltas if delta.text or delta.calls]
    assert "".join(text for text, _ in told) == "Let me look."
    assert not any(text for place, (text, _) in enumerate(told) if any(has_calls for _, has_calls in told[:place]))
