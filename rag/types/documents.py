"""The values that travel through Footnote: documents, chunks, hits, passages, citations, answers, events.

Everything here is a frozen value; nothing does work or imports a heavy library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from rag.types.chat import Message as Message  # noqa: PLC0414  (one of the values that travel)
from rag.types.chat import ToolCall, ToolCallDelta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

# ---------------------------------------------------------------------------------------------- documents and chunks


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents one can ask; the API's vector store (`vs_…`).

    `name` is unique; `label` is what a vector store is called instead, which several may have in common (None: its
    name). `readers` are the principals it is shared with.
    """

    id: str
    name: str
    owner_id: str
    label: str | None = None
    is_public: bool = False
    readers: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name if self.label is None else self.label


LOCAL_PRINCIPAL = "prn_local"  # owner of everything on a machine without log-in
LOCAL_NAME = "local"


@dataclass(frozen=True, slots=True)
class Owned:
    """To whom an upload or a kept answer belongs; `key_id` names the limited API key that it came with."""

    owner_id: str
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A page, or the part of a page or file under one heading, as its loader read it.

    The texts of the sections with one `page_index`, one after the other, are the text of that page (of the file, where
    it has no pages and `page_index` is None). `heading` is the path of headings joined by " › ".
    """

    text: str
    page_index: int | None = None
    page_label: str | None = None
    heading: str = ""
    record_id: str | None = None


class ChunkId(str):
    """`{document}:{version}:{number}`: what vectors, words and the catalog know a chunk by."""

    __slots__ = ()

    @classmethod
    def of(cls, document_id: str, version: int, number: int) -> Self:
        """The id of that chunk."""
        return cls(f"{document_id}:{version}:{number}")

    @property
    def document_id(self) -> str:
        """The document's id."""
        return self.partition(":")[0]

    @property
    def version_name(self) -> str:
        """`{document}:{version}`."""
        return self.rpartition(":")[0]

    @property
    def parts(self) -> tuple[str, int, int]:
        """Document, version and number."""
        document_id, version, number = self.split(":")
        return document_id, int(version), int(number)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A searchable piece of one page.

    `id` is a `ChunkId` as text; `start` and `end` are character offsets in the text of the page (of the
    file, where it has no pages), so that `page.text[start:end] == text`.
    """

    id: str
    document_id: str
    number: int
    page_index: int | None
    page_label: str | None
    heading: str
    record_id: str | None
    start: int
    end: int
    text: str


DocumentStatus = Literal["ready", "partial", "failed"]
AttributeValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Document:
    """One source in one collection: an uploaded file, or a path that a folder ingest saw.

    `source` is the path or the uploaded file's name; `content` is where its bytes can be read (for an upload, inside
    the storage folder). `pages` counts pages, or 1 for a format without pages. `status` is `partial` when some pages
    hold no text; `failed` with chunks means that the file's present bytes cannot be read and an older version answers.
    `file_id` is set for uploads. `attributes` are what the user noted of it: see rag/storage/attributes.py. `chunking`
    says how it is cut, None: in Footnote's own way.
    """

    id: str
    collection: str
    owner_id: str
    file_id: str | None
    source: str
    title: str
    content: Path
    media_type: str
    sha256: str
    size: int
    modified_ns: int
    fingerprint: str
    version: int
    status: DocumentStatus
    pages: int
    chunks: int
    error: str
    hint: str
    created_at: str
    updated_at: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    chunking: Chunking | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be searched, after authorisation: collections by id, optionally only some of their documents or pages.

    `pages` are the first and the last page, counted from 1; what has no pages is on none of them. An empty scope finds
    nothing; it never means "everything".
    """

    collection_ids: tuple[str, ...]
    document_ids: frozenset[str] | None = None
    pages: tuple[int, int] | None = None


