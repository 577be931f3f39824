"""The `gradio` provider, against the wires of a Gradio 6 (`gradio.ChatInterface`) and a Gradio 4 application."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from rag.errors import BackendError, BackendRejected, BackendUnavailable
from rag.models.llm import check_model, open_language_model
from rag.settings import Settings
from rag.types.documents import Message
from tests.rag.models.model_server import ModelServer, ask, events, running, text_of

TEXT = {"component": "Textbox", "type": {"type": "string"}}
INPUTS = [
    {"parameter_name": "message", "parameter_has_default": False, "parameter_default": None, **TEXT},
    {"parameter_name": "system_message", "parameter_has_default": True, "parameter_default": "Be kind.", **TEXT},
    {
        "parameter_name": "max_tokens",
        "parameter_has_default": True,
        "parameter_default": 256,
        "component": "Slider",
        "type": {"type": "number", "description": "numeric value between 1 and 64"},
    },
    {"parameter_name": "tone", "parameter_has_default": True, "parameter_default": "dry", **TEXT},
]


class Application(ModelServer):
    """`said` are its answers as they grow, `calls` what was sent, `path` where its API is."""

    def __init__(self) -> None:
        super().__init__()
        self.path = "gradio_api/"
        self.functions = {"/clear": {"parameters": []}, "/chat": {"parameters": INPUTS}}
        self.said = [("generating", ["The pump", None]), ("generating", ["The pump needs", None])]
        self.said += [("complete", ["The pump needs oil.", None])]
        self.calls: list[tuple[str, object]] = []

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/config")
        def config():
            return {"version": "6.31.0", "api_prefix": "/gradio_api"} if self.path else {"version": "4.44.1"}

        @app.get(f"/{self.path}info")
        def info():
            return {"named_endpoints": self.functions, "unnamed_endpoints": {}}

        @app.post(f"/{self.path}call/{{function}}")
        async def call(function: str, request: Request):
            self.calls.append((function, (await request.json())["data"]))
            return self.extra.get("call", {"event_id": "c3221ac4267f4d0f"})

        @app.get(f"/{self.path}call/{{function}}/{{call}}")
        def answer(function: str, call: str):
            async def pieces():
                yield b"event: heartbeat\ndata: null\n\n"
                for event, data in self.said:
                    yield f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()

            return events(pieces())

        return app


@pytest.fixture(params=["gradio_api/", ""], ids=["6", "4"])
def application(request):
    application = Application()
    application.path = request.param
    with running(application):
        yield application


def opened(application: Application, **llm):
    base_url = application.base_url.removesuffix("/v1")
    return open_language_model(Settings(_env_file=None, llm={"provider": "gradio", "base_url": base_url, **llm}))


async def test_an_answer_comes_as_it_grows(application):
    model = opened(application)
    assert (model.provider, model.name, model.writes_json) == ("gradio", "chat", False)
    await check_model(model)
    deltas = await ask(model)
    assert text_of(deltas) == "The pump needs oil."
    assert deltas[-1].finish_reason == "stop"
    assert application.calls == [("chat", ["How often?", "Cite.", 64, "dry"])]  # the slider ends at 64


async def test_inputs_of_ones_own_go_before_the_usual_ones(application):
    model = opened(application, options={"tone": "warm", "max_tokens": 8, "system_message": "In English."})
    await ask(
        model, Message("system", "Cite."), Message("user", "Hm?"), Message("assistant", "Yes."), Message("user", "So?")
    )
    assert application.calls == [("chat", ["Hm?\n\nYes.\n\nSo?", "In English.\n\nCite.", 8, "warm"])]


async def test_an_application_for_files_too_is_given_a_text(application):
    inputs = [{"parameter_name": "message", "component": "Multimodaltextbox", "type": {"type": "object"}}]
    application.functions = {"/ask": {"parameters": inputs}}
    await ask(opened(application))
    assert application.calls == [("ask", [{"text": "Cite.\n\nHow often?", "files": []}])]


async def test_a_function_is_named_as_the_model(application):
    application.functions["/summarize"] = {"parameters": INPUTS[:1]}
    model = opened(application, model="summarize")
    assert model.name == "summarize"
    await ask(model)
    assert application.calls[-1][0] == "summarize"
    assert (
        "it has no function other (it has: /clear, /chat, /summarize)" in opened(application, model="other").description
    )


@pytest.mark.parametrize(
    "shown",
    [
        [["How often?", "Monthly."]],  # a conversation of pairs
        [{"role": "user", "content": "How often?"}, {"role": "assistant", "content": "Monthly."}],
        {"text": "Monthly."},
        [{"role": "assistant", "content": [{"type": "text", "text": "Monthly."}]}],
    ],
)
async def test_the_answer_is_found_in_whatever_is_shown(application, shown):
    application.said = [("complete", [shown])]
    assert text_of(await ask(opened(application))) == "Monthly."


async def test_what_is_shown_while_it_thinks_ends_in_no_wrong_answer(application):
    application.said = [("generating", ["Thinking…"]), ("generating", ["Mon"]), ("complete", ["Monthly."])]
    with pytest.raises(BackendUnavailable):
        await ask(opened(application))


@pytest.mark.parametrize("said", [None, "CUDA out of memory", {"error": "CUDA out of memory"}])
async def test_a_failure_is_told_without_its_words(application, said):
    application.said = [("error", said)]
    with pytest.raises(BackendError) as caught:
        await ask(opened(application))
    assert "CUDA" not in str(caught.value)


async def test_a_call_that_is_not_taken_is_told(application):
    application.extra["call"] = JSONResponse({"detail": "no"}, 422)
    with pytest.raises(BackendRejected, match="HTTP 422"):
        await ask(opened(application))
    application.extra["call"] = JSONResponse({"event_id": "../../config"})
    with pytest.raises(BackendError, match="no JSON"):
        await ask(opened(application))


def test_what_is_no_gradio_application_is_told(application):
    with running(ModelServer()) as other:
        base_url = other.base_url.removesuffix("/v1")
        model = open_language_model(Settings(_env_file=None, llm={"provider": "gradio", "base_url": base_url}))
        assert "it is no Gradio application" in model.description


@pytest.mark.parametrize(
    "functions", [[], {"/chat": None}, {"/chat": {"parameters": "x"}}, {"/chat": {"parameters": [1]}}]
)
def test_what_describes_itself_in_another_way_is_told(application, functions):
    application.functions = functions
    description = opened(application).description
    assert "it is no Gradio application" in description or "it has no function that takes a text" in description
