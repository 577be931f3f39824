"""Whether a model sees is asked once, and only where images can be sent; what cannot be reached is asked again."""

from __future__ import annotations

import pytest
from fastapi.responses import JSONResponse

from rag.errors import BackendMisconfigured, BackendUnavailable
from rag.models.chat_template import fold_system, to_turns
from rag.models.vision import sees_images
from rag.types.chat import Message
from tests.rag.models.model_server import WORDS, ModelServer, open_at, running, stream


@pytest.fixture
def server():
    server = ModelServer()
    with running(server):
        yield server


@pytest.mark.parametrize("sees", [True, False])
async def test_a_server_is_asked_once(server, sees):
    refusal = JSONResponse({"error": {"message": "tiny is not a multimodal model"}}, 400)
    server.reply = lambda _, body: stream(WORDS, body) if sees else refusal
    model = open_at(server)
    assert [await sees_images(model) for _ in range(3)] == [sees] * 3
    (request,) = server.requests
    assert request["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_key_tells_nothing_of_what_a_model_sees(server, status):
    server.reply = lambda _, __: JSONResponse({"error": {"message": "no"}}, status)
    model = open_at(server)
    with pytest.raises(BackendMisconfigured):
        await sees_images(model)
    server.reply = lambda _, body: stream(WORDS, body)
    assert await sees_images(model)


@pytest.mark.parametrize("sees", [True, False])
async def test_a_server_is_not_asked_where_the_settings_say(server, sees):
    assert await sees_images(open_at(server, vision=sees)) is sees
    assert server.requests == []


async def test_what_fails_tells_nothing(server):
    server.reply = lambda _, __: JSONResponse({"error": {"message": "CUDA out of memory"}}, 500)
    model = open_at(server)
    with pytest.raises(BackendUnavailable):
        await sees_images(model)
    server.reply = lambda _, body: stream(WORDS, body)
    assert await sees_images(model)


def test_a_system_message_goes_before_the_images_of_the_first_question():
    turns = to_turns([Message("system", "Cite."), Message("user", "What is it?", images=("data:a", "data:b"))])
    text, question = ({"type": "text", "text": words} for words in ("Cite.", "What is it?"))
    images = [{"type": "image_url", "image_url": {"url": address}} for address in ("data:a", "data:b")]
    assert fold_system(turns) == [{"role": "user", "content": [text, question, *images]}]
