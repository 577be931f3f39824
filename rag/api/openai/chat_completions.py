"""`POST /v1/chat/completions`: OpenAI's chat, answered from the documents, with its sources.

Sources come twice: as OpenAI's `annotations` on the message (for clients that know them), and in a field `citations`
beside `choices`, with document, page label, 0-based page index and the exact quote (see docs/api.md). A field `claims`
tells which sentences of the answer these sources bear out. A stream carries all of them in its last chunk.

Where several models answer side by side, `choices` has the first one's answer, as clients expect, and a field
`candidates` all of them. What is being done meanwhile is told in comments of the stream, which clients skip.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rag.answering.modes.request import WITHOUT_RETRIEVAL, Request
from rag.answering.personas import addressed
from rag.api.dependencies import Caller
from rag.api.json_body import JsonRoute, NullIsAbsent
from rag.api.openai.extensions import Extensions, WithExtensions, WithForeignFields
from rag.api.openai.models import resolve_model, with_stand_in
from rag.api.openai.tools import MOST_TOOLS, ChatTool, ChatToolCall, called, called_piece, functions_of
from rag.api.streaming import STREAMED, WireForm, collect, server_sent, streamed, to_json, while_connected
from rag.auth.access import Access
from rag.errors import InvalidRequest
from rag.operations.services import Services
from rag.storage.ids import new_id
from rag.text.markers import find_markers
from rag.text.unicode import without_half_characters
from rag.types.chat import Sampling, ToolCallDelta
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    Candidate,
    Event,
    Message,
    Progress,
    Scope,
    TextDelta,
    ThoughtDelta,
)

router = APIRouter(route_class=JsonRoute)

_IMAGES = ("image_url", "input_image")  # types of content
_PLACEHOLDER = "\0"  # for the text in a chunk's JSON


class ImageUrl(BaseModel):
    """The address of an image, as an object names it."""

    url: str


class ContentPart(BaseModel):
    """A piece of a message: text, or an image (`image_url` in a chat, `input_image` in a response)."""

    type: str
    text: str = ""
    image_url: str | ImageUrl | None = None

    @property
    def image(self) -> str:
        """The address of an image; that of one that is named otherwise is none, and shown to nobody."""
        return self.image_url.url if isinstance(self.image_url, ImageUrl) else self.image_url or "?"


class ChatMessage(BaseModel):
    """A turn of the conversation. Unknown fields are ignored, as OpenAI's clients send many."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    tool_calls: Annotated[list[ChatToolCall], Field(max_length=MOST_TOOLS)] | None = None
    tool_call_id: str | None = None

    @classmethod
    def of(cls, message: Message) -> ChatMessage:
        """A turn that the engine knows."""
        calls = [ChatToolCall.of(call) for call in message.tool_calls]
        return cls(
            role=message.role,
            tool_calls=calls or None,
            tool_call_id=message.tool_call_id or None,
            content=_content(message),
        )

    def to_message(self) -> Message:
        """The turn as the engine knows it. Raises InvalidRequest for content that is neither text nor image."""
        text = text_of(self.content or "", "messages")
        role = "system" if self.role == "developer" else self.role
        if role == "tool" and not self.tool_call_id:
            raise InvalidRequest("A message of the role `tool` needs a `tool_call_id`.", param="messages")
        calls = tuple(call.to_call() for call in self.tool_calls or ()) if role == "assistant" else ()
        call_id = self.tool_call_id or "" if role == "tool" else ""
        return Message(role, text, calls, call_id, images_of(self.content))


def text_of(content: str | list[ContentPart], param: str) -> str:
    """The text of a message or a function's result, beside its images. Raises InvalidRequest, which names the field
    `param`, for content of another kind."""
    parts = content if isinstance(content, list) else [ContentPart(type="text", text=content)]
    for part in parts:
        if part.type not in ("text", "input_text", "output_text", *_IMAGES):
            raise InvalidRequest(f"Content of type {part.type!r} is not supported.", param=param)
    return without_half_characters("".join(part.text for part in parts))


def images_of(content: str | list[ContentPart] | None) -> tuple[str, ...]:
    """The addresses of the images in a message."""
    parts = content if isinstance(content, list) else []
    return tuple(part.image for part in parts if part.type in _IMAGES)


def _content(message: Message) -> str | list[ContentPart]:
    if not message.images:
        return message.content
    images = [ContentPart(type="image_url", image_url=image) for image in message.images]
    return [ContentPart(type="text", text=message.content), *images]


def _without_limit(tokens: Any) -> Any:
    """llama.cpp's way to say that a reply may be as long as it likes, which is what saying nothing means."""
    return None if tokens == -1 else tokens


class StreamOptions(NullIsAbsent):
    """Options of a streamed answer."""

    include_usage: bool = False


class JsonSchema(BaseModel):
    """The form of a reply; `strict` and `description` go to the model's server as they are."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(max_length=256)
    form: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(BaseModel):
    """What the reply is to be: text, any JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        return self

    def to_sampling(self) -> dict[str, Any] | None:
        """The format as the engine knows it; None for text."""
        return None if self.type == "text" else self.model_dump(by_alias=True, exclude_none=True)


