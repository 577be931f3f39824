"""The provider `package.module:function`: any LLM of llama-index, which a function of one's own makes.

It is asked through its own `astream_chat` where it has one; else (most that run a model in this process have none, and
what llama-index puts in its place would stop everything else) through `stream_chat` in a thread, one at a time.
"""

from __future__ import annotations

import re
import sys
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import LLM, ChatMessage, ChatResponse, CustomLLM, LLMMetadata

from rag.errors import BackendError, BackendUnavailable, ConfigurationError, PromptTooLong
from rag.models.chat_template import Turn, estimate_tokens, fold_system, is_about_roles, to_turns
from rag.models.foreign import filled, load_function, shown_error
from rag.models.llama_cpp.queue import Emit, QueueClosed, QueueStuck, StopFlag, WorkerQueue, queued_reply
from rag.models.openai.chunks import ToolCallReader, model_delta
from rag.models.prompt_overflow import read_overflow
from rag.models.timeouts import TimeLimits, TokenTimeout
from rag.types.documents import Message
from rag.types.models import LanguageModel, ModelDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from rag.settings import LanguageModelSettings

_LONGEST_GOODBYE = 2  # seconds
_OF_SERVERS = {"extra_body"}  # what it is called in these classes, if it is, each has its own word for
_OF_FUNCTIONS = {"tools", "tool_choice"}  # never left out: the answer would be another one


def open_llama_index(settings: LanguageModelSettings) -> LanguageModel:
    """The LLM that the function `settings.provider` makes of `settings.options`; blocking, as long as it takes.

    Raises ConfigurationError when there is no such function, or when it fails.
    """
    make = load_function(settings.provider, "RAG_LLM")
    secrets: list[str] = []
    arguments = filled({"model": settings.model, **settings.options} if settings.model else settings.options, secrets)
    try:
        made = make(**arguments)
        metadata = made.metadata if isinstance(made, LLM) else None
    except Exception as error:  # a foreign program: whatever it raises, it could not make one
        raise ConfigurationError(
            f"{settings.provider} made no model: {shown_error(error, secrets)}",
            hint="Correct RAG_LLM__OPTIONS (in models.toml: options), the function's arguments.",
        ) from error
    if metadata is None:
        raise ConfigurationError(
            f"{settings.provider} made a {type(made).__name__}, not an LLM of llama-index.",
            hint="It must return an object of a class from llama_index.llms, or of one derived from llama_index's LLM.",
        )
    window = settings.context_window or metadata.context_window
    name = settings.model or (metadata.model_name if metadata.model_name != "unknown" else made.class_name())
    return LanguageModel(
        provider=settings.provider,
        name=name,
        description=f"{name} by {settings.provider}",
        llm=LlamaIndexLLM(settings, made, name, secrets),
        context_window=window,
        count_tokens=estimate_tokens,
        calls_functions=_takes_functions(made, metadata),
    )


