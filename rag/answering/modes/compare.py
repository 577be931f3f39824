"""Compare: several models answer one question side by side, from the same passages."""

from __future__ import annotations

import asyncio

from rag.answering.engine import ChatEngine, RetrievalResult
from rag.answering.generation import PreparedQuestion
from rag.answering.modes.parallel import in_parallel
from rag.answering.modes.request import Engines, Request
from rag.errors import InvalidRequest, NotFound, RagError, words_for_caller
from rag.models.models_file import ModelsFile
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    Candidate,
    ChunksRetrieved,
    Emit,
    Event,
    Progress,
    TextDelta,
    ThoughtDelta,
    Usage,
)

Participant = tuple[ChatEngine, PreparedQuestion]


async def compare(request: Request, engines: Engines, file: ModelsFile, emit: Emit) -> Answer:
    """The answers of the models that are named, or of the first two that are offered, as Candidate events; it is the
    first one's.

    A model that fails says so in its answer. Raises InvalidRequest for fewer than two models, NotFound for an unknown
    one, BackendError when all fail.
    """
    names = list(dict.fromkeys(request.models)) or file.offered[:2]
    if len(names) < 2:
        raise InvalidRequest(
            "A comparison needs two models at least.",
            hint="Name them; models.toml describes the models to choose from.",
            param="models",
        )
    prepared = await in_parallel(lambda name: _prepare(name, request, engines), names, len(names))
    participants = dict(zip(names, prepared, strict=True))
    able = [participant for participant in prepared if not isinstance(participant, RagError)]
    if not able:
        raise next(error for error in prepared if isinstance(error, RagError))
    engine, first = able[0]
    result = await engine.find(await engine.condense(first, emit), request.scope)
    emit(ChunksRetrieved(result.hits, result.passages))
    for name in names:
        emit(Candidate(name, TextDelta("")))

    async def answer(name: str) -> Answer:
        return await _answer(name, participants[name], result, emit)

    return (await in_parallel(answer, names, len(names)))[0]


async def _prepare(name: str, request: Request, engines: Engines) -> Participant | RagError:
    """The model made ready, or why it cannot answer. Raises NotFound, InvalidRequest."""
    try:
        engine = await asyncio.to_thread(engines, name)
        return engine, await engine.prepare(request.messages, request.sampling)
    except (NotFound, InvalidRequest):
        raise
    except RagError as error:
        return error


async def _answer(name: str, participant: Participant | RagError, result: RetrievalResult, emit: Emit) -> Answer:
    """One model's answer; what it waits for is told of all."""
    text = ""

    def emit_candidate(event: Event) -> None:
        nonlocal text
        if isinstance(event, TextDelta):
            text += event.text
            emit(Candidate(name, event))
        elif isinstance(event, ThoughtDelta):
            emit(Candidate(name, event))
        elif isinstance(event, Progress):
            emit(event)

    try:
        if isinstance(participant, RagError):
            raise participant
        engine, prepared = participant
        answer = await engine.write(prepared, result, emit_candidate)
    except RagError as error:
        emit_candidate(TextDelta(("\n\n" if text else "") + words_for_caller(error)[0]))
        answer = Answer(text, (), result.passages, name, found=False, finish_reason="stop", usage=Usage(0, 0))
    emit(Candidate(name, AnswerCompleted(answer)))
    return answer