class SamplingFields(NullIsAbsent):
    """How the reply's words are picked: fields that OpenAI's older API and other servers have, too."""

    max_tokens: Annotated[int | None, BeforeValidator(_without_limit)] = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = None
    repetition_penalty: float | None = Field(None, gt=0, le=2)  # vLLM's and llama.cpp's, as is `top_k`
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)


class ChatRequest(SamplingFields, WithExtensions, WithForeignFields):
    """The fields of OpenAI's request that Footnote uses; others go to the model's server as they are."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=10_000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    top_k: int | None = Field(None, ge=1)
    n: Literal[1] = 1
    tools: Annotated[list[ChatTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = Field(None, max_length=32)

    @property
    def extra_body(self) -> dict[str, Any] | None:
        """What only the model's server knows."""
        own = self.model_dump(include={"reasoning_effort", "chat_template_kwargs"}, exclude_none=True)
        return {**self.foreign, **own} or None

    @property
    def sampling(self) -> Sampling:
        """What the request says of sampling."""
        names = {field.name for field in fields(Sampling)}
        options = self.model_dump(include=names - {"response_format", "extra_body"}, exclude_none=True)
        options["extra_body"] = self.extra_body
        options["response_format"] = self.response_format.to_sampling() if self.response_format else None
        if self.stop is not None:
            options["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        return Sampling(**{**options, "max_tokens": self.max_completion_tokens or self.max_tokens})


@router.post("/v1/chat/completions", responses=STREAMED)
async def create_chat_completion(body: ChatRequest, request: HttpRequest, caller: Caller) -> Response:
    """Answer the last user message from the documents."""
    services: Services = request.app.state.services
    prepared = await asyncio.to_thread(request_of, body, services, caller)
    events = services.ask(prepared)
    reply = Reply(body, str(request.base_url), prepared.models)
    if body.stream:
        return with_stand_in(await streamed(request, events, reply), body.model, services)
    collected = await while_connected(request, collect(events))
    return with_stand_in(JSONResponse(await asyncio.to_thread(reply.completion, collected)), body.model, services)


def request_of(body: ChatRequest, services: Services, caller: Access) -> Request:
    """What the body asks for. Raises NotFound, InvalidRequest."""
    extensions = body.extensions
    named = resolve_model(body.model, services, caller)
    collection = named.collection
    mode = extensions.mode or (named.mode if body.vector_store_ids is None else None)
    if collection is not None and extensions.collection not in (None, collection.id, collection.name, collection.title):
        raise InvalidRequest(
            f"The model names the collection {collection.title!r}, the field `footnote` {extensions.collection!r}.",
            hint="Name the collection once.",
            param="footnote.collection",
        )
    functions = functions_of(body.tools, body.tool_choice, body.parallel_tool_calls)
    if extensions.models and mode != "compare":
        raise InvalidRequest(
            "Several models are asked in the mode `compare` only.",
            hint="Add the mode, or name one model in the field `model`.",
            param="footnote.models",
        )
    request = Request(
        [message.to_message() for message in body.messages],
        _scope(collection.id if collection else extensions.collection, body.vector_store_ids, extensions, caller),
        mode=mode or "documents",
        models=extensions.models or (() if mode == "compare" else tuple(filter(None, [named.model]))),
        sampling=body.sampling,
        functions=functions,
        retrieval=body.retrieval is not False and not (named.mode == "chat" and mode in WITHOUT_RETRIEVAL),
    )
    return request if collection is None else addressed(request, collection.name, services.roles, extensions.mode)


def _scope(collection: str | None, store_ids: Sequence[str] | None, extensions: Extensions, caller: Access) -> Scope:
    if store_ids is None:
        return caller.scope(collection, extensions)
    scope = caller.scope_of_all(store_ids, extensions)
    if collection is not None and set(scope.collection_ids) != {caller.collection(collection).id}:
        raise InvalidRequest(
            "One collection is named by `model` or `footnote`, and others by `vector_store_ids`.",
            hint="Give the name of a language model as `model`, and leave the collection to `vector_store_ids`.",
            param="vector_store_ids",
        )
    caller.touch(scope)
    return scope


def title_with_page(citation: Mapping[str, Any]) -> str:
    """How a citation is named where only a title is shown: some clients take two of the same title for one source."""
    page = citation["page_label"]
    return f"{citation['title']}, p. {page}" if page else str(citation["title"])


class Reply(WireForm):
    """The wire form of one answer."""

    def __init__(self, body: ChatRequest, base_url: str, models: Sequence[str]) -> None:
        self._body = body
        self._base_url = base_url
        self._models = models
        self._first = models[0] if models else ""  # of several models, the one whose words are streamed
        self._candidates: list[dict[str, Any]] = []
        self._head = {"id": new_id("chatcmpl"), "created": int(time.time()), "model": body.model}
        before, _, after = self._chunk({"content": _PLACEHOLDER}).rpartition(to_json(_PLACEHOLDER))
        self._before_text, self._after_text = before, after  # most of what is sent: the same around every token

    def completion(self, events: Sequence[Event]) -> dict[str, Any]:
        """The answer in one piece."""
        for event in events:
            if isinstance(event, Candidate):
                self._take_candidate(event)
        assert isinstance(events[-1], AnswerCompleted)
        answer = events[-1].answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, **_thoughts(answer)}
        message["annotations"] = self._annotations(answer)
        if answer.calls:
            message |= {"content": answer.text or None, "tool_calls": called(answer.calls)}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}],
            "usage": usage_of(answer),
            **self.beside(answer),
        }

    def begin(self) -> str:
        """The role."""
        return self._chunk({"role": "assistant", "content": ""})

    def take(self, event: Event) -> str:
        """The chunk of an event; with the answer come its sources."""
        if isinstance(event, TextDelta):
            return self._text_chunk(event)
        if isinstance(event, ThoughtDelta):
            return self._chunk({"reasoning_content": event.text})
        if isinstance(event, Candidate):
            return self._take_candidate(event)
        if isinstance(event, Progress):
            return _comment(event)
        if isinstance(event, ToolCallDelta):
            return self._chunk({"tool_calls": [called_piece(event)]})
        if isinstance(event, AnswerCompleted):
            answer = event.answer
            last = self._chunk({"annotations": self._annotations(answer)}, answer.finish_reason, **self.beside(answer))
            if self._body.stream_options and self._body.stream_options.include_usage:
                last += server_sent({**self._chunk_head(), "choices": [], "usage": usage_of(answer)})
            return last
        return ""

    def _take_candidate(self, candidate: Candidate) -> str:
        """The chunk of an event of one of several models: the first one's words. Whole answers are kept for the end."""
        event = candidate.event
        self._first = self._first or candidate.model
        if isinstance(event, TextDelta):
            return self._text_chunk(event) if candidate.model == self._first else ""
        if isinstance(event, ThoughtDelta):
            return self.take(event) if candidate.model == self._first else ""
        answer = event.answer
        parts = {"content": answer.text, "finish_reason": answer.finish_reason, "usage": usage_of(answer)}
        self._candidates.append({"model": candidate.model, **parts, **_thoughts(answer), **self._checked(answer)})
        return ""

    def _text_chunk(self, delta: TextDelta) -> str:
        return f"{self._before_text}{to_json(delta.text)}{self._after_text}"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: object) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return server_sent({**self._chunk_head(), "choices": [choice], **more})

    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}

    def _annotations(self, answer: Answer) -> list[dict[str, Any]]:
        """One `url_citation` for every marker in the text, with the marker's place."""
        urls = {c["number"]: c for c in self._citations(answer)}
        return [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": marker.start,
                    "end_index": marker.end,
                    "title": title_with_page(urls[marker.number]),
                    "url": urls[marker.number]["url"],
                },
            }
            for marker in find_markers(answer.text)
            if marker.number in urls
        ]

    def beside(self, answer: Answer) -> dict[str, Any]:
        """What stands beside `choices`: the sources, and what is said of the answer."""
        beside = {"answered_by": answer.model, **self._checked(answer)}
        if not self._candidates:
            return beside
        order = {model: place for place, model in enumerate(self._models)}  # in which they were asked
        candidates = sorted(self._candidates, key=lambda candidate: order.get(candidate["model"], len(order)))
        return {**beside, "candidates": candidates}

    def _checked(self, answer: Answer) -> dict[str, Any]:
        """The sources of an answer, and its sentences checked against them."""
        claims = [{"text": answer.text[claim.start : claim.end], **asdict(claim)} for claim in answer.claims]
        notices = list(answer.notices)
        return {"kind": answer.kind, "notices": notices, "citations": self._citations(answer), "claims": claims}

    def _citations(self, answer: Answer) -> list[dict[str, Any]]:
        return [
            {**asdict(citation), "url": source_url(self._base_url, citation.document_id, citation.page_index)}
            for citation in answer.citations
        ]


def _thoughts(answer: Answer) -> dict[str, str]:
    """What the model thought, in the field that DeepSeek, vLLM and llama-server have for it; none without."""
    return {"reasoning_content": answer.thoughts} if answer.thoughts else {}


def source_url(base_url: str, document_id: str, page_index: int | None) -> str:
    """Where a browser opens the source, at its page (the fragment that PDF viewers understand)."""
    page = "" if page_index is None else f"#page={page_index + 1}"
    return f"{base_url}documents/{document_id}/source{page}"


def _comment(progress: Progress) -> str:
    """A line of the stream that clients skip; it keeps the connection alive."""
    steps = f" ({progress.done} of {progress.total})" if progress.total else ""
    return f": {' '.join(progress.doing.split())}{steps}\n\n"


def usage_of(answer: Answer) -> dict[str, int]:
    """The tokens of an answer."""
    usage = answer.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
