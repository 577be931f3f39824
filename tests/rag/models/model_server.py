"""A small server that speaks the OpenAI wire format on a free loopback port, and misbehaves as real ones do."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from rag.models.llm import ModelDelta, open_language_model, stream_text
from rag.settings import Settings
from rag.types.chat import Sampling
from rag.types.documents import Message
from rag.types.models import LanguageModel

QUESTION = (Message("system", "Cite."), Message("user", "How often?"))
WORDS = ["The pump", " needs oil", " every 90 days", " [1]."]
Reply = Callable[[Request, dict[str, Any]], Response]


class ModelServer:
    """What the server answers, and what it saw. `reply` is the answer to a chat request; change it at will."""

    def __init__(self) -> None:
        self.port = free_port()
        self.reply: Reply = lambda _, body: stream(WORDS, body)
        self.models: Response | None = JSONResponse({"data": [{"id": "tiny", "max_model_len": 2048}]})
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.left = threading.Event()  # a client closed its connection in the middle of a stream
        self.extra: dict[str, Response] = {}
        self.posts: dict[str, Callable[[dict[str, Any]], Response]] = {}  # what else can be asked, by path
        self.counted: list[dict[str, Any]] = []  # what was asked of them

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:
            self.requests.append(await request.json())
            self.headers.append(dict(request.headers))
            return self.reply(request, self.requests[-1])

        @app.post("/{path:path}")
        async def post(path: str, request: Request) -> Response:
            self.headers.append(dict(request.headers))
            if path not in self.posts:
                return JSONResponse({"detail": "Not Found"}, 404)
            self.counted.append(await request.json())
            return self.posts[path](self.counted[-1])

        @app.get("/{path:path}")
        async def get(path: str, request: Request) -> Response:
            self.headers.append(dict(request.headers))
            if path == "v1/models" and self.models is not None:
                return self.models
            return self.extra.get(path, JSONResponse({"detail": "Not Found"}, 404))

        return app


@contextmanager
def running(server: ModelServer) -> Iterator[ModelServer]:
    """Serves until the block ends."""
    config = uvicorn.Config(server.app(), port=server.port, log_level="critical", lifespan="off", ws="none")
    instance = uvicorn.Server(config)
    thread = threading.Thread(target=instance.run)
    thread.start()
    try:
        while not instance.started:
            threading.Event().wait(0.01)
        yield server
    finally:
        instance.should_exit = instance.force_exit = True
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def open_at(server: ModelServer, **llm: Any) -> LanguageModel:
    """The model of that server, with further settings."""
    return open_language_model(Settings(_env_file=None, llm={"base_url": server.base_url, "provider": "openai", **llm}))


async def ask(model: LanguageModel, *messages: Message, **options: Any) -> list[ModelDelta]:
    """The whole reply, piece by piece."""
    options = {"max_tokens": 100, "temperature": 0.5, **options}
    return [delta async for delta in stream_text(model, messages or QUESTION, Sampling(**options))]


def text_of(deltas: list[ModelDelta]) -> str:
    return "".join(delta.text for delta in deltas)


def template(turns: list[dict[str, str]]) -> str:
    """What a chat template makes of a conversation. Raises ValueError as Mistral's does."""
    if any((turn["role"] == "user") != (number % 2 == 0) for number, turn in enumerate(turns)):
        raise ValueError("Conversation roles must alternate user/assistant/user/assistant/...")
    return " ".join(f"[INST] {t['content']} [/INST]" if t["role"] == "user" else t["content"] for t in turns)


def tokens(text: str) -> list[int]:
    """A tokenizer for which words and signs are tokens."""
    return [hash(word) % 32000 for word in re.findall(r"\w+|[^\w\s]", text)]


def refusal(error: Exception) -> Response:
    return JSONResponse({"error": {"message": str(error), "type": "BadRequestError", "code": 400}}, 400)


def counts_as_vllm(server: ModelServer, make_prompt: Callable[[Any], str] = template) -> None:
    def tokenize(body: dict[str, Any]) -> Response:
        try:
            ids = tokens(make_prompt(body["messages"]))
        except ValueError as error:
            return refusal(error)
        return JSONResponse({"count": len(ids), "max_model_len": 2048, "tokens": ids, "token_strs": None})

    server.posts["tokenize"] = tokenize


def counts_as_llama_server(server: ModelServer, make_prompt: Callable[[Any], str] = template) -> None:
    def apply_template(body: dict[str, Any]) -> Response:
        try:
            return JSONResponse({"prompt": make_prompt(body["messages"])})
        except ValueError as error:
            return refusal(error)

    server.models = JSONResponse({"data": [{"id": "tiny", "meta": {"n_ctx_train": 131072}}]})
    server.extra["props"] = JSONResponse({"default_generation_settings": {"n_ctx": 2048}})
    server.posts["apply-template"] = apply_template
    server.posts["tokenize"] = lambda body: JSONResponse({"tokens": tokens(body["content"])})


def counts_as_llama_cpp_python(server: ModelServer) -> None:
    server.models = JSONResponse({"data": [{"id": "tiny", "object": "model", "owned_by": "me", "permissions": []}]})
    server.posts["extras/tokenize/count"] = lambda body: JSONResponse({"count": len(tokens(body["input"]))})


def chunk(text: str | None = None, finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish_reason}]
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": choices, **more}
    return f"data: {json.dumps(body)}\n\n".encode()


def events(pieces: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(pieces, media_type="text/event-stream")


def stream(words: list[str], body: dict[str, Any], finish_reason: str = "stop") -> Response:
    """A whole reply, as vLLM sends it: an empty delta first, the usage in a chunk without choices last."""

    async def pieces() -> AsyncIterator[bytes]:
        yield chunk("", usage=None)
        for word in words:
            yield chunk(word)
        yield chunk(None, finish_reason)
        if body.get("stream_options", {}).get("include_usage"):
            yield chunk(choices=[], usage={"prompt_tokens": 11, "completion_tokens": len(words), "total_tokens": 15})
        yield b"data: [DONE]\n\n"

    return events(pieces())


def endless(server: ModelServer) -> Reply:
    """A reply that never ends; `server.left` is set when the client goes."""

    def reply(request: Request, _: dict[str, Any]) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                for number in count():
                    if await request.is_disconnected():
                        break
                    yield chunk(f"on{number} ")
                    await asyncio.sleep(0.01)
            finally:
                server.left.set()

        return events(pieces())

    return reply
