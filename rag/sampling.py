"""How a language model picks its words: OpenAI's sampling parameters, and those that local servers add."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

DEFAULT_MAX_TOKENS = 1024  # of a reply, where nobody says


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of one request; None leaves one to whoever has a default: the settings, then the server.

    `max_tokens` is the longest reply, `stop` texts that end it (they are not part of it), `seed` makes it repeatable
    where the model can. `repetition_penalty` is above 1 to discourage words that were used; the other two penalties are
    OpenAI's, -2 to 2. `top_k` and `repetition_penalty` are unknown to OpenAI itself.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    def over(self, defaults: Sampling) -> Sampling:
        """These parameters, and those of `defaults` where there is none."""
        return replace(defaults, **self.given())

    def given(self) -> dict[str, Any]:
        """Name → value of those that are set."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


UNSPECIFIED = Sampling()
