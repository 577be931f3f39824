"""A scripted model whose reply depends on the prompt, and that keeps what it was sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rag.models.scripted import Scripted
from rag.types.chat import Sampling
from rag.types.documents import Message
from rag.types.models import LanguageModel, ModelDelta

Say = Callable[[str], str]  # what is said to a prompt; it may raise


@dataclass
class Speaking:
    """Says what `say` says; counts how many replies it writes at once. `asked` are the prompts, and how long each reply
    might have become."""

    _say: Say
    tokens_per_second: float = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    now: int = 0
    most_at_once: int = 0

    async def stream(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        prompt = "\n\n".join(f"{message.role}: {message.content}" for message in messages)
        self.asked.append((prompt, options["max_tokens"]))
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            voice = Scripted(self._say(prompt), self.tokens_per_second)
            async with aclosing(voice.stream(messages, options)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self.now -= 1


def speaking(
    say: Say, *, window: int = 8192, name: str = "speaking", max_tokens: int | None = None, tokens_per_second: float = 0
) -> LanguageModel:
    """A model whose tokens are words."""
    return LanguageModel(
        provider="scripted",
        name=name,
        description="for tests",
        llm=Speaking(say, tokens_per_second),
        context_window=window,
        count_tokens=lambda text: len(text.split()),
        sampling=Sampling(max_tokens=max_tokens),
    )


def assert_within_window(model: LanguageModel) -> None:
    """No prompt and its longest reply ever were more than the model reads."""
    assert isinstance(model.llm, Speaking)
    for prompt, max_tokens in model.llm.asked:
        assert len(prompt.split()) + max_tokens <= model.context_window, prompt[:200]
