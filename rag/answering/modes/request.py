"""A question with all that is said about how to answer it: what UI, API and command line hand to the modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rag.errors import InvalidRequest
from rag.types.chat import NO_FUNCTIONS, UNSPECIFIED, Functions, Sampling
from rag.types.documents import Message, Scope
from rag.types.models import LanguageModel

if TYPE_CHECKING:
    from rag.answering.engine import ChatEngine

Mode = Literal["documents", "chat", "summarize", "plan", "route", "compare"]
MODES: tuple[Mode, ...] = get_args(Mode)
WITHOUT_RETRIEVAL: frozenset[Mode] = frozenset({"chat", "plan", "route", "compare"})

Engines = Callable[[str], "ChatEngine"]  # name of a model (empty: the default one) → engine; blocking: it may be opened


@dataclass(frozen=True, slots=True)
class Request:
    """A conversation that ends with a question, and where, how and by whom it is to be answered.

    Without `retrieval` the models of the modes `plan`, `route` and `compare` are asked alone, as in `chat`.
    `models` are the names of the models to ask: one (the default one if empty), for `compare` several. `examples` are
    turns that show how to answer (rag/answering/personas.py).
    `functions` may be called in the modes `documents` and `chat`.
    `max_passages` and `min_relevance` stand in for the settings of these names, where they are given.
    The model reads at most `most_chunks` of what was found, where that is said.
    """

    messages: Sequence[Message]
    scope: Scope
    mode: Mode = "documents"
    models: tuple[str, ...] = ()
    sampling: Sampling = UNSPECIFIED
    examples: tuple[Message, ...] = ()
    functions: Functions = NO_FUNCTIONS
    max_passages: int | None = None
    min_relevance: float | None = None
    most_chunks: int | None = None
    retrieval: bool = True


def require_model(model: LanguageModel, what_for: str) -> None:
    """Raises InvalidRequest in `quotes` mode, where nobody can write `what_for`."""
    from rag.models.llm import HOW_TO_ADD_A_MODEL  # the command line reads the names of the modes above

    if model.llm is None:
        raise InvalidRequest(
            f"{what_for} needs a language model, and there is none.",
            hint=f"{HOW_TO_ADD_A_MODEL[0].upper()}{HOW_TO_ADD_A_MODEL[1:]}.",
            param="mode",
        )
