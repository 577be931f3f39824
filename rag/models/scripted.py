"""The `scripted` provider: a fixed reply, word by word, so that the whole application runs in tests."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rag.types.documents import Message, Usage
from rag.types.models import LanguageModel, ModelDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from rag.settings import LanguageModelSettings

CONTEXT_WINDOW = 8192  # tokens
DEFAULT_SCRIPT = "The documents say so [1]."


def open_scripted(settings: LanguageModelSettings) -> LanguageModel:
    """A model that answers every question with `settings.script`."""
    return LanguageModel(
        provider="scripted",
        name="scripted",
        description="scripted: the same reply to every question, for tests",
        llm=Scripted(settings.script or DEFAULT_SCRIPT),
        context_window=settings.context_window or CONTEXT_WINDOW,
        count_tokens=lambda text: len(_words(text)),
    )


@dataclass(slots=True)
class Scripted:
    """Says `script`; a token is a word with the space before it. `prompts` keeps the last prompts it was given, oldest
    first, each as one text of `role: content` paragraphs. `tokens_per_second` makes it as slow as a real one; 0: as
    fast as it can."""

    script: str
    tokens_per_second: float = 0
    prompts: deque[str] = field(default_factory=lambda: deque(maxlen=100))

    async def stream(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        """The script up to the first of the texts `stop`, at most `max_tokens` words of it, then finish reason and
        usage."""
        prompt = "\n\n".join(f"{message.role}: {message.content}" for message in messages)
        self.prompts.append(prompt)
        script = self.script
        for stop in options.get("stop") or ():
            script = script.partition(stop)[0]
        words = _words(script)
        spoken = words[: options.get("max_tokens")]
        for word in spoken:
            # Others get their turn, as between the tokens of a real model.
            await asyncio.sleep(1 / self.tokens_per_second if self.tokens_per_second else 0)
            yield ModelDelta(word)
        yield ModelDelta("", "length" if len(words) > len(spoken) else "stop", Usage(len(_words(prompt)), len(spoken)))


def _words(text: str) -> list[str]:
    return re.findall(r"(?<!\s)\s*+\S+", text)