class LlamaIndexLLM:
    """Asks an LLM of llama-index, in time and without stopping the event loop. Close it when done."""

    def __init__(self, settings: LanguageModelSettings, llm: LLM, name: str, secrets: Sequence[str]) -> None:
        self.name = name
        self._llm = llm
        self._provider = settings.provider
        self._limits = TimeLimits.from_settings(settings)
        self._secrets = secrets
        self._queue = WorkerQueue(name)
        owner = next(cls for cls in type(llm).__mro__ if "astream_chat" in vars(cls))
        self._blocks = owner is CustomLLM
        self._refused: set[str] = set()  # sampling parameters that it does not take
        self._folds_system = False

    def close(self) -> None:
        """Stop what runs and refuse what waits; blocking, but not for long."""
        self._queue.close(_LONGEST_GOODBYE)

    async def stream(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        """The reply, piece by piece; closing the generator stops it between two tokens. Raises BackendError."""
        turns = to_turns(messages)
        has_begun = False
        while not has_begun:
            accepted = {name: value for name, value in options.items() if name not in self._refused | _OF_SERVERS}
            ask = self._in_thread if self._blocks else self._on_loop
            try:
                chat = _to_chat(fold_system(turns) if self._folds_system else turns)
                async with aclosing(ask(chat, accepted)) as deltas:
                    async for delta in deltas:
                        has_begun = has_begun or bool(delta.text or delta.calls)
                        yield delta
            except BackendError:
                raise
            except Exception as error:
                if has_begun or not self._learns_from(error, accepted):
                    raise self._explain(error) from error
            else:
                if not has_begun:
                    raise self._explain(ValueError("it answered with nothing at all"))

    def _learns_from(self, error: Exception, options: dict[str, Any]) -> bool:
        """Whether to ask in another way: in a thread, without a system message, or without the parameters that the
        error names."""
        if isinstance(error, NotImplementedError) and not self._blocks:
            self._blocks = True
            return True
        if is_about_roles(str(error)) and not self._folds_system:
            self._folds_system = True
            return True
        named = {name for name in options if name not in _OF_FUNCTIONS and re.search(rf"\b{name}\b", str(error))}
        self._refused |= named
        return bool(named)

    def _explain(self, error: Exception) -> BackendError:
        if isinstance(error, QueueClosed):
            return BackendUnavailable(f"{self.name} is closed.", hint="Start the application again.")
        if isinstance(error, QueueStuck):
            return BackendUnavailable(
                f"{self.name} is still busy with a question that was given up.", hint="Ask again later, or restart."
            )
        if overflow := read_overflow(str(error)):
            return PromptTooLong(
                f"{self.name} refused the prompt, which is too long.",
                hint="Set RAG_LLM__CONTEXT_WINDOW to what the model reads.",
                limit=overflow.limit,
                counted=overflow.counted,
            )
        return BackendUnavailable(
            f"{self.name} failed: {shown_error(error, self._secrets)}",
            hint=f"Ask again; if it fails again, check the arguments of {self._provider} (RAG_LLM__OPTIONS, in "
            "models.toml: options).",
        )

    def _in_thread(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        work = partial(self._work, messages, options)
        return queued_reply(self._queue, work, self._limits, self.name)

    def _work(self, messages: Sequence[ChatMessage], options: dict[str, Any], emit: Emit, stop: StopFlag) -> None:
        read = _ResponseReader(options)
        try:
            for response in self._llm.stream_chat(messages, **options):
                if stop.is_set():
                    return
                emit(read(response))
        except NotImplementedError:  # some cannot stream
            emit(read(self._llm.chat(messages, **options)))

    async def _on_loop(
        self, messages: Sequence[ChatMessage], options: dict[str, Any]
    ) -> AsyncGenerator[ModelDelta, None]:
        clock = TokenTimeout(self._limits, self.name)
        read = _ResponseReader(options)
        responses = await clock.within(self._llm.astream_chat(messages, **options))
        try:
            while (response := await clock.within(anext(responses, None))) is not None:
                delta = read(response)
                clock.tick(is_token=bool(delta.text or delta.calls))
                yield delta
        finally:
            if hasattr(responses, "aclose"):
                await responses.aclose()


class _ResponseReader:
    """Reads the responses of one reply. `raw` is an OpenAI-shaped chunk, a dict of that shape, or unknown; some hold
    all that was said and nothing of what is new."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._text = ""
        self._calls = ToolCallReader() if "tools" in options else None

    def __call__(self, response: ChatResponse) -> ModelDelta:
        text = response.delta
        if text is None:
            text = (response.message.content or "")[len(self._text) :]
        self._text += text
        raw: Any = response.raw
        try:
            return model_delta(raw.model_dump() if hasattr(raw, "model_dump") else raw, text, self._calls)
        except (AttributeError, TypeError, KeyError):  # of another shape
            return ModelDelta(text)


def _takes_functions(llm: LLM, metadata: LLMMetadata) -> bool:
    """Whether OpenAI's `tools` can be passed on to it; the other classes have forms of their own."""
    openai = sys.modules.get("llama_index.llms.openai")  # nothing is derived from a class that was not imported
    return openai is not None and isinstance(llm, openai.OpenAI) and metadata.is_function_calling_model


def _to_chat(turns: Sequence[Turn]) -> list[ChatMessage]:
    return [
        ChatMessage(role=turn.pop("role"), content=turn.pop("content"), additional_kwargs=turn)  # calls, if any
        for turn in map(dict, turns)
    ]
