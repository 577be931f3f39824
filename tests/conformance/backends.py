"""The back ends that the suite runs against, each with the tiny model.

Real servers are started from environments that two variables name: FOOTNOTE_LLAMA_CPP one with llama-cpp-python and
its server, FOOTNOTE_VLLM one with vLLM. `make e2e` sets them to what is there.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag.models.llm import close_language_model, open_language_model
from rag.settings import Settings
from rag.types.models import LanguageModel
from tests.conformance.server import Server, free_port
from tests.conformance.tiny_model import CONTEXT_WINDOW, ENDLESS, REPLIES, write_tiny_gguf, write_tiny_mistral

BACKENDS = ("scripted", "llama_cpp", "llama_cpp.server", "vllm")
# What a back end cannot do, and why.
CANNOT = {
    ("scripted", "chance"): "nothing in it is left to chance",
    ("scripted", "window"): "it reads prompts of any length",
    ("scripted", "prompt count"): "it has no template",
    ("scripted", "time limit"): "it never waits for anything",
    ("scripted", "silence"): "it lives in this process: nobody can silence one without the other",
    ("scripted", "death"): "it lives in this process and dies with it",
    ("scripted", "work unread"): "it writes a word when the one before was read, and never ahead",
    ("llama_cpp", "silence"): "it lives in this process: nobody can silence one without the other",
    ("llama_cpp", "death"): "it lives in this process and dies with it",
    ("llama_cpp.server", "usage"): "its streams do not tell it",
    ("llama_cpp.server", "too long"): "it sends an empty stream, which is told as BackendRejected with a hint",
}
# The variable that names the environment of a server, and what must run in it.
ENVIRONMENTS = {
    "llama_cpp.server": ("FOOTNOTE_LLAMA_CPP", "import llama_cpp.server.app"),
    "vllm": ("FOOTNOTE_VLLM", "import importlib.metadata; importlib.metadata.version('vllm')"),
}


@dataclass(frozen=True)
class Backend:
    """`open` gives the model for questions that end in a character, with settings of one's own."""

    name: str
    open: Callable[..., LanguageModel]
    server: Server | None = None

    def can(self, what: str) -> bool:
        return (self.name, what) not in CANNOT

    def must(self, what: str) -> None:
        """Skip the test if this back end cannot do it."""
        if not self.can(what):
            pytest.skip(f"{self.name}: {CANNOT[self.name, what]}")


def why_missing(name: str) -> str:
    """Why a back end is not tested; empty if it is."""
    if name == "llama_cpp" and importlib.util.find_spec("llama_cpp") is None:
        return "llama-cpp-python is not installed: make setup EXTRAS=llama-cpp"
    variable, program = ENVIRONMENTS.get(name, ("", ""))
    if variable and not os.environ.get(variable):
        return f"{variable} names no environment that has it; `make e2e` starts the real servers"
    if variable and subprocess.run([_installed(variable, "python"), "-c", program], check=False).returncode:
        return f"it is not installed in the environment that {variable} names"
    return ""


@contextmanager
def opened_backend(name: str, folder: Path) -> Iterator[Backend]:
    """The back end with the tiny model, which is written into `folder`; its server is not started yet."""
    opened: list[LanguageModel] = []
    server = {"llama_cpp.server": _llama_cpp_server, "vllm": _vllm}[name](folder) if name in ENVIRONMENTS else None
    if name == "llama_cpp":
        write_tiny_gguf(folder / "tiny.gguf")

    def open_model(character: str, **more: object) -> LanguageModel:
        if server is not None:
            llm = {"provider": "openai", "base_url": server.base_url, "context_window": CONTEXT_WINDOW}
        elif name == "llama_cpp":
            llm = {"provider": "llama_cpp", "model": str(folder / "tiny.gguf")}
        else:
            script = REPLIES[character] * (1000 if character == ENDLESS else 1)
            llm = {"provider": "scripted", "script": script}
        opened.append(open_language_model(Settings(_env_file=None, llm={**llm, **more})))
        return opened[-1]

    yield Backend(name, open_model, server)
    for model in opened:
        close_language_model(model)
    if server is not None:
        server.kill()


def _llama_cpp_server(folder: Path) -> Server:
    write_tiny_gguf(folder / "tiny.gguf")
    python, port = _installed("FOOTNOTE_LLAMA_CPP", "python"), free_port()
    # By default a new request cuts off the one that runs.
    options = f"--n_ctx {CONTEXT_WINDOW} --interrupt_requests false --host 127.0.0.1 --port {port}"
    command = [python, "-m", "llama_cpp.server", "--model", str(folder / "tiny.gguf"), *options.split()]
    return Server(command, port, folder / "log.txt")


def _vllm(folder: Path) -> Server:
    write_tiny_mistral(folder / "tiny-mistral")
    program, port = _installed("FOOTNOTE_VLLM", "vllm"), free_port()
    options = f"--host 127.0.0.1 --port {port} --max-model-len {CONTEXT_WINDOW} --dtype float32 --enforce-eager"
    return Server([program, "serve", str(folder / "tiny-mistral"), *options.split()], port, folder / "log.txt")


def _installed(variable: str, program: str) -> str:
    """The path of a program in the environment that a variable names."""
    return str(Path(os.environ[variable], "bin", program).absolute())
