"""Loads a GGUF file with llama-cpp-python, such that what it does can be stopped and its tokens are counted."""

from __future__ import annotations

import ctypes
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from rag.errors import ConfigurationError
from rag.models.llama_cpp.queue import StopFlag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

PROMPT_STEP = 32  # tokens of a prompt that the CPU reads at once
GPU_PROMPT_STEP = 512  # a GPU cannot be stopped in between, and needs no second for it

_ABORTED = re.compile(rb"failed with error 1$|compute status: 1$|ret = 2$", re.MULTILINE)
_log_callback: Any = None


class Stopped(Exception):
    """What a model was doing was stopped."""


class NotLoaded(Exception):
    """llama.cpp gave up on a file; why, it says in its log only."""


def load(path: Path, **options: Any) -> Any:
    """A `llama_cpp.Llama` that obeys a StopFlag and has `prompt_tokens` and `completion_tokens`.

    Raises ConfigurationError when the package is missing, NotLoaded when llama.cpp gives up.
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
    try:
        return _stoppable(llama_cpp)(str(path), verbose=False, **options)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise NotLoaded(str(error)) from error


def parameters(llama: Any) -> int:
    """How many weights a loaded model has."""
    import llama_cpp

    return int(llama_cpp.llama_model_n_params(llama.model))


def _stoppable(llama_cpp: Any) -> Any:
    # llama.cpp asks between any two operations on the CPU whether to go on: in C alone, since Python would be slow.
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    is_set = ctypes.cast(library.strlen, llama_cpp.ggml_abort_callback)

    class Llama(llama_cpp.Llama):  # type: ignore[misc]
        prompt_tokens = 0
        completion_tokens = 0
        step = GPU_PROMPT_STEP if llama_cpp.llama_supports_gpu_offload() else PROMPT_STEP
        stop = StopFlag()

        def obey(self, stop: StopFlag) -> None:
            """From now on `stop` ends what is done, with Stopped."""
            llama_cpp.llama_set_abort_callback(self.ctx, is_set, stop.address)
            self.stop = stop

        def eval(self, tokens: Sequence[int]) -> None:
            for start in range(0, len(tokens), self.step):
                if self.stop.is_set():
                    raise Stopped
                try:
                    super().eval(tokens[start : start + self.step])
                except RuntimeError as error:
                    raise Stopped if self.stop.is_set() else error from None

        def generate(self, tokens: Sequence[int], *args: Any, **kwargs: Any) -> Iterator[int]:
            self.prompt_tokens, self.completion_tokens = len(tokens), 0
            for token in super().generate(tokens, *args, **kwargs):
                self.completion_tokens += 1
                yield token

    return Llama


def _log(level: int, text: bytes, _: object) -> None:
    """llama.cpp's own words, which would otherwise be printed; only errors (level 4) are more than a debug line, and to
    be stopped is none."""
    is_error = level == 4 and not _ABORTED.search(text)
    logger.log(logging.WARNING if is_error else logging.DEBUG, "%s", text.decode(errors="replace").strip())
