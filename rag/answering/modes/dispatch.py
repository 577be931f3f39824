"""The one way in: a request goes to its mode, and an answer comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from rag.answering.client_tasks import is_client_task
from rag.answering.engine import ChatEngine
from rag.answering.generation import write_answer
from rag.answering.images import shown_to, without_images
from rag.answering.modes.compare import compare
from rag.answering.modes.documents import documents, read_message
from rag.answering.modes.plan import plan
from rag.answering.modes.request import Engines, Mode, Request, require_model
from rag.answering.modes.route import RouteCounts, route
from rag.answering.modes.summarize import summarize
from rag.answering.replies import reply_to
from rag.errors import BackendUnavailable, FunctionsRefused, InvalidRequest
from rag.models.llm import wait_for_model
from rag.models.models_file import ModelsFile
from rag.settings import Settings
from rag.types.chat import NO_FUNCTIONS, ToolCallDelta
from rag.types.documents import Answer, Emit, Event, MessageClassified, MessageKind, Progress, TextDelta, Usage

logger = logging.getLogger(__name__)

_ALONE = "An answer without documents"
AnswerInMode = Callable[[ChatEngine, Request, Emit], Awaitable[Answer]]


async def chat(engine: ChatEngine, request: Request, emit: Emit, *, thinks: bool = True) -> Answer:
    """A conversation with the model alone: nothing is searched, nothing is cited.

    Answers under the instructions of model and request. Without `thinks` the model is asked not to think. Raises
    InvalidRequest without a language model.
    """
    prepared = await engine.prepare(
        request.messages, request.sampling, request.functions, system="", from_documents=False
    )
    require_model(prepared.model, _ALONE)
    return await write_answer(replace(prepared, thinks=thinks), emit)


async def client_task(engine: ChatEngine, request: Request, emit: Emit) -> Answer:
    """Do a task that a client has of its own by the model alone; without one, say that there is none."""
    emit(MessageClassified("client_task"))
    if engine.model.llm is not None:
        return replace(await chat(engine, request, emit, thinks=False), kind="client_task")
    text = await asyncio.to_thread(reply_to, request.messages[-1].content, "no_model")
    emit(TextDelta(text))
    name = engine.model.name
    return Answer(text, (), (), name, found=False, finish_reason="stop", usage=Usage(0, 0), kind="client_task")


_AS_OPENAI: frozenset[Mode] = frozenset({"documents", "chat"})
OF_ONE_MODEL: Mapping[Mode, AnswerInMode] = {"documents": documents, "chat": chat, "summarize": summarize, "plan": plan}


async def answer(request: Request, engines: Engines, file: ModelsFile, counts: RouteCounts, emit: Emit) -> Answer:
    """Answer in the request's mode, a client's own task (rag/answering/client_tasks.py) as a chat; `counts` keeps count
    of who answers in the mode `route`.

    Raises InvalidRequest, NotFound for an unknown model, BackendError.
    """

    def open_engine(name: str) -> ChatEngine:
        engine = replace(engines(name), examples=request.examples, most_chunks=request.most_chunks)
        if not request.retrieval:
            require_model(engine.model, _ALONE)
            return replace(engine, retrieves=False)
        return replace(engine, settings=_settings(engine.settings, request))

    if request.mode not in _AS_OPENAI:
        _require_plain(request)
        if any(message.images for message in request.messages):
            text_only = replace(request, messages=without_images(request.messages))
            return _images_left_out(await answer(text_only, engines, file, counts, emit))
    if request.mode != "chat" and any(m.role == "user" and is_client_task(m.content) for m in request.messages[-1:]):
        models = (file.route.small,) if request.mode == "route" and file.route else request.models[:1]
        return await _with_fallback(client_task, replace(request, models=models), open_engine, file, emit)
    if request.mode == "route":
        if request.retrieval and file.route and (await _kind(request, open_engine, file.route.small)) != "question":
            small = replace(request, mode="documents", models=(file.route.small,))
            return await _with_fallback(documents, small, open_engine, file, emit)
        return await route(request, open_engine, file, counts, emit)
    if request.mode == "compare":
        return await compare(request, open_engine, file, emit)
    return await _with_fallback(OF_ONE_MODEL[request.mode], request, open_engine, file, emit)


async def _kind(request: Request, engines: Engines, model: str) -> MessageKind:
    return (await read_message(await asyncio.to_thread(engines, model), request)).kind


def _require_plain(request: Request) -> None:
    """Raises InvalidRequest where functions or a response format are asked for, which the mode has not."""
    was_called = any(message.role == "tool" for message in request.messages[-1:])
    what, param = "", ""
    if request.sampling.response_format:
        what, param = "No response format can be kept", "response_format"
    elif request.functions or was_called:
        what, param = "No functions can be called", "tools" if request.functions else "messages"
    if what:
        raise InvalidRequest(
            f"{what} in the mode {request.mode!r}.",
            hint=f"Leave them out, or use one of these modes: {', '.join(sorted(_AS_OPENAI))}.",
            param=param,
        )


def _settings(settings: Settings, request: Request) -> Settings:
    """The settings as the request has them."""
    overrides = {"max_passages": request.max_passages, "min_relevance": request.min_relevance}
    changes = {name: value for name, value in overrides.items() if value is not None}
    if not changes:
        return settings
    return settings.model_copy(update={"retrieval": settings.retrieval.model_copy(update=changes)})


async def _with_fallback(
    answer_in_mode: AnswerInMode, request: Request, engines: Engines, file: ModelsFile, emit: Emit
) -> Answer:
    """Ask the model, and when it cannot be reached the next one, as long as nobody has seen a word of the answer."""
    names = with_fallbacks(request.models[0] if request.models else "", file)
    unreachable: list[BackendUnavailable] = []
    has_begun = False

    def emit_noting_the_beginning(event: Event) -> None:
        nonlocal has_begun
        has_begun = has_begun or isinstance(event, TextDelta | ToolCallDelta)
        emit(event)

    for name in names:
        engine = await asyncio.to_thread(engines, name)
        if unreachable and request.functions and not engine.model.calls_functions:
            continue
        if unreachable:
            emit(Progress(f"{unreachable[-1].message} {engine.model.name} answers instead."))
        try:
            await wait_for_model(engine.model, lambda reason: emit(Progress(reason)))
            messages = await shown_to(engine.model, request.messages)
            shown = replace(request, messages=messages)
            without = replace(shown, functions=NO_FUNCTIONS)
            is_without = bool(request.functions) and not engine.model.calls_functions and _may_do_without(request)
            try:
                answer = await answer_in_mode(engine, without if is_without else shown, emit_noting_the_beginning)
            except FunctionsRefused:
                if has_begun or not _may_do_without(request):
                    raise
                is_without = True
                answer = await answer_in_mode(engine, without, emit_noting_the_beginning)
            if is_without:
                answer = replace(answer, notices=(*answer.notices, "functions_left_out"))
            return answer if messages == [*request.messages] else _images_left_out(answer)
        except BackendUnavailable as error:
            if has_begun:
                raise
            logger.warning("%s cannot be reached: %s", engine.model.name, error)
            unreachable.append(error)
    raise unreachable[0]


def _may_do_without(request: Request) -> bool:
    """Whether an answer without the functions will do: chat clients give some to every model, to call or not. Those of
    agents are `strict`; one that must be called must."""
    functions = request.functions
    is_free = functions.choice == "auto" and not functions.only
    was_called = any(message.tool_calls or message.role == "tool" for message in request.messages)
    return is_free and not was_called and not any(definition.get("strict") for definition in functions.definitions)


def _images_left_out(answer: Answer) -> Answer:
    return replace(answer, notices=(*answer.notices, "images_left_out"))


def with_fallbacks(name: str, file: ModelsFile) -> list[str]:
    """The model to ask, empty for the default one, and those that take over, in their order: the ones behind it in the
    list of `models.toml`; all of the list for a default model that is not in it."""
    model = name or file.default_name
    if model in file.fallback:
        return [name, *file.fallback[file.fallback.index(model) + 1 :]]
    return [name, *file.fallback] if model == file.default_name else [name]
