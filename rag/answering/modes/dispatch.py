"""The one way in: a request goes to its mode, and events come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from rag.answering.engine import ChatEngine
from rag.answering.generation import write_answer
from rag.answering.modes.compare import compare
from rag.answering.modes.plan import plan
from rag.answering.modes.request import Engines, Mode, Request, require_model
from rag.answering.modes.route import RouteCounts, route
from rag.answering.modes.summarize import summarize
from rag.errors import BackendUnavailable, InvalidRequest
from rag.models.llm import wait_for_model
from rag.models.models_file import ModelsFile
from rag.settings import Settings
from rag.types.chat import ToolCallDelta
from rag.types.documents import Event, Progress, TextDelta

logger = logging.getLogger(__name__)

Ask = Callable[[ChatEngine, Request], AsyncGenerator[Event, None]]


def documents(engine: ChatEngine, request: Request) -> AsyncGenerator[Event, None]:
    """Answer from the documents: see rag/answering/engine.py."""
    return engine.stream(request.messages, request.scope, request.sampling, request.functions)


async def chat(engine: ChatEngine, request: Request) -> AsyncGenerator[Event, None]:
    """A conversation with the model alone: nothing is searched, nothing is cited.

    Answers under the instructions of model and request. Raises InvalidRequest without a language model.
    """
    asked = await engine.prepare(request.messages, request.sampling, request.functions, from_documents=False)
    require_model(asked.model, "A chat without documents")
    async with aclosing(write_answer(asked, ())) as events:
        async for event in events:
            yield event


_WITH_FUNCTIONS: frozenset[Mode] = frozenset({"documents", "chat"})
OF_ONE_MODEL: Mapping[Mode, Ask] = {"documents": documents, "chat": chat, "summarize": summarize, "plan": plan}


async def ask(
    request: Request, engines: Engines, file: ModelsFile, counts: RouteCounts | None = None
) -> AsyncGenerator[Event, None]:
    """Answer in the request's mode. Ends with AnswerCompleted; closing the generator stops all models.

    `counts` keeps count of who answers in the mode `route`. Raises InvalidRequest, NotFound for an unknown model,
    BackendError.
    """

    def open_engine(name: str) -> ChatEngine:
        engine = replace(engines(name), examples=request.examples, most_chunks=request.most_chunks)
        return replace(engine, settings=_settings(engine.settings, request))

    if request.mode not in _WITH_FUNCTIONS and (
        request.functions or any(m.role == "tool" for m in request.messages[-1:])
    ):
        raise InvalidRequest(
            f"No functions can be called in the mode {request.mode!r}.",
            hint=f"Leave them out, or use one of these modes: {', '.join(sorted(_WITH_FUNCTIONS))}.",
            param="tools" if request.functions else "messages",
        )
    if request.mode == "route":
        answering = route(request, open_engine, file, counts or RouteCounts())
    elif request.mode == "compare":
        answering = compare(request, open_engine, file)
    else:
        answering = _with_fallback(OF_ONE_MODEL[request.mode], request, open_engine, file)
    async with aclosing(answering) as events:
        async for event in events:
            yield event


def _settings(settings: Settings, request: Request) -> Settings:
    """The settings as the request has them."""
    overrides = {"max_passages": request.max_passages, "min_relevance": request.min_relevance}
    changes = {name: value for name, value in overrides.items() if value is not None}
    if not changes:
        return settings
    return settings.model_copy(update={"retrieval": settings.retrieval.model_copy(update=changes)})


async def _with_fallback(
    mode: Ask, request: Request, engines: Engines, file: ModelsFile
) -> AsyncGenerator[Event, None]:
    """Ask the model, and when it cannot be reached the next one, as long as nobody has seen a word of the answer."""
    names = with_fallbacks(request.models[0] if request.models else "", file)
    unreachable: list[BackendUnavailable] = []
    for name in names:
        engine = await asyncio.to_thread(engines, name)
        if unreachable and request.functions and not engine.model.calls_functions:
            continue
        if unreachable:
            yield Progress(f"{unreachable[-1].message} {engine.model.name} answers instead.")
        has_begun = False
        try:
            async with aclosing(wait_for_model(engine.model)) as waiting:
                async for what_for in waiting:
                    yield Progress(what_for)
            async with aclosing(mode(engine, request)) as events:
                async for event in events:
                    has_begun = has_begun or isinstance(event, TextDelta | ToolCallDelta)
                    yield event
        except BackendUnavailable as error:
            if has_begun:
                raise
            logger.warning("%s cannot be reached: %s", engine.model.name, error)
            unreachable.append(error)
        else:
            return
    raise unreachable[0]


def with_fallbacks(name: str, file: ModelsFile) -> list[str]:
    """The model to ask, empty for the default one, and those that take over, in their order: the ones behind it in the
    list of `models.toml`; all of the list for a default model that is not in it."""
    asked = name or file.default_name
    if asked in file.fallback:
        return [name, *file.fallback[file.fallback.index(asked) + 1 :]]
    return [name, *file.fallback] if asked == file.default_name else [name]
