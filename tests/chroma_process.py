"""A real Chroma server for tests: `chroma run` on a free port of this machine, to be killed and started again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


class ChromaProcess:
    """The server over a folder; it keeps its port from one start to the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, wait: bool = True) -> None:
        program = [Path(sys.executable).with_name("chroma"), "run", "--host", "127.0.0.1", "--port", str(self._port)]
        command = [*program, "--path", self._folder]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while wait and not self._answers():
            assert self._process.poll() is None, "chroma ended"
            assert time.monotonic() < deadline, "chroma does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/heartbeat").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def chroma_process(folder: Path) -> Iterator[ChromaProcess]:
    """A running server, ended afterwards."""
    server = ChromaProcess(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
