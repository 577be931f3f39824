"""Ollama's API, for what speaks no other: `/api/chat`, `/api/generate`, `/api/embed`, `/api/tags`, `/api/show`.

The models are those of `/v1/models`. Such clients show nothing but the text, so below it stands a line for each source;
in a conversation that comes back these lines are left out. What OpenAI's clients find beside `choices` stands beside
the message. Errors are `{"error": "…"}`.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from rag.api.compat.plain_errors import PLAIN_ERRORS, PlainErrorRoute
from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import NullIsAbsent
from rag.api.openai.chat_completions import (
    ChatMessage,
    ChatRequest,
    ContentPart,
    Reply,
    request_of,
    title_with_page,
)
from rag.api.openai.embeddings import MOST_TEXTS, embed
from rag.api.openai.extensions import WithExtensions
from rag.api.openai.models import model_names, resolve_model
from rag.api.openai.tools import MOST_TOOLS, CalledFunction, ChatTool, ChatToolCall
from rag.api.streaming import WireForm, collect, streamed, to_json, while_connected
from rag.types.chat import ToolCall
from rag.types.documents import Answer, AnswerCompleted, Event, TextDelta, ThoughtDelta

PROTOCOL = "0.12.0"  # the version of Ollama whose API this is: clients ask whether it is new enough
_TAG = ":latest"  # which clients add to a name without one


router = APIRouter(prefix="/api", tags=["Ollama's clients"], route_class=PlainErrorRoute, responses=PLAIN_ERRORS)
_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}


class Call(BaseModel):
    """A call of a function, whose arguments are an object here."""

    name: str = Field(min_length=1)
    arguments: dict[str, Any] = {}


class CallOf(BaseModel):
    """A call in a message."""

    function: Call


class Turn(NullIsAbsent):
    """A turn of the conversation; pictures are in base64, without a type."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[str] = Field([], max_length=16)
    tool_calls: list[CallOf] = Field([], max_length=MOST_TOOLS)
    tool_name: str = ""


class Options(NullIsAbsent):
    """How the words are picked; what Footnote does not know is ignored."""

    num_predict: int | None = None  # -1 and -2: as many as it takes
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    def to_sampling(self) -> dict[str, Any]:
        """The fields of OpenAI's request that say the same."""
        sampling = self.model_dump(exclude_none=True)
        renamed = {"num_predict": "max_tokens", "repeat_penalty": "repetition_penalty"}
        limits = {"num_predict": 1, "top_k": 1}  # below: none
        return {renamed.get(name, name): value for name, value in sampling.items() if value >= limits.get(name, value)}


class Ask(WithExtensions):
    """What all requests for words have. `format` is "json" or a JSON schema."""

    model: str
    stream: bool = True
    format: Literal["", "json"] | dict[str, Any] = ""
    think: bool | str | None = None
    options: Options = Options()

    def to_chat(self, messages: Sequence[ChatMessage], tools: Sequence[ChatTool] = ()) -> ChatRequest:
        """The same in OpenAI's form."""
        form: dict[str, Any] | None = {"type": "json_object"} if self.format else None
        if isinstance(self.format, Mapping):
            form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": self.format}}
        thinking: dict[str, Any] = {"reasoning_effort": self.think} if isinstance(self.think, str) else {}
        if self.think is False:
            thinking = {"chat_template_kwargs": {"enable_thinking": False}}
        extensions = self.model_dump(include=set(WithExtensions.model_fields) - {"footnote"}, exclude_none=True)
        return ChatRequest.model_validate(
            {
                "model": _without_tag(self.model),
                "messages": messages,
                "tools": tools or None,
                "response_format": form,
                "footnote": self.footnote,
                **extensions,
                **thinking,
                **self.options.to_sampling(),
            }
        )


class Chat(Ask):
    """A conversation."""

    messages: list[Turn] = Field([], max_length=10_000)
    tools: list[ChatTool] = Field([], max_length=MOST_TOOLS)


class Generate(Ask):
    """A prompt."""

    prompt: str = ""
    system: str = ""
    images: list[str] = Field([], max_length=16)


class Embed(NullIsAbsent):
    """A text, or several."""

    model: str
    input: str | Annotated[list[str], Field(max_length=MOST_TEXTS)]
    dimensions: int | None = None


class EmbedOne(BaseModel):
    """The older form."""

    model: str
    prompt: str


class Named(NullIsAbsent):
    """The name of a model, in the field's new or old name."""

    model: str = ""
    name: str = ""


