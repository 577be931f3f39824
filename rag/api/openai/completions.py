"""`POST /v1/completions`: the older API, for clients that know no other: the prompt is a question to the documents."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ConfigDict, Field

from rag.api.dependencies import Caller
from rag.api.errors import envelope, unknown_error
from rag.api.json_body import JsonRoute
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, request_of
from rag.api.openai.extensions import WithExtensions
from rag.api.streaming import collect, until_first_sign, while_connected
from rag.errors import RagError
from rag.operations.services import Services
from rag.storage.ids import new_id
from rag.types.documents import AnswerCompleted, Event, TextDelta

router = APIRouter(route_class=JsonRoute)


class CompletionRequest(WithExtensions):
    """The fields of OpenAI's request that Footnote uses; others are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    stream: bool = False
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    n: Literal[1] = 1

    def to_chat(self) -> ChatRequest:
        """The same as a conversation of one question."""
        prompt = self.prompt if isinstance(self.prompt, str) else self.prompt[0]
        told = self.model_dump(exclude={"prompt", "footnote"}, exclude_none=True)
        return ChatRequest(messages=[ChatMessage(role="user", content=prompt)], footnote=self.footnote, **told)


@router.post("/v1/completions")
async def create_completion(body: CompletionRequest, request: HttpRequest, caller: Caller) -> Response:
    """Answer the prompt from the documents."""
    services: Services = request.app.state.services
    events = services.ask(await asyncio.to_thread(request_of, body.to_chat(), services, caller))
    head = {"id": new_id("cmpl"), "object": "text_completion", "created": int(time.time()), "model": body.model}
    if body.stream:
        early = await while_connected(request, until_first_sign(events))
        return StreamingResponse(_stream(head, early, events), media_type="text/event-stream")
    last = (await while_connected(request, collect(events)))[-1]
    assert isinstance(last, AnswerCompleted)
    usage = last.answer.usage
    counts = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    choice = _choice(last.answer.text, last.answer.finish_reason)
    return JSONResponse({**head, "choices": [choice], "usage": {**counts, "total_tokens": sum(counts.values())}})


async def _stream(head: dict[str, Any], early: list[Event], events: AsyncGenerator[Event, None]) -> AsyncIterator[str]:
    try:
        async with aclosing(events):
            for event in early:
                yield _line(head, event)
            async for event in events:
                yield _line(head, event)
    except RagError as error:
        yield _data(envelope(error))
    except Exception as error:  # noqa: BLE001  (the edge: the status is sent, so the error goes into the stream)
        yield _data(envelope(unknown_error(error)))
    yield "data: [DONE]\n\n"


def _line(head: dict[str, Any], event: Event) -> str:
    if isinstance(event, TextDelta):
        return _data({**head, "choices": [_choice(event.text, None)]})
    if isinstance(event, AnswerCompleted):
        return _data({**head, "choices": [_choice("", event.answer.finish_reason)]})
    return ""


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
