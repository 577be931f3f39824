"""`POST /v1/chat/completions`: OpenAI's chat, answered from the documents, with its sources.

Sources come twice: as OpenAI's `annotations` on the message (for clients that know them), and in a field `citations`
beside `choices`, with document, page label, 0-based page index and the exact quote (see docs/api.md). A field `claims`
tells which sentences of the answer these sources bear out. A stream carries all of them in its last chunk.

Where several models answer side by side, `choices` has the first one's answer, as clients expect, and a field
`candidates` all of them. What is being done meanwhile is told in comments of the stream, which clients skip.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from rag.answering.modes.request import Request
from rag.answering.personas import addressed
from rag.api.dependencies import Caller
from rag.api.errors import envelope, unknown_error
from rag.api.json_body import JsonRoute
from rag.api.openai.extensions import Extensions, WithExtensions
from rag.api.openai.models import meaning_of
from rag.api.openai.tools import MOST_TOOLS, ChatTool, ChatToolCall, called, called_piece, functions_of
from rag.api.streaming import collect, until_first_sign, while_connected
from rag.auth.access import Access
from rag.errors import InvalidRequest, RagError
from rag.operations.services import Services
from rag.storage.ids import new_id
from rag.types.chat import Sampling, ToolCallDelta
from rag.types.documents import Answer, AnswerCompleted, Candidate, Event, Message, Progress, Scope, TextDelta

router = APIRouter(route_class=JsonRoute)

_MARKER = re.compile(r"\[(\d+)\]")


class ContentPart(BaseModel):
    """A piece of a message; only text is understood."""

    type: str
    text: str = ""


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
            content=message.content,
            tool_calls=calls or None,
            tool_call_id=message.tool_call_id or None,
        )

    def to_message(self) -> Message:
        """The turn as the engine knows it. Raises InvalidRequest for content that is not text."""
        parts = self.content if isinstance(self.content, list) else [ContentPart(type="text", text=self.content or "")]
        for part in parts:
            if part.type not in ("text", "input_text"):
                raise InvalidRequest(f"Content of type {part.type!r} is not supported.", param="messages")
        role = "system" if self.role == "developer" else self.role
        text = (
            "".join(part.text for part in parts).encode(errors="replace").decode()
        )  # half an emoji, cut by the client
        if role == "tool" and not self.tool_call_id:
            raise InvalidRequest("A message of the role `tool` needs a `tool_call_id`.", param="messages")
        calls = tuple(call.to_call() for call in self.tool_calls or ()) if role == "assistant" else ()
        return Message(role, text, calls, self.tool_call_id or "" if role == "tool" else "")


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    include_usage: bool = False


class ChatRequest(WithExtensions):
    """The fields of OpenAI's request that Footnote uses; others are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=10_000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)  # vLLM's and llama.cpp's, as the next but two
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = None
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    n: Literal[1] = 1
    tools: Annotated[list[ChatTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None

    @property
    def sampling(self) -> Sampling:
        """What the request says of sampling."""
        names = {field.name for field in fields(Sampling)}
        told = self.model_dump(include=names, exclude_none=True)
        if self.stop is not None:
            told["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        return Sampling(**{**told, "max_tokens": self.max_completion_tokens or self.max_tokens})


@router.post("/v1/chat/completions")
async def create_chat_completion(body: ChatRequest, request: HttpRequest, caller: Caller) -> Response:
    """Answer the last user message from the documents."""
    services: Services = request.app.state.services
    asked = await asyncio.to_thread(request_of, body, services, caller)
    events = services.ask(asked)
    reply = Reply(body, str(request.base_url), asked.models)
    if body.stream:
        # What fails before the first word is answered with its own status, not inside a stream that began well.
        early = await while_connected(request, until_first_sign(events))
        return StreamingResponse(reply.stream(early, events), media_type="text/event-stream")
    everything = await while_connected(request, collect(events))
    return JSONResponse(reply.completion(everything))


def request_of(body: ChatRequest, services: Services, caller: Access) -> Request:
    """What the body asks for. Raises NotFound, InvalidRequest."""
    told = body.particulars
    collection, model = meaning_of(body.model, services, caller)
    if collection is not None and told.collection not in (None, collection.id, collection.name, collection.title):
        raise InvalidRequest(
            f"The model names the collection {collection.title!r}, the field `footnote` {told.collection!r}.",
            hint="Name the collection once.",
            param="footnote.collection",
        )
    functions = functions_of(body.tools, body.tool_choice, body.parallel_tool_calls)
    if told.models and told.mode != "compare":
        raise InvalidRequest(
            "Several models are asked in the mode `compare` only.",
            hint="Add the mode, or name one model in the field `model`.",
            param="footnote.models",
        )
    request = Request(
        [message.to_message() for message in body.messages],
        _scope(collection.id if collection else told.collection, body.vector_store_ids, told, caller),
        told.mode or "documents",
        told.models or (() if told.mode == "compare" else tuple(filter(None, [model]))),
        body.sampling,
        functions=functions,
    )
    return request if collection is None else addressed(request, collection.name, services.roles, told.mode)


def _scope(collection: str | None, store_ids: Sequence[str] | None, told: Extensions, caller: Access) -> Scope:
    if store_ids is None:
        return caller.scope(collection, told)
    scope = caller.scope_of_all(store_ids, told)
    if collection is not None and set(scope.collection_ids) != {caller.collection(collection).id}:
        raise InvalidRequest(
            "One collection is named by `model` or `footnote`, and others by `vector_store_ids`.",
            hint="Give the name of a language model as `model`, and leave the collection to `vector_store_ids`.",
            param="vector_store_ids",
        )
    caller.touch(scope)
    return scope


class Reply:
    """The wire form of one answer."""

    def __init__(self, body: ChatRequest, base_url: str, models: Sequence[str]) -> None:
        self._body = body
        self._base_url = base_url
        self._first = models[0] if models else ""  # of several models, the one whose words are streamed
        self._candidates: list[dict[str, Any]] = []
        self._head = {"id": new_id("chatcmpl"), "created": int(time.time()), "model": body.model}

    def completion(self, events: Sequence[Event]) -> dict[str, Any]:
        for event in events:
            if isinstance(event, Candidate):
                self._take(event)
        assert isinstance(events[-1], AnswerCompleted)
        answer = events[-1].answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        message["annotations"] = self._annotations(answer)
        if answer.calls:
            message |= {"content": answer.text or None, "tool_calls": called(answer.calls)}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}],
            "usage": _usage(answer),
            **self._beside(answer),
        }

    async def stream(self, early: list[Event], events: AsyncGenerator[Event, None]) -> AsyncIterator[str]:
        """Server-sent events; an error after the first word becomes an event of its own."""
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async with aclosing(events):
                for event in early:
                    for line in self._lines(event):
                        yield line
                async for event in events:
                    for line in self._lines(event):
                        yield line
        except RagError as error:
            yield _event(envelope(error))
        except Exception as error:  # noqa: BLE001  (the edge: the status is sent, so the error goes into the stream)
            yield _event(envelope(unknown_error(error)))
        yield "data: [DONE]\n\n"

    def _lines(self, event: Event) -> list[str]:
        if isinstance(event, Candidate):
            return self._take(event)
        if isinstance(event, Progress):
            return [_comment(event)]
        if isinstance(event, TextDelta):
            return [self._chunk({"content": event.text})]
        if isinstance(event, ToolCallDelta):
            return [self._chunk({"tool_calls": [called_piece(event)]})]
        if isinstance(event, AnswerCompleted):
            answer = event.answer
            delta = {"annotations": self._annotations(answer)}
            lines = [self._chunk(delta, answer.finish_reason, **self._beside(answer))]
            if self._body.stream_options and self._body.stream_options.include_usage:
                lines.append(_event({**self._chunk_head(), "choices": [], "usage": _usage(answer)}))
            return lines
        return []

    def _take(self, candidate: Candidate) -> list[str]:
        """The lines of an event of one of several models: the first one's words. Whole answers are kept for the end."""
        event = candidate.event
        self._first = self._first or candidate.model
        if isinstance(event, TextDelta):
            return [self._chunk({"content": event.text})] if candidate.model == self._first else []
        answer = event.answer
        told = {"content": answer.text, "finish_reason": answer.finish_reason, "usage": _usage(answer)}
        self._candidates.append({"model": candidate.model, **told, **self._checked(answer)})
        return []

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: object) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _event({**self._chunk_head(), "choices": [choice], **more})

    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}

    def _annotations(self, answer: Answer) -> list[dict[str, Any]]:
        """One `url_citation` for every marker in the text, with the marker's place."""
        urls = {c["number"]: c for c in self._citations(answer)}
        return [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": marker.start(),
                    "end_index": marker.end(),
                    "title": urls[number]["title"],
                    "url": urls[number]["url"],
                },
            }
            for marker in _MARKER.finditer(answer.text)
            if (number := int(marker[1])) in urls
        ]

    def _beside(self, answer: Answer) -> dict[str, Any]:
        """What stands beside `choices`."""
        told = {"answered_by": answer.model, **self._checked(answer)}
        return {**told, "candidates": self._candidates} if self._candidates else told

    def _checked(self, answer: Answer) -> dict[str, Any]:
        """The sources of an answer, and its sentences checked against them."""
        claims = [{"text": answer.text[claim.start : claim.end], **asdict(claim)} for claim in answer.claims]
        return {"citations": self._citations(answer), "claims": claims}

    def _citations(self, answer: Answer) -> list[dict[str, Any]]:
        return [
            {**asdict(citation), "url": source_url(self._base_url, citation.document_id, citation.page_index)}
            for citation in answer.citations
        ]


def source_url(base_url: str, document_id: str, page_index: int | None) -> str:
    """Where a browser opens the source, at its page (the fragment that PDF viewers understand)."""
    page = "" if page_index is None else f"#page={page_index + 1}"
    return f"{base_url}documents/{document_id}/source{page}"


def _comment(progress: Progress) -> str:
    """A line of the stream that clients skip; it keeps the connection alive."""
    steps = f" ({progress.done} of {progress.total})" if progress.total else ""
    return f": {' '.join(progress.doing.split())}{steps}\n\n"


def _usage(answer: Answer) -> dict[str, int]:
    usage = answer.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
