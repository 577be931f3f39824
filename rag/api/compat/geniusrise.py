"""Geniusrise's text server: `POST /api/v1/chat`, `/chat_vllm`, `/chat_llama_cpp`, answered from the default collection.

Errors come in OpenAI's envelope.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field

from rag.api.compat.basic_auth import BASIC_AUTH
from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import JsonRoute
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, Reply, SamplingFields, request_of
from rag.api.streaming import collect, while_connected
from rag.errors import InvalidRequest

router = APIRouter(prefix="/api", tags=["older clients"], dependencies=[BASIC_AUTH], route_class=JsonRoute)


class GeniusriseChat(SamplingFields):
    """A prompt, or a conversation with sampling parameters; unknown ones are ignored."""

    prompt: str | None = None
    user_prompt: str | None = None
    system_prompt: str | None = None
    messages: list[ChatMessage] = Field(default_factory=list, max_length=10_000)
    top_k: int | None = None  # -1: all

    def to_chat(self, model: str) -> ChatRequest:
        """The same in OpenAI's form. Raises InvalidRequest unless either a prompt or messages are given."""
        prompt = self.prompt or self.user_prompt
        if bool(prompt) == bool(self.messages):
            raise InvalidRequest("Either prompt or messages must be given.", param="messages")
        messages = self.messages
        if prompt:
            system = [ChatMessage(role="system", content=self.system_prompt)] if self.system_prompt else []
            messages = [*system, ChatMessage(role="user", content=prompt)]
        not_sampling = {"prompt", "user_prompt", "system_prompt", "messages", "top_k"}
        sampling = self.model_dump(exclude=not_sampling, exclude_none=True)
        if self.top_k is not None and self.top_k > 0:
            sampling["top_k"] = self.top_k
        return ChatRequest(model=model, messages=messages, **sampling)


@router.post("/v1/chat")
@router.post("/v1/chat_vllm")
@router.post("/v1/chat_llama_cpp")
async def chat(body: GeniusriseChat, request: Request, services: AppServices, caller: Caller) -> dict[str, Any]:
    """An answer in OpenAI's form, with its text as `result`, too."""
    chat_request = body.to_chat(services.model.name)
    events = services.ask(await asyncio.to_thread(request_of, chat_request, services, caller))
    reply = Reply(chat_request, str(request.base_url), ())
    completion = reply.completion(await while_connected(request, collect(events)))
    prompts = {"user_prompt": body.prompt or body.user_prompt, "system_prompt": body.system_prompt}
    return {**completion, **prompts, "result": completion["choices"][0]["message"]["content"]}
