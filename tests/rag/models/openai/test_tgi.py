"""The `tgi` provider, against the wire of Hugging Face's text generation server."""

from __future__ import annotations

import json

import pytest
from fastapi.responses import JSONResponse

from rag.errors import BackendRejected, ConfigurationError, PromptTooLong
from rag.models.llm import check_model, open_language_model
from rag.settings import Settings
from rag.types.documents import Message
from tests.rag.models.model_server import ModelServer, ask, events, running, text_of

INFO = {
    "model_id": "HuggingFaceH4/zephyr-7b-beta",
    "max_input_tokens": 3000,
    "max_total_tokens": 4000,
    "version": "3.3.5",
}


@pytest.fixture
def server():
    with running(ModelServer()) as server:
        server.extra["info"] = JSONResponse(INFO)
        server.posts["generate_stream"] = lambda _: generated("The pump", " needs oil", " [1].", end="</s>")
        yield server


def generated(*texts: str, end: str = "", finish_reason: str = "eos_token"):
    """A stream of TGI's: an event a token, the last one with the whole text and the details."""

    async def pieces():
        tokens = [(text, False) for text in texts] + ([(end, True)] if end else [])
        for place, (text, special) in enumerate(tokens):
            is_last = place == len(tokens) - 1
            event = {
                "index": place + 1,
                "token": {"id": place, "text": text, "logprob": -0.1, "special": special},
                "generated_text": "".join(texts) if is_last else None,
                "details": {"finish_reason": finish_reason, "generated_tokens": len(tokens), "input_length": 17}
                if is_last
                else None,
            }
            yield f"data:{json.dumps(event)}\n\n".encode()

    return events(pieces())


def opened(server: ModelServer, **llm):
    base_url = server.base_url.removesuffix("/v1")
    return open_language_model(Settings(_env_file=None, llm={"provider": "tgi", "base_url": base_url, **llm}))


async def test_a_reply_comes_token_by_token(server):
    model = opened(server)
    assert (model.provider, model.name, model.context_window) == ("tgi", INFO["model_id"], 4000)
    assert not model.calls_functions
    await check_model(model)
    deltas = await ask(model, temperature=0.5, seed=7)
    assert text_of(deltas) == "The pump needs oil [1]."
    assert deltas[-1].finish_reason == "stop"
    assert (deltas[-1].usage.prompt_tokens, deltas[-1].usage.completion_tokens) == (17, 4)
    [asked] = server.counted
    assert asked["inputs"] == "<|system|>\nCite.</s>\n<|user|>\nHow often?</s>\n<|assistant|>\n"
    assert asked["parameters"] == {
        "details": True,
        "do_sample": True,
        "max_new_tokens": 100,
        "seed": 7,
        "stop": ["<|user|>"],
        "temperature": 0.5,
    }


async def test_what_it_refuses_is_not_sent(server):
    await ask(opened(server), temperature=0, top_p=1.0, presence_penalty=0.5, stop=("a", "b", "c", "d"))
    parameters = server.counted[-1]["parameters"]
    assert not {"temperature", "do_sample", "top_p", "presence_penalty"} & parameters.keys()
    assert len(parameters["stop"]) == 4


async def test_a_text_that_ends_the_reply_is_not_in_it(server):
    server.posts["generate_stream"] = lambda _: generated("Oil", " <", "|us", "er|>", finish_reason="stop_sequence")
    assert text_of(await ask(opened(server))) == "Oil "
    server.posts["generate_stream"] = lambda _: generated("a <", "|b", "<|use", finish_reason="length")
    deltas = await ask(opened(server))
    assert text_of(deltas) == "a <|b<|use"
    assert deltas[-1].finish_reason == "length"


async def test_a_chosen_prompt_type_goes_before_the_model_s_name(server):
    await ask(opened(server, prompt_type="mistral"), Message("user", "How often?"))
    assert server.counted[-1]["inputs"] == "[INST] How often? [/INST]"


async def test_an_object_is_asked_for_by_grammar(server):
    schema = {"type": "object", "properties": {"day": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "day", "schema": schema}}
    await ask(opened(server), response_format=form)
    assert server.counted[-1]["parameters"]["grammar"] == {"type": "json", "value": schema}


async def test_a_prompt_that_is_too_long_tells_the_limit(server):
    words = "Input validation error: `inputs` must have less than 3000 tokens. Given: 3210"
    server.posts["generate_stream"] = lambda _: JSONResponse({"error": words, "error_type": "validation"}, 422)
    with pytest.raises(PromptTooLong) as caught:
        await ask(opened(server))
    assert (caught.value.limit, caught.value.counted) == (3000, 3210)


async def test_a_failure_in_the_middle_is_told(server):
    async def pieces():
        yield b'data:{"token":{"id":1,"text":"","special":false},"generated_text":null}\n\n'
        yield b'data:{"error":"Request failed during generation","error_type":"generation"}\n\n'

    server.posts["generate_stream"] = lambda _: events(pieces())
    with pytest.raises(Exception, match="gave up"):
        await ask(opened(server))


def test_what_is_no_tgi_is_told(server):
    server.extra.clear()
    assert "it is no TGI" in opened(server).description
    with pytest.raises(ConfigurationError, match="no prompt type"):
        opened(server, prompt_type="no-such")


async def test_a_key_is_sent(server):
    await ask(opened(server, api_key="the-key"))
    assert {headers.get("authorization") for headers in server.headers} == {"Bearer the-key"}
    server.extra["info"] = JSONResponse({"error": "Authentication failed"}, 401)
    assert "it refuses the API key" in opened(server, api_key="the-key").description


async def test_a_refusal_is_told_without_the_servers_words(server):
    server.posts["generate_stream"] = lambda _: JSONResponse({"error": "the secret model"}, 422)
    with pytest.raises(BackendRejected) as caught:
        await ask(opened(server))
    assert "secret" not in str(caught.value)
