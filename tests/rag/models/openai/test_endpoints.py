"""A server whose model has no chat template is asked at `/completions`."""

from __future__ import annotations

import json

import pytest

from rag.types.documents import Message
from tests.rag.models.model_server import ModelServer, ask, counts_as_vllm, events, open_at, running, text_of


def completed(words):
    async def pieces():
        for word in words:
            yield f"data: {json.dumps({'choices': [{'index': 0, 'text': word, 'finish_reason': None}]})}\n\n".encode()
        yield b'data: {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}\n\n'
        yield b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}\n\n'
        yield b"data: [DONE]\n\n"

    return events(pieces())


@pytest.fixture
def server():
    with running(ModelServer()) as server:
        counts_as_vllm(server)
        server.posts["v1/completions"] = lambda _: completed(["Every", " month"])
        yield server


async def test_the_prompt_is_written_by_the_prompt_type(server):
    model = open_at(server, prompt_type="chatml")
    deltas = await ask(model, stop=("END",))
    assert text_of(deltas) == "Every month"
    assert next(delta.finish_reason for delta in deltas if delta.finish_reason) == "length"
    assert deltas[-1].usage.prompt_tokens == 9
    [asked] = server.counted
    assert asked["prompt"].endswith("<|im_start|>user\nHow often?<|im_end|>\n<|im_start|>assistant\n")
    assert asked["stop"] == ["END", "<|im_end|>"]
    assert (asked["model"], asked["max_tokens"], asked["stream"]) == ("tiny", 100, True)
    assert server.requests == []  # no chat


async def test_it_is_no_chat(server):
    model = open_at(server, prompt_type="plain")
    assert not model.calls_functions
    assert not model.takes_images
    assert model.context_window == 2048
    assert model.count_prompt([Message("user", "How often?")]) is None  # a chat's tokens would be counted
