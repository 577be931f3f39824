"""Geniusrise's text server: `POST /api/v1/chat`, `/chat_vllm`, `/chat_llama_cpp`.

Its clients talk to a model, so they do here; with `retrieval`, a mode, or a `footnote/…` as the model they ask the
documents. Errors come in OpenAI's envelope.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import JsonRoute
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, Reply, SamplingFields, request_of
from rag.api.openai.extensions import WithExtensions
from rag.api.openai.models import COLLECTION_PREFIX
from rag.api.streaming import STREAMED, collect, streamed, while_connected
from rag.errors import InvalidRequest

router = APIRouter(prefix="/api", tags=["Geniusrise's clients"], route_class=JsonRoute)


class GeniusriseChat(SamplingFields, WithExtensions):
    """A prompt, or a conversation with sampling parameters; unknown ones are ignored."""

    model: str = ""
    prompt: str | None = None
    user_prompt: str | None = None
    system_prompt: str | None = None
    messages: list[ChatMessage] = Field(default_factory=list, max_length=10_000)
    stream: bool = False
    n: Literal[1] = 1
    top_k: int | None = None  # -1: all
    logit_bias: dict[str, float] | None = Field(None, max_length=1_000)

    def to_chat(self, default_model: str) -> ChatRequest:
        """The same in OpenAI's form. Raises InvalidRequest unless either a prompt or messages are given."""
        prompt = self.prompt or self.user_prompt
        if bool(prompt) == bool(self.messages):
            raise InvalidRequest("Either prompt or messages must be given.", param="messages")
        messages = _with_assistant(self.messages)
        if prompt:
            system = [ChatMessage(role="system", content=self.system_prompt)] if self.system_prompt else []
            messages = [*system, ChatMessage(role="user", content=prompt)]
        own = {"model", "prompt", "user_prompt", "system_prompt", "messages", "top_k", "footnote"}
        options = self.model_dump(exclude=own, exclude_none=True)
        if self.top_k is not None and self.top_k > 0:
            options["top_k"] = self.top_k
        if self.extensions.mode is None and not self.model.startswith(COLLECTION_PREFIX):
            options["mode"] = "chat"
        model = self.model or default_model
        return ChatRequest(model=model, messages=messages, footnote=self.footnote, **options)


def _with_assistant(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The conversation, in which some of these clients send the assistant's turns as the system's: those that answer
    a user."""
    roles = [message.role for message in messages]
    return [
        message.model_copy(update={"role": "assistant"})
        if message.role == "system" and roles[max(place - 1, 0)] == "user"
        else message
        for place, message in enumerate(messages)
    ]


@router.post("/v1/chat", responses=STREAMED)
@router.post("/v1/chat_vllm", responses=STREAMED)
@router.post("/v1/chat_llama_cpp", responses=STREAMED)
async def chat(body: GeniusriseChat, request: Request, services: AppServices, caller: Caller) -> Response:
    """An answer in OpenAI's form, with its text as `result`, too; or OpenAI's stream."""
    chat_request = body.to_chat(services.model.name)
    prepared = await asyncio.to_thread(request_of, chat_request, services, caller)
    events, reply = services.ask(prepared), Reply(chat_request, str(request.base_url), ())
    if body.stream:
        return await streamed(request, events, reply)
    completion = reply.completion(await while_connected(request, collect(events)))
    prompts = {"user_prompt": body.prompt or body.user_prompt, "system_prompt": body.system_prompt}
    return JSONResponse({**completion, **prompts, "result": completion["choices"][0]["message"]["content"]})
