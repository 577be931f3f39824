"""What a request says beyond OpenAI's fields: how to answer, and what of the documents to ask.

All of it can stand in the field `footnote`; what is asked for most also in fields of its own beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

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


def _one_of(name: str, short: Any, in_footnote: Any) -> Any:
    if short is not None and in_footnote is not None and short != in_footnote:
        raise InvalidRequest(f"`{name}` and `footnote.{name}` do not say the same.", hint="Say it once.", param=name)
    return in_footnote if short is None else short
