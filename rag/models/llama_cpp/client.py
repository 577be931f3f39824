"""The `llama_cpp` provider: a GGUF file, run in this process by llama-cpp-python.

Two threads on one `Llama` crash the process, and two interleaved streams give wrong text. So the model belongs to one
worker thread, which runs one whole reply after the other; questions queue up (queue.py). Tokens are counted with a
second, vocabulary-only copy, so that counting never waits for a reply.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import BackendError, BackendRejected, BackendUnavailable, ConfigurationError, PromptTooLong
from rag.models.chat_template import Turn, fold_system, merge_turns, to_turns
from rag.models.llama_cpp.loader import NotLoaded, Stopped, load, parameters
from rag.models.llama_cpp.queue import Emit, QueueClosed, StopFlag, WorkerQueue, queued_reply
from rag.models.openai.chunks import model_delta
from rag.models.prompt_overflow import read_overflow
from rag.models.prompt_type import CHATML, PromptType, load_prompt_type
from rag.models.timeouts import TimeLimits
from rag.types.documents import Message, Usage
from rag.types.models import LanguageModel, ModelDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from rag.settings import LanguageModelSettings

LARGEST_DEFAULT_WINDOW = 8192  # tokens; what models could read at most would often not fit into memory
# What a template is given anyhow.
_SET_BY_US = {"messages", "tools", "tool_choice", "functions", "function_call", "add_generation_prompt"} | {
    *("bos_token", "eos_token", "raise_exception", "strftime_now")
}


def open_llama_cpp(settings: LanguageModelSettings) -> LanguageModel:
    """The GGUF file `settings.model`, loaded; blocking, seconds. Raises ConfigurationError when it cannot be."""
    path = _checked_path(settings.model)
    llm = LlamaCpp(settings, path)
    return LanguageModel(
        provider="llama_cpp",
        name=path.stem,
        description=f"{path.name} in this process (llama.cpp, {llm.context_window} tokens)",
        llm=llm,
        context_window=llm.context_window,
        count_tokens=llm.count_tokens,
        count_prompt=llm.count_prompt,
        parameters=llm.parameters,
        writes_json=True,
    )


class LlamaCpp:
    """A GGUF model with its own chat template. Close it when done."""

    def __init__(self, settings: LanguageModelSettings, path: Path) -> None:
        try:
            vocabulary = load(path, vocab_only=True)
        except NotLoaded as error:
            raise _not_usable(path) from error
        trained = _trained_window(vocabulary.metadata)
        window = settings.context_window or min(trained or LARGEST_DEFAULT_WINDOW, LARGEST_DEFAULT_WINDOW)
        # Threads that wait for one another lose tenfold where they lack a core of their own: leave some to the rest.
        threads = max((os.cpu_count() or 2) // 2, 1)
        gpu_layers = settings.gpu_layers
        try:
            llama = load(path, n_ctx=window, n_gpu_layers=gpu_layers, n_threads=threads, n_threads_batch=threads)
        except NotLoaded as error:  # not the file's fault, or its vocabulary would not have been loaded either
            vocabulary.close()
            raise ConfigurationError(
                f"There is not enough memory to load {path} with a context of {window} tokens.",
                hint="Lower RAG_LLM__CONTEXT_WINDOW or RAG_LLM__GPU_LAYERS, or set RAG_LLM__MODEL to a smaller model.",
            ) from error
        self.name = path.stem
        self.context_window: int = llama.n_ctx()
        self.parameters = parameters(llama)
        self._limits = TimeLimits.from_settings(settings)
        self._llama = llama
        self._vocabulary = vocabulary
        self._vocabulary_lock = threading.Lock()
        self._control_tokens = _control_tokens(vocabulary)
        prompt_type = load_prompt_type(settings.prompt_type) if settings.prompt_type else None
        self._template = _chat_template(vocabulary, prompt_type)
        self._stop = prompt_type.stop if prompt_type else ()  # beside the token that ends every reply
        self._folds_system = not _takes_system(self._template)
        self._queue = WorkerQueue("llama.cpp")
        self._closed = threading.Event()

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, exactly, without waiting for a running reply. Raises BackendUnavailable when closed."""
        return self._count(text, special=False)

    def count_prompt(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the whole prompt as the template writes it; None where the template refuses it."""
        turns = self._prepare(to_turns(messages))
        try:
            prompt = self._template(messages=turns).prompt
        except Exception:  # noqa: BLE001 - a template is a foreign program; the refusal is told when it is asked
            return None
        return self._count(prompt, special=True)

    def _count(self, text: str, *, special: bool) -> int:
        with self._vocabulary_lock:
            if self._closed.is_set():  # or llama.cpp reads freed memory
                raise self._is_closed()
            return len(self._vocabulary.tokenize(text.encode(errors="replace"), add_bos=False, special=special))

    def close(self) -> None:
        """Stop what runs, refuse what waits, and free the memory; blocking until the worker is done."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._queue.close()
        self._llama.close()
        with self._vocabulary_lock:
            self._vocabulary.close()

    async def stream(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        """The reply, piece by piece; closing the generator stops it. Raises BackendError."""
        work = partial(self._reply, to_turns(messages), dict(options))
        try:
            async with aclosing(queued_reply(self._queue, work, self._limits, self.name)) as deltas:
                async for delta in deltas:
                    yield delta
        except BackendError:
            raise
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> BackendError:
        if isinstance(error, QueueClosed) or (isinstance(error, Stopped) and self._closed.is_set()):
            return self._is_closed()
        if isinstance(error, ValueError):  # mostly the template, which may refuse a conversation
            hint = "Ask in other words, or set RAG_LLM__MODEL to another model."
            what = f"{self.name} cannot take this prompt: {error}"
            if overflow := read_overflow(str(error)):
                hint = "Ask a shorter question, lower RAG_RETRIEVAL__MAX_PASSAGES, or raise RAG_LLM__CONTEXT_WINDOW."
                return PromptTooLong(what, hint=hint, limit=overflow.limit, counted=overflow.counted)
            return BackendRejected(what, hint=hint)
        return BackendUnavailable(
            f"{self.name} failed: {type(error).__name__}: {error}", hint="Ask again; if it fails again, restart."
        )

    def _is_closed(self) -> BackendError:
        return BackendUnavailable(f"{self.name} is closed.", hint="Start the application again.")

    def _reply(self, turns: list[Turn], options: dict[str, Any], emit: Emit, stop: StopFlag) -> None:
        """One whole reply, in the worker thread, the usage last."""
        llama = self._llama
        llama.obey(stop)
        extra_body = options.pop("extra_body", {})  # of which the template has its own
        llama.chat_handler = _chat_handler(self._template, extra_body.get("chat_template_kwargs"))
        if "repetition_penalty" in options:
            options["repeat_penalty"] = options.pop("repetition_penalty")
        if self._stop:
            options["stop"] = [*options.get("stop", ()), *self._stop]
        if "response_format" in options:
            options["response_format"] = _grammar_of(options["response_format"])
        for chunk in llama.create_chat_completion(messages=self._prepare(turns), stream=True, **options):
            emit(model_delta(chunk, None, None))
        emit(ModelDelta("", usage=Usage(llama.prompt_tokens, llama.completion_tokens)))

    def _prepare(self, turns: list[Turn]) -> list[Turn]:
        """Turns as the template wants them. What looks like a control token in a text (a document may say `</s>` or
        `[/INST]`) is broken up, so that it cannot end a turn."""
        turns = fold_system(turns) if self._folds_system else merge_turns(turns)
        break_up = partial(self._control_tokens.sub, lambda token: f"{token[0][0]} {token[0][1:]}")
        return [{**turn, "content": break_up(turn["content"])} for turn in turns]


def _grammar_of(response_format: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's response format as llama-cpp-python makes a grammar of it."""
    schema = response_format.get("json_schema", {}).get("schema")
    return {"type": "json_object"} | ({"schema": schema} if schema else {})


def _checked_path(model: str) -> Path:
    path = Path(model).expanduser()
    if not model or not path.is_file():
        what = f"There is no file {model}" if model else "RAG_LLM__MODEL names no file"
        raise ConfigurationError(f"{what}.", hint="Set RAG_LLM__MODEL to the path of a GGUF file.")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigurationError(f"{model} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
    if magic != b"GGUF":
        raise _not_usable(path)
    return path


def _not_usable(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a GGUF model that llama.cpp can load.",
        hint="Download it again (it may be cut short), or set RAG_LLM__MODEL to another GGUF file.",
    )


def _trained_window(metadata: dict[str, str]) -> int:
    value = metadata.get(f"{metadata.get('general.architecture', '')}.context_length", "")
    return int(value) if value.isdigit() else 0


def _chat_template(vocabulary: Any, chosen: PromptType | None) -> Any:
    """The GGUF's own template, unless another one is chosen; never one of the stock formatters, of which some drop the
    system message silently."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    def text_of(token: int) -> str:
        return vocabulary.detokenize([token], special=True).decode(errors="replace") if token >= 0 else ""

    return Jinja2ChatFormatter(
        template=chosen.source if chosen else vocabulary.metadata.get("tokenizer.chat_template", CHATML),
        bos_token=text_of(vocabulary.token_bos()),
        eos_token=text_of(vocabulary.token_eos()),
        stop_token_ids=[vocabulary.token_eos()],
    )


def _chat_handler(template: Any, variables: Mapping[str, Any] | None) -> Any:
    """What asks the model by the template, with these variables of it, such as `enable_thinking`."""
    from llama_cpp.llama_chat_format import chat_formatter_to_chat_completion_handler

    given = {name: value for name, value in variables.items() if name not in _SET_BY_US} if variables else {}
    return chat_formatter_to_chat_completion_handler(partial(template, **given))


def _takes_system(template: Any) -> bool:
    """Whether a system message survives the template: some raise, some leave it out."""
    probe = [{"role": "system", "content": "SYSTEM-TEXT"}, {"role": "user", "content": "USER-TEXT"}]
    try:
        return "SYSTEM-TEXT" in template(messages=probe).prompt
    except Exception:  # noqa: BLE001 - a template is a foreign program: whatever it raises, it refuses
        return False


def _control_tokens(vocabulary: Any) -> re.Pattern[str]:
    """Matches the text of every token that the tokenizer reads as a control sign and not as text."""
    import llama_cpp

    handle = llama_cpp.llama_model_get_vocab(vocabulary.model)
    control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
    texts = [
        llama_cpp.llama_vocab_get_text(handle, token).decode(errors="replace")
        for token in range(vocabulary.n_vocab())
        if llama_cpp.llama_vocab_get_attr(handle, token) & control
    ]
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True) if text) or r"(?!)")
