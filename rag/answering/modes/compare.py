"""Compare: several models answer one question side by side, from the same passages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from rag.answering.engine import ChatEngine, RetrievalResult
from rag.answering.generation import PreparedQuestion
from rag.answering.modes.parallel import merged
from rag.answering.modes.request import Engines, Request
from rag.errors import InvalidRequest, NotFound, RagError
from rag.models.models_file import ModelsFile
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    Candidate,
    ChunksRetrieved,
    Event,
    Passage,
    Progress,
    QueryCondensed,
    TextDelta,
    Usage,
)

Prepared = tuple[ChatEngine, PreparedQuestion]


async def compare(request: Request, engines: Engines, file: ModelsFile) -> AsyncGenerator[Event, None]:
    """The answers of the models that are named, or of the first two that are offered, as Candidate events.

    Ends with AnswerCompleted of the first one. A model that fails says so in its answer. Raises InvalidRequest for
    fewer than two models, NotFound for an unknown one, BackendError when all fail.
    """
    names = list(dict.fromkeys(request.models)) or file.offered[:2]
    if len(names) < 2:
        raise InvalidRequest(
            "A comparison needs two models at least.",
            hint="Name them; models.toml describes the models to choose from.",
            param="models",
        )
    ready = await asyncio.gather(*(_prepare(name, request, engines) for name in names))
    prepared = dict(zip(names, ready, strict=True))
    able = {name: ready for name, ready in prepared.items() if not isinstance(ready, RagError)}
    if not able:
        raise next(error for error in prepared.values() if isinstance(error, RagError))
    engine, asked = next(iter(able.values()))
    question = await engine.condense(asked)
    if question != asked.question:
        yield QueryCondensed(question)
    finding = await engine.find(question, request.scope)
    yield ChunksRetrieved(finding.hits, finding.passages)
    answers: dict[str, Answer] = {}
    streams = [_answering(name, prepared[name], finding) for name in names]
    async with aclosing(merged(streams, len(streams))) as events:
        async for _, event in events:
            if isinstance(event, Candidate) and isinstance(event.event, AnswerCompleted):
                answers[event.model] = event.event.answer
            if event is not None:
                yield event
    yield AnswerCompleted(answers[names[0]])


async def _prepare(name: str, request: Request, engines: Engines) -> Prepared | RagError:
    """The model made ready, or why it cannot answer. Raises NotFound, InvalidRequest."""
    try:
        engine = await asyncio.to_thread(engines, name)
        return engine, await engine.prepare(request.messages, request.sampling)
    except (NotFound, InvalidRequest):
        raise
    except RagError as error:
        return error


async def _answering(name: str, ready: Prepared | RagError, finding: RetrievalResult) -> AsyncGenerator[Event, None]:
    """One model's answer; what it waits for is told of all."""
    said = ""
    try:
        if isinstance(ready, RagError):
            raise ready
        engine, asked = ready
        async with aclosing(engine.write(asked, finding)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    said += event.text
                if isinstance(event, TextDelta | AnswerCompleted):
                    yield Candidate(name, event)
                elif isinstance(event, Progress):
                    yield event
    except RagError as error:
        told = ("\n\n" if said else "") + error.message
        yield Candidate(name, TextDelta(told))
        yield Candidate(name, AnswerCompleted(_failed(name, said + told, finding.passages)))


def _failed(name: str, text: str, passages: tuple[Passage, ...]) -> Answer:
    return Answer(text, (), passages, name, found=False, finish_reason="stop", usage=Usage(0, 0))
