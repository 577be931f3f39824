"""Golden questions drafted from the user's own documents by the language model, for a person to accept or edit."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import PurePosixPath

from rag.answering.context import pack_context
from rag.answering.prompts import DRAFT
from rag.errors import ConfigurationError, NotFound
from rag.evaluation.relevance import holds_any, normalised
from rag.evaluation.run import without
from rag.models.llm import HOW_TO_ADD_A_MODEL, refresh_model, stream_text
from rag.operations.backend import Backend
from rag.operations.control_protocol import SearchRequest
from rag.storage.catalog import Catalog
from rag.storage.selection import EVERYTHING, Selection, scope_of
from rag.types.chat import DEFAULT_MAX_TOKENS, Sampling
from rag.types.documents import Chunk, Document, Hit, Message, Passage
from rag.types.models import LanguageModel

NEAR_MISS_EVERY = 4  # drafts: of the questions in a file, a fifth should have no answer
ATTEMPTS = 3  # passages looked at, at most, for each question wanted
_LOOKED_AT = 20  # hits in which a near miss has no answer
_SHORTEST = 100  # characters of a passage that may hold something worth asking
_OVERHEAD_TOKENS = 64  # what a chat template adds
_LINE = r"^[ \t*_#>-]*+{}[ \t*_]*+:[\s*_]*+(\S.*)$"


@dataclass(frozen=True, slots=True)
class Pick:
    """A passage to ask about; `name` is the document's file name, or its source where several have that name."""

    name: str
    document: Document
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that a passage answers, and the answer as it stands there."""

    question: str
    answer: str
    pick: Pick

    def line(self, number: int) -> str:
        """The draft as a line of questions for `rag eval`."""
        chunk = self.pick.chunk
        values = {
            "id": f"draft-{number}",
            "question": self.question,
            "answer": self.answer,
            "document": self.pick.name,
            "page": chunk.page_label,
            "record_id": chunk.record_id,
            "text": chunk.text,
        }
        return json.dumps({name: value for name, value in values.items() if value is not None}, ensure_ascii=False)

    def near_miss_line(self, number: int) -> str:
        """The same question with its document left out, as a line of questions: then there is no answer."""
        values = {
            "id": f"draft-{number}-near-miss",
            "question": self.question,
            "without": self.pick.name,
            "answerable": False,
        }
        return json.dumps(values, ensure_ascii=False)


def pick_passages(catalog: Catalog, collection: str, seed: int, selection: Selection = EVERYTHING) -> Iterator[Pick]:
    """Passages that are not too short, in an order that depends on the documents and `seed` alone: one of each document
    in turn, then a second one of each, and so on. Raises NotFound where there are no documents."""
    scope = scope_of(catalog, collection, selection)
    documents = [
        document
        for document in catalog.documents(collection)
        if document.chunks and (scope.document_ids is None or document.id in scope.document_ids)
    ]
    if not documents:
        raise NotFound(
            f"There are no documents to ask about in the collection {collection!r}.", hint="`ingest PATH` adds some."
        )
    names = Counter(PurePosixPath(document.source).name for document in documents)
    random.Random(seed).shuffle(documents)  # noqa: S311  (no secret)
    turns = deque((document, _shuffled(catalog, document, scope.pages, seed)) for document in documents)
    while turns:
        document, chunks = turns.popleft()
        chunk = next(chunks, None)
        if chunk is not None:
            name = PurePosixPath(document.source).name
            yield Pick(name if names[name] == 1 else document.source, document, chunk)
            turns.append((document, chunks))


def _shuffled(catalog: Catalog, document: Document, pages: tuple[int, int] | None, seed: int) -> Iterator[Chunk]:
    chunks = [
        chunk
        for chunk in catalog.chunks_of(document.id)
        if len(normalised(chunk.text)) >= _SHORTEST
        and (pages is None or (chunk.page_index is not None and pages[0] <= chunk.page_index + 1 <= pages[1]))
    ]
    random.Random(f"{seed} {document.source}").shuffle(chunks)  # noqa: S311  (no secret)
    yield from chunks


def draft_questions(model: LanguageModel, picks: Iterable[Pick]) -> Generator[Draft | None]:
    """One question a passage; None where the model gave none, one that was there already, or an answer that is not
    literally in the passage. Blocking.

    Raises ConfigurationError where there is no model, BackendError when it fails.
    """
    if model.llm is None:
        raise ConfigurationError(
            "Questions are drafted by a language model, and there is none.", hint=f"{HOW_TO_ADD_A_MODEL}."
        )
    drafted: set[str] = set()
    with asyncio.Runner() as runner:
        model = runner.run(refresh_model(model))
        for pick in picks:
            reply = runner.run(_reply(model, pick))
            question, answer = _field("question", reply), _field("answer", reply)
            if question and answer and holds_any(pick.chunk.text, [answer]) and normalised(question) not in drafted:
                drafted.add(normalised(question))
                yield Draft(question, answer, pick)
            else:
                yield None


def is_near_miss(draft: Draft, backend: Backend, collection: str, selection: Selection = EVERYTHING) -> bool:
    """Whether without the draft's document something is found, and the answer stands nowhere in it. Blocking; raises
    what a search raises."""
    request = SearchRequest(
        question=draft.question,
        collection=collection,
        limit=_LOOKED_AT,
        selection=without(selection, [draft.pick.document.source]),
    )
    hits = asyncio.run(_hits(backend, request))
    return bool(hits) and not any(holds_any(hit.chunk.text, [draft.answer]) for hit in hits)


async def _hits(backend: Backend, request: SearchRequest) -> Sequence[Hit]:
    return await backend.search(request)


async def _reply(model: LanguageModel, pick: Pick) -> str:
    longest = min(model.sampling.max_tokens or DEFAULT_MAX_TOKENS, model.context_window // 3)
    budget = model.context_window - longest - model.count_tokens(DRAFT) - _OVERHEAD_TOKENS
    _, passage = pack_context([_passage(pick)], model.count_tokens, budget)
    prompt = [Message("user", DRAFT.format(passage=passage))]
    sampling = Sampling(max_tokens=longest, temperature=0.0)
    async with aclosing(stream_text(model, prompt, sampling, thinks=False)) as deltas:
        return "".join([delta.text async for delta in deltas])


def _passage(pick: Pick) -> Passage:
    chunk, document = pick.chunk, pick.document
    return Passage(
        number=1,
        document_id=document.id,
        title=document.title,
        source=document.source,
        page_index=chunk.page_index,
        page_label=chunk.page_label,
        heading=chunk.heading,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        score=1.0,
    )


def _field(name: str, reply: str) -> str:
    """What stands after `name:` in its line, without quotation marks around it; empty if there is no such line."""
    line = re.search(_LINE.format(name), reply, re.IGNORECASE | re.MULTILINE)
    return line[1].rstrip("*_ \t\r").strip("\"“”„'‘’` ") if line else ""
