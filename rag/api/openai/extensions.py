"""What a request says beyond OpenAI's fields: how to answer, and what of the documents to ask.

All of it can stand in the field `footnote`; what is asked for most also in fields of its own beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from rag.answering.modes.request import WITHOUT_RETRIEVAL, Mode
from rag.api.json_body import NullIsAbsent
from rag.errors import InvalidRequest
from rag.storage.selection import Selection


@dataclass(frozen=True, slots=True)
class Extensions(Selection):
    """A field of Footnote's own: the part of the collection to ask, and how. `models` are for the mode `compare`."""

    mode: Mode | None = None
    models: tuple[str, ...] = ()
    collection: str | None = None


class WithExtensions(NullIsAbsent):
    """The fields beside OpenAI's: `footnote`, and short names for some of it.

    `retrieval: false` is the mode `chat`, unless another is named; `vector_store_ids` are the collections to ask, by id
    or name.
    """

    footnote: Extensions = Extensions()
    retrieval: bool | None = None
    mode: Mode | None = None
    filters: dict[str, Any] | None = None
    vector_store_ids: Annotated[list[str], Field(min_length=1, max_length=16)] | None = None

    @property
    def extensions(self) -> Extensions:
        """All that is said, in one. Raises InvalidRequest where it is said twice, and differently."""
        extensions = self.footnote
        mode: Mode | None = _one_of("mode", self.mode, extensions.mode)
        filters = _one_of("filters", self.filters, extensions.filters)
        if self.retrieval is not None:
            mode = mode or ("documents" if self.retrieval else "chat")
            if mode == "chat" if self.retrieval else mode not in WITHOUT_RETRIEVAL:
                raise InvalidRequest(
                    f"`retrieval` is {str(self.retrieval).lower()}, and the mode is {mode!r}.",
                    hint=f"These modes can do without it, and `chat` does: {', '.join(sorted(WITHOUT_RETRIEVAL))}.",
                    param="retrieval",
                )
        return replace(extensions, mode=mode, filters=filters)


# Fields of OpenAI's request and of other servers' that are not passed on: they are about the client's account, ask for
# what Footnote does not give, or would undo what it relies on.
_NOT_PASSED_ON = {
    *("user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("logprobs", "top_logprobs", "functions", "function_call", "modalities", "audio", "prediction", "best_of", "echo"),
    *("web_search_options", "prompt", "input", "suffix", "chat_template", "documents", "use_beam_search", "ignore_eos"),
    *("truncation", "max_tool_calls", "conversation", "background", "include"),  # of responses
    *("api_base", "base_url", "api_key", "api_version", "extra_headers", "extra_query", "extra_body", "n_predict"),
}
_MOST_FOREIGN = 32


class WithForeignFields(NullIsAbsent):
    """A body of which the fields that are not OpenAI's, nor Footnote's, go to the model's server."""

    model_config = ConfigDict(extra="allow")

    chat_template_kwargs: dict[str, Any] | None = Field(None, max_length=_MOST_FOREIGN)

    @model_validator(mode="after")
    def _has_few_of_them(self) -> Self:
        if len(self.model_extra or {}) > _MOST_FOREIGN:
            raise ValueError("there are too many fields that are not OpenAI's")
        return self

    @property
    def foreign(self) -> dict[str, Any]:
        """Name → value of these fields."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in _NOT_PASSED_ON}


def _one_of(name: str, short: Any, in_footnote: Any) -> Any:
    if short is not None and in_footnote is not None and short != in_footnote:
        raise InvalidRequest(f"`{name}` and `footnote.{name}` do not say the same.", hint="Say it once.", param=name)
    return in_footnote if short is None else short
