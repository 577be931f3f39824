"""Images in messages: shown to a model that sees, left out with a notice for one that does not."""

from __future__ import annotations

import openai
import pytest
from fastapi.responses import JSONResponse

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents
from tests.rag.models.model_server import WORDS, ModelServer, running, stream

PICTURE = "data:image/png;base64,iVBORw0KGgo="
ELSEWHERE = "https://example.org/pump.png"
TEXT = "How often does the pump need oil?"
# what servers of models that are blind say: vLLM, llama-server, Ollama
REFUSALS = [
    (400, "tiny is not a multimodal model"),
    (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
    (400, "this model does not support images"),
]


def question(*images, text=TEXT):
    shown = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    return {"role": "user", "content": [{"type": "text", "text": text}, *shown]}


def images_in(body):
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    return [part["image_url"]["url"] for content in contents for part in content if part["type"] == "image_url"]


@pytest.fixture(scope="module")
def server():
    server = ModelServer()
    server.models = JSONResponse({"data": [{"id": "tiny", "max_model_len": 8192}]})
    with running(server):
        yield server


def client_of(tmp_path, server, **llm):
    settings = api_settings(tmp_path, provider="openai", base_url=server.base_url, **llm)
    return serving(settings, [write_documents(tmp_path / "documents")])


@pytest.fixture
def seeing(tmp_path, server):
    server.requests.clear()
    server.reply = lambda _, body: stream(WORDS, body)
    with client_of(tmp_path, server) as served, openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
        yield client


@pytest.fixture(params=REFUSALS, ids=["vllm", "llama-server", "ollama"])
def blind(tmp_path, server, request):
    status, words = request.param
    server.requests.clear()

    def reply(_, body):
        if images_in(body):
            return JSONResponse({"error": {"message": words, "type": "error"}}, status)
        return stream(WORDS, body)

    server.reply = reply
    with client_of(tmp_path, server) as served, openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
        yield client


def test_a_model_that_sees_is_asked_once_and_shown_the_images_with_the_documents(seeing, server):
    for _ in range(2):
        answer = seeing.chat.completions.create(model="footnote/default", messages=[question(PICTURE)])
        assert (answer.notices, answer.citations[0]["page_index"]) == ([], 1)
    probe, first, second = server.requests
    assert len(images_in(probe)) == 1
    assert images_in(first) == images_in(second) == [PICTURE]
    assert "oil every 90 days" in str(first["messages"])


def test_the_images_of_a_conversation_stay_and_addresses_are_not_fetched(seeing, server):
    turns = [question(PICTURE, text="What is this?"), {"role": "assistant", "content": "A pump."}, question(ELSEWHERE)]
    answer = seeing.chat.completions.create(model="footnote/default", messages=turns)
    assert images_in(server.requests[-1]) == [PICTURE]
    assert answer.notices == ["images_left_out"]


def test_a_model_that_does_not_see_is_asked_without_the_images_and_the_answer_says_so(blind, server):
    for _ in range(2):
        answer = blind.chat.completions.create(model="footnote/default", messages=[question(PICTURE)])
        assert (answer.notices, answer.choices[0].message.content) == (["images_left_out"], "".join(WORDS))
    with blind.chat.completions.create(model="footnote/default", messages=[question(PICTURE)], stream=True) as chunks:
        assert list(chunks)[-1].notices == ["images_left_out"]
    assert [bool(images_in(body)) for body in server.requests] == [True, False, False, False]


@pytest.mark.parametrize("sees", [True, False])
def test_a_setting_says_whether_the_model_sees(tmp_path, server, sees):
    server.requests.clear()
    server.reply = lambda _, body: stream(WORDS, body)
    with (
        client_of(tmp_path, server, vision=sees) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client,
    ):
        answer = client.chat.completions.create(model="footnote/default", messages=[question(PICTURE)])
    assert [images_in(body) for body in server.requests] == [[PICTURE] if sees else []]
    assert answer.notices == ([] if sees else ["images_left_out"])


def test_responses_keep_images_and_go_on_from_them(seeing, server):
    shown = {"type": "input_image", "image_url": PICTURE, "detail": "auto"}
    content = [{"type": "input_text", "text": TEXT}, shown]
    first = seeing.responses.create(model="footnote/default", input=[{"role": "user", "content": content}])
    assert first.notices == []
    (item,) = seeing.responses.input_items.list(first.id)
    assert (item.content[1].type, item.content[1].image_url) == ("input_image", PICTURE)
    seeing.responses.create(model="footnote/default", input="And now?", previous_response_id=first.id)
    assert images_in(server.requests[-1]) == [PICTURE]
    talk = seeing.conversations.create(items=[{"role": "user", "content": content}])
    seeing.responses.create(model="footnote/default", input="And now?", conversation=talk.id)
    assert images_in(server.requests[-1]) == [PICTURE]
    named = [{"type": "input_text", "text": TEXT}, {"type": "input_image", "file_id": "file_1", "detail": "auto"}]
    answer = seeing.responses.create(model="footnote/default", input=[{"role": "user", "content": named}])
    assert answer.notices == ["images_left_out"]


@pytest.mark.parametrize("mode", ["summarize", "plan"])
def test_modes_of_several_calls_leave_images_out(seeing, server, mode):
    options = {"footnote": {"mode": mode, "documents": ["manual.pdf"]}}
    answer = seeing.chat.completions.create(model="footnote/default", messages=[question(PICTURE)], extra_body=options)
    assert "images_left_out" in answer.notices
    assert not any(images_in(body) for body in server.requests)


def test_a_model_in_this_process_is_asked_without_them(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
        answer = client.chat.completions.create(model="scripted", messages=[question(PICTURE)])
        assert answer.notices == ["images_left_out"]
        with pytest.raises(openai.BadRequestError, match="text"):
            client.chat.completions.create(model="scripted", messages=[question(PICTURE, text="")])
