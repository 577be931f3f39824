"""Models as every room may know them: what makes vectors, what ranks, what writes.

Everything here is a value or a protocol; nothing does work or imports a heavy library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rag.types.chat import Message, Sampling, ToolCallDelta
from rag.types.documents import FinishReason, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


class Embedding(Protocol):
    """Turns text into unit vectors; `fingerprint` changes whenever the vectors would.

    `max_tokens` is how much of a text the model reads, special tokens included; `tokenizer` describes how it counts
    them (see rag/text/tokenizers.py). `is_multilingual` says whether it knows other languages than English. The two
    cosines of `similarity_scale` are those that mean as much as 0 and 1 do with the default model, and those of
    `scale_across_languages` for a question and a passage in two languages. `passages_at_once` is how many texts one
    call should bring at least for the model to be as fast as it can.
    """

    name: str
    dimension: int
    max_tokens: int
    tokenizer: str
    fingerprint: str
    is_multilingual: bool
    passages_at_once: int
    similarity_scale: tuple[float, float]
    scale_across_languages: tuple[float, float]

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        ...

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        ...


class Reranker(Protocol):
    """Reads question and passage together. Methods block and may be called from any thread."""

    name: str

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers the question, in 0–1."""
        ...


@dataclass(frozen=True, slots=True)
class ModelDelta:
    """The next piece of a reply: text, thoughts before it, or pieces of the functions that the model calls. The finish
    reason comes with the last of them or after it, the usage last of all, where the provider gives it: read to the end.
    Before the first text, `waiting` may say what is being waited for. `retracts` says that all text before this piece
    was thoughts, which only their end has told."""

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    waiting: str = ""
    calls: tuple[ToolCallDelta, ...] = ()
    thoughts: str = ""
    retracts: bool = False


class ChatModel(Protocol):
    """What writes replies."""

    def stream(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        """The reply, piece by piece; closing the generator stops it. `options` are fields of OpenAI's chat request:
        sampling parameters (and those that local servers add) and functions; under `extra_body` are fields that only
        the model's server knows. Raises BackendError."""
        ...


_FEW_PARAMETERS = 2_000_000_000


@dataclass(slots=True)
class Thoughts:
    """What its replies have shown of how a model thinks: whether its thoughts come without the opening tag (None as
    long as no reply told), and how many ways to ask for a reply without thoughts have failed
    (rag/models/thoughts.py)."""

    are_unopened: bool | None = None
    failed_ways: int = 0


@dataclass(slots=True)
class Sight:
    """Whether a model sees images; None as long as nobody knows."""

    sees: bool | None = None


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model ready to be asked.

    `llm` None means `quotes` mode (no model: answers are the best sentences). `count_tokens`
    counts the tokens of a text, never too few, and asks nobody; `count_prompt` counts those of a whole prompt with all
    that the chat template adds, exactly, or gives None where nobody can tell (it may ask a server: blocking, seconds at
    most). `context_window` is in tokens. `description` is the one line that the start-up message and the chat's banner
    show. `sampling` and `system_prompt` hold for every request, as far as it does not say otherwise. `calls_functions`
    is whether functions can be given to it, `writes_json` whether it can be held to a `response_format`. `takes_images`
    whether images can be sent to it at all, and `sight` whether it sees them (rag/models/vision.py). `parameters` are
    its weights, 0 where nobody knows how many. `thoughts` is what its replies teach of it.
    """

    provider: str
    name: str
    description: str
    llm: ChatModel | None = None
    context_window: int = 0
    count_tokens: Callable[[str], int] = field(default=lambda text: len(text.encode()) // 3 + 1)
    count_prompt: Callable[[Sequence[Message]], int | None] = field(default=lambda _: None)
    sampling: Sampling = field(default_factory=Sampling)
    system_prompt: str = ""
    calls_functions: bool = False
    writes_json: bool = False
    takes_images: bool = False
    parameters: int = 0
    thoughts: Thoughts = field(default_factory=Thoughts, compare=False)
    sight: Sight = field(default_factory=Sight, compare=False)

    @property
    def is_small(self) -> bool:
        """Whether it needs to be shown how to answer, and reads few passages better than many (docs/models.md)."""
        return 0 < self.parameters < _FEW_PARAMETERS
