"""The API of Hugging Face's text generation server (TGI): `/generate`, `/generate_stream`, `/` and `/info`.

What it calls parameters is what OpenAI's older completions have; a prompt is a question to the documents. Errors are
`{"error": "…"}`.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from rag.api.compat.plain_errors import PLAIN_ERRORS, PlainErrorRoute
from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import NullIsAbsent
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, Reply, request_of
from rag.api.openai.extensions import WithExtensions
from rag.api.streaming import STREAMED, WireForm, collect, server_sent, streamed, while_connected
from rag.types.documents import Answer, AnswerCompleted, Event, TextDelta

router = APIRouter(tags=["TGI's clients"], route_class=PlainErrorRoute, responses=PLAIN_ERRORS)


class Grammar(NullIsAbsent):
    """The form of the reply; a regular expression as its form is not taken."""

    type: Literal["json"]
    value: dict[str, Any]


class Parameters(NullIsAbsent):
    """How the words are picked; what Footnote does not know is ignored."""

    max_new_tokens: int | None = Field(None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    do_sample: bool | None = None
    details: bool = False
    return_full_text: bool = False
    grammar: Grammar | None = None


class Generate(WithExtensions):
    """A prompt."""

    inputs: str = Field(min_length=1)
    parameters: Parameters = Parameters()
    stream: bool = False
    model: str = ""

    def to_chat(self, model: str) -> ChatRequest:
        """The same in OpenAI's form."""
        given = self.parameters
        names = {"temperature", "top_p", "top_k", "stop", "seed", "repetition_penalty", "frequency_penalty"}
        sampling = given.model_dump(include=names, exclude_none=True)
        if given.do_sample is False:
            sampling["temperature"] = 0.0
        if given.grammar is not None:
            schema = {"name": "reply", "schema": given.grammar.value}
            sampling["response_format"] = {"type": "json_schema", "json_schema": schema}
        extensions = self.model_dump(include=set(WithExtensions.model_fields) - {"footnote"}, exclude_none=True)
        return ChatRequest.model_validate(
            {
                "model": self.model or model,
                "messages": [ChatMessage(role="user", content=self.inputs)],
                "max_tokens": given.max_new_tokens,
                "footnote": self.footnote,
                **extensions,
                **sampling,
            }
        )


@router.get("/info")
async def info(services: AppServices) -> dict[str, Any]:
    """What answers."""
    return {"model_id": services.model.name, "router": "footnote", "version": version("footnote")}


@router.post("/", responses=STREAMED)
@router.post("/generate", responses=STREAMED)
async def generate(body: Generate, request: Request, services: AppServices, caller: Caller) -> Response:
    """An answer to a prompt, in one piece unless `stream` is set; at the root, for TGI's own client, in a list."""
    if body.stream:
        return await generate_stream(body, request, services, caller)
    chat = body.to_chat(services.model.name)
    prepared = await asyncio.to_thread(request_of, chat, services, caller)
    last = (await while_connected(request, collect(services.ask(prepared))))[-1]
    assert isinstance(last, AnswerCompleted)
    form = _Tokens(body, Reply(chat, str(request.base_url), ()))
    answer = {"generated_text": form.text(last.answer), **await asyncio.to_thread(form.beside, last.answer)}
    if body.parameters.details:
        answer["details"] = form.details(last.answer)
    return JSONResponse([answer] if request.url.path == "/" else answer)


@router.post("/generate_stream", responses=STREAMED)
async def generate_stream(body: Generate, request: Request, services: AppServices, caller: Caller) -> Response:
    """An answer to a prompt, as server-sent events; the last one has all of it."""
    chat = body.to_chat(services.model.name)
    events = services.ask(await asyncio.to_thread(request_of, chat, services, caller))
    return await streamed(request, events, _Tokens(body, Reply(chat, str(request.base_url), ())))


class _Tokens(WireForm):
    """An answer token by token; ids and probabilities are not known."""

    def __init__(self, body: Generate, reply: Reply) -> None:
        self._before = body.inputs if body.parameters.return_full_text else ""
        self.beside = reply.beside
        self._index = 0

    def text(self, answer: Answer) -> str:
        """All of it, behind the prompt where this is wanted."""
        return self._before + answer.text

    def details(self, answer: Answer) -> dict[str, Any]:
        """Why and after how many tokens it ended."""
        reason = "length" if answer.finish_reason == "length" else "eos_token"
        tokens = answer.usage.completion_tokens
        return {"finish_reason": reason, "generated_tokens": tokens, "seed": None, "prefill": [], "tokens": []}

    def take(self, event: Event) -> str:
        """The event of some words; the last one has no words of its own."""
        if isinstance(event, TextDelta):
            return self._token(event.text, None, None)
        if isinstance(event, AnswerCompleted):
            answer = event.answer
            return self._token("", self.text(answer), self.details(answer), **self.beside(answer))
        return ""

    async def end(self) -> str:
        """Nothing: the last event has the whole text."""
        return ""

    def fail(self, error: Any) -> str:
        """The error's words."""
        return server_sent({"error": error["error"]["message"], "error_type": "generation"})

    def _token(self, text: str, whole: str | None, details: Any, **beside: Any) -> str:
        self._index += 1
        token = {"id": 0, "text": text, "logprob": 0.0, "special": whole is not None}
        event = {"index": self._index, "token": token, "generated_text": whole, "details": details}
        return server_sent({**event, **beside})