@router.get("/version")
async def version() -> dict[str, str]:
    """The version of Ollama whose API this is."""
    return {"version": PROTOCOL}


@router.get("/tags")
async def tags(services: AppServices, caller: Caller) -> dict[str, Any]:
    """The models."""
    return {"models": [_model(name) for name in await asyncio.to_thread(model_names, services, caller)]}


@router.get("/ps")
async def running(services: AppServices, caller: Caller) -> dict[str, Any]:
    """The models that are loaded: nobody waits for one of ours."""
    return await tags(services, caller)


@router.post("/show")
async def show(body: Named, services: AppServices, caller: Caller) -> dict[str, Any]:
    """What a model is."""
    name = _without_tag(body.model or body.name)
    named = await asyncio.to_thread(resolve_model, name, services, caller)
    described = services.models.described.get(named.model or services.models.default_name)
    window = described.context_window if described else None
    info = {"general.architecture": "footnote", **({"footnote.context_length": window} if window else {})}
    return {
        **_model(name),
        "model_info": info,
        "capabilities": ["completion", "tools"],
        "template": "",
        "parameters": "",
    }


@router.post("/chat", responses=_LINES)
async def chat(body: Chat, request: Request, services: AppServices, caller: Caller) -> Response:
    """The next turn of a conversation."""
    form = _ChatLines(body, str(request.base_url))
    if not body.messages:
        return JSONResponse(form.loaded())
    return await _answered(request, services, caller, body.to_chat(_messages(body.messages), body.tools), form)


@router.post("/generate", responses=_LINES)
async def generate(body: Generate, request: Request, services: AppServices, caller: Caller) -> Response:
    """What follows a prompt."""
    form = _GenerateLines(body, str(request.base_url))
    if not body.prompt:
        return JSONResponse(form.loaded())
    turns = [Turn(role="system", content=body.system)] if body.system else []
    turns.append(Turn(role="user", content=body.prompt, images=body.images))
    return await _answered(request, services, caller, body.to_chat(_messages(turns)), form)


@router.post("/embed")
async def embeddings(body: Embed, services: AppServices) -> dict[str, Any]:
    """Unit vectors of the texts."""
    began = time.monotonic_ns()
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors, tokens = await embed(services.index.embedding, _without_tag(body.model), texts, body.dimensions)
    took = {"total_duration": time.monotonic_ns() - began, "load_duration": 0, "prompt_eval_count": tokens}
    return {"model": body.model, "embeddings": vectors.tolist(), **took}


@router.post("/embeddings")
async def embedding(body: EmbedOne, services: AppServices) -> dict[str, Any]:
    """The unit vector of a text, as older clients ask for it."""
    vectors, _ = await embed(services.index.embedding, _without_tag(body.model), [body.prompt])
    return {"embedding": vectors[0].tolist()}


async def _answered(
    request: Request, services: AppServices, caller: Caller, body: ChatRequest, form: _Lines
) -> Response:
    prepared = await asyncio.to_thread(request_of, body, services, caller)
    events = services.ask(prepared)
    if form.body.stream:
        return await streamed(request, events, form)
    collected = await while_connected(request, collect(events))
    assert isinstance(collected[-1], AnswerCompleted)
    return JSONResponse(await asyncio.to_thread(form.whole, collected[-1].answer))


