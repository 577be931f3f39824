"""`POST /v1/completions`: the older API, for clients that know no other: the prompt is a question to the documents."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from rag.api.dependencies import Caller
from rag.api.json_body import JsonRoute
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, SamplingFields, request_of, usage_of
from rag.api.openai.extensions import WithExtensions
from rag.api.openai.models import with_stand_in
from rag.api.streaming import STREAMED, WireForm, collect, server_sent, streamed, while_connected
from rag.operations.services import Services
from rag.storage.ids import new_id
from rag.types.documents import Answer, AnswerCompleted, Event, TextDelta

router = APIRouter(route_class=JsonRoute)


class CompletionRequest(SamplingFields, WithExtensions):
    """The fields of OpenAI's request that Footnote uses; others are accepted and ignored."""

    model: str
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    stream: bool = False
    n: Literal[1] = 1

    def to_chat(self) -> ChatRequest:
        """The same as a conversation of one question."""
        prompt = self.prompt if isinstance(self.prompt, str) else self.prompt[0]
        options = self.model_dump(exclude={"prompt", "footnote"}, exclude_none=True)
        return ChatRequest(messages=[ChatMessage(role="user", content=prompt)], footnote=self.footnote, **options)


@router.post("/v1/completions", responses=STREAMED)
async def create_completion(body: CompletionRequest, request: HttpRequest, caller: Caller) -> Response:
    """Answer the prompt from the documents."""
    services: Services = request.app.state.services
    events = services.ask(await asyncio.to_thread(request_of, body.to_chat(), services, caller))
    completion = _Completion(body.model)
    if body.stream:
        return with_stand_in(await streamed(request, events, completion), body.model, services)
    last = (await while_connected(request, collect(events)))[-1]
    assert isinstance(last, AnswerCompleted)
    return with_stand_in(JSONResponse(completion.body(last.answer)), body.model, services)


class _Completion(WireForm):
    """The wire form of one answer."""

    def __init__(self, model: str) -> None:
        self._head = {"id": new_id("cmpl"), "object": "text_completion", "created": int(time.time()), "model": model}

    def body(self, answer: Answer) -> dict[str, Any]:
        """The answer in one piece."""
        return {**self._head, "choices": [_choice(answer.text, answer.finish_reason)], "usage": usage_of(answer)}

    def take(self, event: Event) -> str:
        """The chunk of an event."""
        if isinstance(event, TextDelta):
            return server_sent({**self._head, "choices": [_choice(event.text, None)]})
        if isinstance(event, AnswerCompleted):
            return server_sent({**self._head, "choices": [_choice("", event.answer.finish_reason)]})
        return ""


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
