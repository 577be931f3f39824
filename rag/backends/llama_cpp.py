"""The `llama_cpp` provider: a GGUF file, run in this process by llama-cpp-python.

Two threads on one `Llama` crash the process, and two interleaved streams give wrong text. So the model belongs to one
worker thread, which runs one whole reply after the other; questions wait in line. Tokens are counted with a second,
vocabulary-only copy, so that counting never waits for a reply.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse, CustomLLM, LLMMetadata, MessageRole
from pydantic import PrivateAttr

from rag.backends.turns import Turn, fold_system, merge_turns, to_turns
from rag.errors import BackendError, BackendRejected, BackendUnavailable, ConfigurationError, PromptTooLong
from rag.types import LanguageModel, Message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

    from rag.settings import LanguageModelSettings

logger = logging.getLogger(__name__)

PROVIDER = "llama_cpp"
LARGEST_DEFAULT_WINDOW = 8192  # tokens; what models could read at most would often not fit into memory
PROMPT_STEP = 32  # prompt tokens between two looks at whether the reader left, where the CPU reads them
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def open_llama_cpp(settings: LanguageModelSettings) -> LanguageModel:
    """The GGUF file `settings.model`, loaded; blocking, seconds. Raises ConfigurationError when it cannot be."""
    path = _checked_path(settings.model)
    llm = LlamaCpp(settings, path)
    return LanguageModel(
        provider=PROVIDER,
        name=path.stem,
        description=f"{path.name} in this process (llama.cpp, {llm.context_window} tokens)",
        llm=llm,
        context_window=llm.context_window,
        count_tokens=llm.count_tokens,
        count_prompt=llm.count_prompt,
    )


class LlamaCpp(CustomLLM):
    """A GGUF model with its own chat template. Close it when done."""

    name: str
    context_window: int
    timeout: float
    _llama: Any = PrivateAttr()
    _vocabulary: Any = PrivateAttr()
    _vocabulary_lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _control_tokens: re.Pattern[str] = PrivateAttr()
    _template: Any = PrivateAttr()
    _folds_system: bool = PrivateAttr()
    _worker: ThreadPoolExecutor = PrivateAttr()
    _closed: threading.Event = PrivateAttr(default_factory=threading.Event)

    def __init__(self, settings: LanguageModelSettings, path: Path) -> None:
        try:
            vocabulary = _load(path, vocab_only=True)
        except _NotLoaded as error:
            raise _not_usable(path) from error
        trained = _trained_window(vocabulary.metadata)
        window = settings.context_window or min(trained or LARGEST_DEFAULT_WINDOW, LARGEST_DEFAULT_WINDOW)
        # Threads that wait for one another lose tenfold where they lack a core of their own: leave some to the rest.
        threads = max((os.cpu_count() or 2) // 2, 1)
        gpu_layers = settings.gpu_layers
        try:
            llama = _load(path, n_ctx=window, n_gpu_layers=gpu_layers, n_threads=threads, n_threads_batch=threads)
        except _NotLoaded as error:  # not the file's fault, or its vocabulary would not have been loaded either
            vocabulary.close()
            raise _too_large(path, window) from error
        super().__init__(name=path.stem, context_window=llama.n_ctx(), timeout=settings.timeout)
        self._llama = llama
        self._vocabulary = vocabulary
        self._control_tokens = _control_tokens(vocabulary)
        self._template = _chat_template(vocabulary)
        llama.chat_handler = self._template.to_chat_handler()
        self._folds_system = not _takes_system(self._template)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="llama.cpp")

    @property
    def metadata(self) -> LLMMetadata:
        """What llama-index wants to know of a model."""
        return LLMMetadata(context_window=self.context_window, is_chat_model=True, model_name=self.name)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, exactly, without waiting for a running reply. Raises BackendUnavailable when closed."""
        return self._count(text, special=False)

    def count_prompt(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the whole prompt as the template writes it; None where the template refuses it."""
        turns = self._prepare([{"role": message.role, "content": message.content} for message in messages])
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
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._llama.close()
        with self._vocabulary_lock:
            self._vocabulary.close()

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        """The reply, piece by piece; closing the generator stops it. Raises BackendError while iterated."""
        return self._stream(to_turns(messages), kwargs)

    async def _stream(self, turns: list[Turn], options: dict[str, Any]) -> AsyncGenerator[ChatResponse, None]:
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Any] = asyncio.Queue()
        left = threading.Event()

        def emit(item: Any) -> None:  # called in the worker thread
            with suppress(RuntimeError):  # the loop is gone, and with it the reader
                loop.call_soon_threadsafe(items.put_nowait, item)

        try:
            reply = self._worker.submit(self._reply, turns, options, left, emit)
        except RuntimeError as error:
            raise self._is_closed() from error
        reply.add_done_callback(lambda _: emit(_END))
        try:
            text = ""
            item = await items.get()  # its turn has come (or will not come); waiting in line has no limit
            while item is not _END:
                if item is not _BEGIN:
                    choice = item["choices"][0] if item["choices"] else {}
                    delta = choice.get("delta", {}).get("content") or ""
                    text += delta
                    message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
                    yield ChatResponse(message=message, delta=delta, raw=item)
                item = await self._next(items)
            self._raise_failure(reply)
        finally:
            left.set()
            reply.cancel()

    async def _next(self, items: asyncio.Queue[Any]) -> Any:
        try:
            async with asyncio.timeout(self.timeout):
                return await items.get()
        except TimeoutError as error:
            raise BackendUnavailable(
                f"{self.name} wrote no token for {self.timeout:g} seconds.",
                hint="It may be too large for this machine; RAG_LLM__TIMEOUT allows it more time.",
                provider=PROVIDER,
            ) from error

    def _raise_failure(self, reply: Future[None]) -> None:
        if reply.cancelled() or (self._closed.is_set() and isinstance(reply.exception(), _Stopped)):
            raise self._is_closed()
        error = reply.exception()
        if isinstance(error, ValueError) and _TOO_LONG in str(error):
            raise PromptTooLong(
                f"{self.name} cannot take this prompt: {error}",
                hint="Ask a shorter question, lower RAG_RETRIEVAL__PASSAGES, or raise RAG_LLM__CONTEXT_WINDOW.",
                provider=PROVIDER,
            ) from error
        if isinstance(error, ValueError):  # mostly the template, which may refuse a conversation
            raise BackendRejected(
                f"{self.name} cannot take this prompt: {error}",
                hint="Ask in other words, or set RAG_LLM__MODEL to another model.",
                provider=PROVIDER,
            ) from error
        if error is not None:
            raise BackendUnavailable(
                f"{self.name} failed: {type(error).__name__}: {error}",
                hint="Ask again; if it fails again, restart.",
                provider=PROVIDER,
            ) from error

    def _is_closed(self) -> BackendError:
        return BackendUnavailable(f"{self.name} is closed.", hint="Start the application again.", provider=PROVIDER)

    def _reply(
        self, turns: list[Turn], options: dict[str, Any], left: threading.Event, emit: Callable[[Any], None]
    ) -> None:
        """One whole reply, in the worker thread: OpenAI-shaped chunks, the last one with the usage."""
        emit(_BEGIN)
        llama = self._llama
        llama.stopped = lambda: left.is_set() or self._closed.is_set()
        if "repetition_penalty" in options:
            options["repeat_penalty"] = options.pop("repetition_penalty")
        for chunk in llama.create_chat_completion(messages=self._prepare(turns), stream=True, **options):
            emit(chunk)
        usage = {"prompt_tokens": llama.prompt_tokens, "completion_tokens": llama.completion_tokens}
        emit({"choices": [], "usage": usage})

    def _prepare(self, turns: list[Turn]) -> list[Turn]:
        """Turns as the template wants them. What looks like a control token in a text (a document may say `</s>` or
        `[/INST]`) is broken up, so that it cannot end a turn."""
        turns = fold_system(turns) if self._folds_system else merge_turns(turns)
        return [{**turn, "content": self._control_tokens.sub(_break_up, turn["content"])} for turn in turns]

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The reply to `prompt` as one user turn, whole; blocking."""
        pieces: list[Any] = []
        turns = [{"role": "user", "content": prompt}]
        reply = self._worker.submit(self._reply, turns, kwargs, threading.Event(), pieces.append)
        reply.add_done_callback(lambda _: None)
        with suppress(Exception):
            reply.result()
        self._raise_failure(reply)
        deltas = [piece["choices"][0]["delta"].get("content") or "" for piece in pieces if piece and piece["choices"]]
        return CompletionResponse(text="".join(deltas))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """The reply to `prompt`, in one piece; blocking."""
        yield self.complete(prompt, formatted, **kwargs)


_TOO_LONG = "exceed context window"  # in the words of llama-cpp-python
_log_callback: Any = None
_BEGIN: dict[str, Any] = {}
_END = object()


class _Stopped(Exception):
    """Raised inside llama-cpp-python to leave it between two steps."""


class _NotLoaded(Exception):
    """llama.cpp gave up on a file; why, it says in its log only."""


def _break_up(match: re.Match[str]) -> str:
    return f"{match[0][0]} {match[0][1:]}"


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


def _too_large(path: Path, window: int) -> ConfigurationError:
    return ConfigurationError(
        f"There is not enough memory to load {path} with a context of {window} tokens.",
        hint="Lower RAG_LLM__CONTEXT_WINDOW or RAG_LLM__GPU_LAYERS, or set RAG_LLM__MODEL to a smaller model.",
    )


def _load(path: Path, **options: Any) -> Any:
    """A `Llama` that can be stopped between two tokens and while it reads the prompt, and that counts both.

    Raises ConfigurationError when the package is missing, _NotLoaded when llama.cpp gives up.
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise ConfigurationError(
            "The llama_cpp provider needs the package llama-cpp-python.",
            hint="Install it: pip install 'footnote[llama-cpp]', or make setup EXTRAS=llama-cpp.",
        ) from error

    global _log_callback  # noqa: PLW0603 - llama.cpp has one log for the process, and calls back as long as it lives
    if _log_callback is None:
        _log_callback = llama_cpp.llama_log_callback(_log)
        llama_cpp.llama_log_set(_log_callback, None)

    class Llama(llama_cpp.Llama):  # type: ignore[misc]
        prompt_tokens = 0
        completion_tokens = 0
        step = 512 if llama_cpp.llama_supports_gpu_offload() else PROMPT_STEP

        def stopped(self) -> bool:
            return False

        def eval(self, tokens: Sequence[int]) -> None:
            for start in range(0, len(tokens), self.step):
                if self.stopped():
                    raise _Stopped
                super().eval(tokens[start : start + self.step])

        def generate(self, tokens: Sequence[int], *args: Any, **kwargs: Any) -> Iterator[int]:
            self.prompt_tokens, self.completion_tokens = len(tokens), 0
            for token in super().generate(tokens, *args, **kwargs):
                self.completion_tokens += 1
                yield token

    try:
        return Llama(str(path), verbose=False, **options)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise _NotLoaded(str(error)) from error


def _log(level: int, text: bytes, _: object) -> None:
    """llama.cpp's own words, which would otherwise be printed; only errors (level 4) are more than a debug line."""
    logger.log(logging.WARNING if level == 4 else logging.DEBUG, "%s", text.decode(errors="replace").strip())


def _trained_window(metadata: dict[str, str]) -> int:
    value = metadata.get(f"{metadata.get('general.architecture', '')}.context_length", "")
    return int(value) if value.isdigit() else 0


def _chat_template(vocabulary: Any) -> Any:
    """The GGUF's own template; never one of the stock formatters, of which some drop the system message silently."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    def text_of(token: int) -> str:
        return vocabulary.detokenize([token], special=True).decode(errors="replace") if token >= 0 else ""

    return Jinja2ChatFormatter(
        template=vocabulary.metadata.get("tokenizer.chat_template", CHATML),
        bos_token=text_of(vocabulary.token_bos()),
        eos_token=text_of(vocabulary.token_eos()),
        stop_token_ids=[vocabulary.token_eos()],
    )


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