class _Lines(WireForm):
    """An answer as JSON, one object a line."""

    media_type = "application/x-ndjson"

    def __init__(self, body: Ask, base_url: str) -> None:
        self.body = body
        self._reply = Reply(body.to_chat([ChatMessage(role="user")]), base_url, ())
        self._began = time.monotonic_ns()

    @abstractmethod
    def words(self, text: str, calls: Sequence[ToolCall] = (), thoughts: str = "") -> dict[str, Any]:
        """The fields that hold the text."""

    def loaded(self) -> dict[str, Any]:
        """The answer to a request that says nothing, which loads a model."""
        return {**self._head(), **self.words(""), "done": True, "done_reason": "load"}

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer in one piece."""
        text = answer.text + self._source_lines(answer)
        return {**self._head(), **self.words(text, answer.calls, answer.thoughts), **self._end(answer)}

    def take(self, event: Event) -> str:
        """The line of an event; with the answer come its sources."""
        if isinstance(event, TextDelta):
            return self._line(event.text)
        if isinstance(event, ThoughtDelta):
            return self._line("", thoughts=event.text)
        if isinstance(event, AnswerCompleted):
            answer, sources = event.answer, self._source_lines(event.answer)
            before = self._line(sources, answer.calls) if sources or answer.calls else ""
            return before + _line({**self._head(), **self.words(""), **self._end(answer)})
        return ""

    async def end(self) -> str:
        """Nothing: the last line says `done`."""
        return ""

    def fail(self, error: Mapping[str, Any]) -> str:
        """The error's words."""
        return _line({"error": error["error"]["message"]})

    def _line(self, text: str, calls: Sequence[ToolCall] = (), thoughts: str = "") -> str:
        return _line({**self._head(), **self.words(text, calls, thoughts), "done": False})

    def _head(self) -> dict[str, Any]:
        return {"model": self.body.model, "created_at": datetime.now(UTC).isoformat()}

    def _end(self, answer: Answer) -> dict[str, Any]:
        took, usage = time.monotonic_ns() - self._began, answer.usage
        counts = {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}
        durations = {"total_duration": took, "load_duration": 0, "prompt_eval_duration": 0, "eval_duration": took}
        reason = "length" if answer.finish_reason == "length" else "stop"
        return {"done": True, "done_reason": reason, **durations, **counts, **self._reply.beside(answer)}

    def _source_lines(self, answer: Answer) -> str:
        if self.body.format or not answer.citations:
            return ""
        lines = (
            f"[{citation['number']}] {title_with_page(citation)}: {citation['url']}"
            for citation in self._reply.beside(answer)["citations"]
        )
        return "\n\n" + "\n".join(lines)


class _ChatLines(_Lines):
    def words(self, text: str, calls: Sequence[ToolCall] = (), thoughts: str = "") -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, **_thinking(thoughts)}
        if calls:
            functions = ({"name": call.name, "arguments": _arguments(call)} for call in calls)
            message["tool_calls"] = [{"function": function} for function in functions]
        return {"message": message}


class _GenerateLines(_Lines):
    def words(self, text: str, calls: Sequence[ToolCall] = (), thoughts: str = "") -> dict[str, Any]:
        return {"response": text, **_thinking(thoughts)}


def _messages(turns: Sequence[Turn]) -> list[ChatMessage]:
    """The conversation in OpenAI's form. Calls have no ids here: a result is that of the first call, of its name where
    it has one, that has no result yet; of more calls than a turn may have, the latest ones are waited for."""
    messages: list[ChatMessage] = []
    waiting: dict[str, str] = {}  # names of functions, by the ids given to their calls
    for number, turn in enumerate(turns):
        calls = [
            ChatToolCall(
                id=f"call_{number}_{place}",
                function=CalledFunction(name=call.function.name, arguments=to_json(call.function.arguments)),
            )
            for place, call in enumerate(turn.tool_calls)
        ]
        if calls:
            called = [*waiting.items(), *((call.id, call.function.name) for call in calls)]
            waiting = dict(called[-MOST_TOOLS:])
        call_id = None
        if turn.role == "tool":
            call_id = next((i for i, name in waiting.items() if turn.tool_name in ("", name)), f"call_{number}")
            waiting.pop(call_id, None)
        text = _without_sources(turn.content) if turn.role == "assistant" else turn.content
        pictures = [
            ContentPart.model_validate({"type": "image_url", "image_url": {"url": f"data:image/*;base64,{image}"}})
            for image in turn.images
        ]
        content = [ContentPart(type="text", text=text), *pictures] if pictures else text
        messages.append(ChatMessage(role=turn.role, content=content, tool_calls=calls or None, tool_call_id=call_id))
    return messages


def _thinking(thoughts: str) -> dict[str, str]:
    return {"thinking": thoughts} if thoughts else {}


def _without_sources(text: str) -> str:
    """The text of an answer without the lines of its sources."""
    answer, gap, sources = text.rpartition("\n\n")
    is_list = bool(gap) and all(line.startswith("[") and "/documents/" in line for line in sources.splitlines())
    return answer if is_list else text


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; what is no JSON object is handed on under a name that says so."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) else {"invalid_json": call.arguments}


def _model(name: str) -> dict[str, Any]:
    details = {"parent_model": "", "format": "", "family": "footnote", "families": ["footnote"]}
    return {
        "name": name,
        "model": name,
        "modified_at": datetime.fromtimestamp(0, UTC).isoformat(),
        "size": 0,
        "digest": sha256(name.encode()).hexdigest(),
        "details": {**details, "parameter_size": "", "quantization_level": ""},
    }


def _without_tag(name: str) -> str:
    return name.removesuffix(_TAG)


def _line(fields: Mapping[str, Any]) -> str:
    return to_json(fields) + "\n"
