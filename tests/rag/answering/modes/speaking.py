"""A scripted model whose reply depends on the prompt, and that keeps what it was sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from llama_index.core.llms import ChatMessage, ChatResponse
from pydantic import PrivateAttr

from rag.models.scripted import Scripted
from rag.types.chat import Sampling
from rag.types.documents import LanguageModel

Say = Callable[[str], str]  # what is said to a prompt; it may raise


class Speaking(Scripted):
    """Says what `say` says; counts how many replies it writes at once."""

    _say: Say = PrivateAttr()
    _asked: list[tuple[str, int]] = PrivateAttr(default_factory=list)
    _now: int = PrivateAttr(default=0)
    _most: int = PrivateAttr(default=0)

    @property
    def asked(self) -> Sequence[tuple[str, int]]:
        """The prompts, and how long each reply might have become."""
        return self._asked

    @property
    def now(self) -> int:
        return self._now

    @property
    def most_at_once(self) -> int:
        return self._most

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        prompt = "\n\n".join(f"{message.role.value}: {message.content}" for message in messages)
        self._asked.append((prompt, kwargs["max_tokens"]))
        return self._spoken(prompt, messages, kwargs)

    async def _spoken(
        self, prompt: str, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> AsyncGenerator[ChatResponse, None]:
        self._now += 1
        self._most = max(self._most, self._now)
        try:
            voice = Scripted(
                script=self._say(prompt),
                context_window=self.context_window,
                tokens_per_second=self.tokens_per_second,
            )
            async with aclosing(await voice.astream_chat(messages, **kwargs)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._now -= 1


def speaking(
    say: Say, *, window: int = 8192, name: str = "speaking", max_tokens: int | None = None, tokens_per_second: float = 0
) -> LanguageModel:
    """A model whose tokens are words."""
    llm = Speaking(script="", context_window=window, tokens_per_second=tokens_per_second)
    llm._say = say
    return LanguageModel(
        provider="scripted",
        name=name,
        description="for tests",
        llm=llm,
        context_window=window,
        count_tokens=lambda text: len(text.split()),
        sampling=Sampling(max_tokens=max_tokens),
    )


def assert_within_window(model: LanguageModel) -> None:
    """No prompt and its longest reply ever were more than the model reads."""
    assert isinstance(model.llm, Speaking)
    for prompt, max_tokens in model.llm.asked:
        assert len(prompt.split()) + max_tokens <= model.context_window, prompt[:200]
