"""Functions that make LLMs of llama-index, as a user would write them for `package.module:function`."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
    MessageRole,
    MockLLM,
)


class Blocking(CustomLLM):
    """Runs in this process and has no way of its own to be asked without stopping the event loop."""

    words: list[str]
    pause: float = 0.0
    fails_after: int = -1
    refuses: str = ""
    strict: bool = False  # about roles, as the chat templates of some models are
    asked: list[dict[str, Any]] = []  # noqa: RUF012 (a field: each object has its own)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=1234, model_name="blocking")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="".join(self.words))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        self.asked.append({**kwargs, "prompt": prompt, "thread": threading.current_thread().name})
        if self.strict and "system" in prompt:
            raise ValueError("Conversation roles must alternate user/assistant/user/assistant/...")
        if self.refuses in kwargs:
            raise TypeError(f"generate() got an unexpected keyword argument '{self.refuses}'")

        def responses() -> Any:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                for number, word in enumerate(self.words):
                    if number == self.fails_after:
                        raise RuntimeError(f"out of memory with {os.environ.get('MY_KEY', '')}")
                    time.sleep(self.pause)
                    yield CompletionResponse(text="".join(self.words[: number + 1]), delta=word)
            finally:
                self.at_once -= 1

        return responses()


class Asynchronous(Blocking):
    """Has its own `astream_chat`; its responses hold all that was said, and no delta."""

    left: bool = False

    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        self.asked.append({**kwargs, "prompt": messages[-1].content, "thread": threading.current_thread().name})

        async def responses() -> Any:
            said = ""
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                for word in self.words:
                    await asyncio.sleep(self.pause)
                    said += word
                    yield ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=said))
            finally:
                self.at_once -= 1
                self.left = True

        return responses()


class WithoutStream(Blocking):
    """Knows neither `astream_chat` nor `stream_chat`."""

    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def make_mock(**options: Any) -> MockLLM:
    return MockLLM(**options)


def make_blocking(**options: Any) -> Blocking:
    return Blocking(**options)


def make_asynchronous(**options: Any) -> Asynchronous:
    return Asynchronous(**options)


def make_without_stream(**options: Any) -> WithoutStream:
    return WithoutStream(**options)


def make_text() -> str:
    return "no LLM"


def refuse_key(api_key: str) -> MockLLM:
    raise ValueError(f"Incorrect API key provided: {api_key}")


NOT_A_FUNCTION = 1


def make_calling(base_url: str, *, is_function_calling_model: bool = True) -> Any:
    """OpenAI's class of llama-index, as for a server of one's own."""
    from llama_index.llms.openai_like import OpenAILike

    return OpenAILike(
        model="tiny",
        api_base=base_url,
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=is_function_calling_model,
        max_retries=0,
    )
