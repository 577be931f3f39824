"""The `scripted` provider: a fixed reply, word by word, so that the whole application runs in tests."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse, CustomLLM, LLMMetadata, MessageRole
from pydantic import PrivateAttr

from rag.models.chat_template import to_turns
from rag.types.documents import LanguageModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from rag.settings import LanguageModelSettings

PROVIDER = "scripted"
CONTEXT_WINDOW = 8192  # tokens
DEFAULT_SCRIPT = "The documents say so [1]."


def open_scripted(settings: LanguageModelSettings) -> LanguageModel:
    """A model that answers every question with `settings.script`."""
    window = settings.context_window or CONTEXT_WINDOW
    return LanguageModel(
        provider=PROVIDER,
        name=PROVIDER,
        description="scripted: the same reply to every question, for tests",
        llm=Scripted(script=settings.script or DEFAULT_SCRIPT, context_window=window),
        context_window=window,
        count_tokens=lambda text: len(_words(text)),
    )


class Scripted(CustomLLM):
    """Says `script`; a token is a word with the space before it. `prompts` keeps the last prompts it was given, each as
    one text of `role: content` paragraphs. `tokens_per_second` makes it as slow as a real one; 0: as fast as it can."""

    script: str
    context_window: int
    tokens_per_second: float = 0
    _prompts: deque[str] = PrivateAttr(default_factory=lambda: deque(maxlen=100))

    @property
    def prompts(self) -> Sequence[str]:
        """The last prompts, oldest first."""
        return self._prompts

    @property
    def metadata(self) -> LLMMetadata:
        """What llama-index wants to know of a model."""
        return LLMMetadata(context_window=self.context_window, is_chat_model=True, model_name=PROVIDER)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        """The script up to the first of the texts `stop`, at most `max_tokens` words of it, then one response with
        finish reason and usage."""
        prompt = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in to_turns(messages))
        self._prompts.append(prompt)
        script = self.script
        for stop in kwargs.get("stop") or ():
            script = script.partition(stop)[0]
        return self._stream(prompt, script, kwargs.get("max_tokens") or len(script) + 1)

    async def _stream(self, prompt: str, script: str, max_tokens: int) -> AsyncGenerator[ChatResponse, None]:
        words = _words(script)
        text = ""
        for word in words[:max_tokens]:
            # Others get their turn, as between the tokens of a real model.
            await asyncio.sleep(1 / self.tokens_per_second if self.tokens_per_second else 0)
            text += word
            yield _response(text, word, {})
        reason = "length" if len(words) > max_tokens else "stop"
        usage = {"prompt_tokens": len(_words(prompt)), "completion_tokens": min(len(words), max_tokens)}
        yield _response(text, "", {"choices": [{"finish_reason": reason}], "usage": usage})

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The script, whole."""
        self._prompts.append(prompt)
        return CompletionResponse(text=self.script)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """The script, in one piece."""
        yield self.complete(prompt, formatted, **kwargs)


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _response(text: str, delta: str, raw: dict[str, Any]) -> ChatResponse:
    return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=text), delta=delta, raw=raw)