# ------------------------------------------------------------------------------------------- hits, passages, citations


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, with the rank (from 1) and score each leg gave it; None where a leg did not find it.

    Hits are ordered by `score`, in 0–1, which is measured against the best of them. `relevance`, in 0–2, is how far the
    chunk speaks to the question, whatever else was found. `snippet` is the span of `chunk.text` that does. `is_exact`
    says that the chunk holds a code of the question (a clause number, an id, a date) that few others hold.
    """

    chunk: Chunk
    title: str
    source: str
    score: float
    snippet: tuple[int, int]
    dense_rank: int | None = None
    dense_score: float | None = None
    lexical_rank: int | None = None
    lexical_score: float | None = None
    is_exact: bool = False
    relevance: float = 0.0

    @property
    def probability(self) -> float:
        """How likely a chunk of this relevance holds the answer, in 0–1: the logistic curve that fits 2,185 hits for
        questions of XQuAD and FinanceBench (docs/retrieval.md)."""
        return 1 / (1 + math.exp(8.34 * (1.065 - self.relevance)))


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring chunks of one page, packed for the prompt as source `[number]`.

    `addresses_assistant` says that it holds text that speaks to a language model (see rag/text/injection.py).
    """

    number: int
    document_id: str
    title: str
    source: str
    page_index: int | None
    page_label: str | None
    heading: str
    start: int
    end: int
    text: str
    score: float
    addresses_assistant: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """A footnote: the number in the answer, where it points, and the exact words it rests on.

    `start` and `end` are the quote's character offsets in the text of the page (or file).
    `addresses_assistant` is that of its passage.
    """

    number: int
    document_id: str
    title: str
    source: str
    page_index: int | None
    page_label: str | None
    heading: str
    quote: str
    start: int
    end: int
    addresses_assistant: bool = False


# ------------------------------------------------------------------------------------------------- answers and events

# `content_filter`: the server withheld the rest.
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
# What a message is: a question to the documents; small talk; about which documents there are; about one as a whole;
# work on what was said; a task of the client's own (see rag/answering/).
MessageKind = Literal["question", "small_talk", "collection", "document", "conversation", "client_task"]
Verdict = Literal["supported", "partly", "unsupported"]
# What Footnote itself says behind a model's words: that it repeated itself and was stopped; that nothing of it is borne
# out, with the best quotes; that nothing was computed; that a part of the index is incomplete for now, so that
# passages may be missing; that the reranker failed; that images, or functions, were left out (which the text does not
# say).
# And in place of its words, where it wrote none: that its thoughts took all the tokens that it may write; that its
# server withheld it; or just that.
Notice = Literal[
    "repeated",
    "not_borne_out",
    "not_computed",
    "index_incomplete",
    "not_reranked",
    "images_left_out",
    "functions_left_out",
    "only_thoughts",
    "withheld",
    "no_answer",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one model call."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer, checked against the sources it cites (`numbers`).

    `start` and `end` are its character offsets in the answer's text. `reason` says in a phrase what the sources do not
    bear out; it is empty for what is supported. `attributed` says that the model did not cite that source: Footnote
    found it (see rag/answering/attribution.py).
    """

    start: int
    end: int
    numbers: tuple[int, ...]
    verdict: Verdict
    reason: str = ""
    attributed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer. `found` is False for "not in your documents"; `model` names who wrote it; `kind` is what the
    message was taken for.

    `claims` are the checked sentences of a model's answer; quotes and refusals need no check and have none. `calls` are
    the functions that the model wants called before it goes on; then `text` may be empty. `notices` are what Footnote
    itself says at the end of `text`. `thoughts` are what a reasoning model wrote before its answer, of which they are
    no part: nothing in them is cited or checked.
    """

    text: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    model: str
    found: bool
    finish_reason: FinishReason
    usage: Usage
    claims: tuple[Claim, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    kind: MessageKind = "question"
    notices: tuple[Notice, ...] = ()
    thoughts: str = ""


@dataclass(frozen=True, slots=True)
class MessageClassified:
    """The message is no question to the documents, but of this kind; it is answered accordingly."""

    kind: MessageKind


@dataclass(frozen=True, slots=True)
class QueryCondensed:
    """A follow-up question was rewritten so that it can be searched on its own."""

    question: str


@dataclass(frozen=True, slots=True)
class ChunksRetrieved:
    """What was found, and what of it went into the prompt."""

    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """The next piece of what a reasoning model thinks before its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerCompleted:
    """The end of the stream, with the whole answer."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done before or between the words of an answer: `done` of `total` steps (0: nobody knows)."""

    doing: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event of one of several models that answer the same question side by side. Each begins with an empty
    TextDelta, all of them in the order in which they were asked."""

    model: str
    event: TextDelta | ThoughtDelta | AnswerCompleted


Found = MessageClassified | QueryCondensed | ChunksRetrieved
Event = Found | Progress | TextDelta | ThoughtDelta | ToolCallDelta | Candidate | AnswerCompleted
Emit = Callable[[Event], None]  # on the event loop; it does not wait


@dataclass(frozen=True, slots=True)
class Chunking:
    """Sizes in tokens of the embedding model: of a chunk at most, and of what it repeats of the one before."""

    tokens: int
    overlap: int

    def __str__(self) -> str:
        return f"{self.tokens}/{self.overlap}"


def chunking_of(text: str | None) -> Chunking | None:
    """What was written as a string."""
    if not text:
        return None
    tokens, overlap = text.split("/")
    return Chunking(int(tokens), int(overlap))
