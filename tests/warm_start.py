"""Programs that start at once: a process that has imported what they need is forked for each of them.

Most of what a short command takes is importing libraries, and the tests run hundreds of commands. Each is a process of
its own all the same, with its own arguments, environment, folder and end.

    python -m tests.warm_start SOCKET       (tests/commands.py starts it)
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NoReturn

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "chromadb",
    "llama_index.core.llms",
    "rag.api.app",
    "rag.models.bag_of_words",
    "rag.models.scripted",
    "rag.cli.eval",
    "rag.answering.modes.dispatch",
    "rag.operations.services",
    "ingest.cli",
    "ingest.ingestor",
    "ingest.jobs",
    "literalai",
    "mcp",
    "socketio",
    "uvicorn",
)


class WarmProcess:
    """A program that was started so; what it says goes into files. The part of `subprocess.Popen` that tests need."""

    def __init__(self, program: str, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self.returncode: int | None = None
        self._said = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 (stdout and stderr; closed at the end)
        self._status, status = os.pipe()
        message = {"program": program, "arguments": arguments, "environment": environment, "folder": str(folder)}
        files = [*(file.fileno() for file in self._said), status]
        socket.send_fds(_nursery()[0], [json.dumps(message).encode()], files)
        os.close(status)
        self.pid = int(os.read(self._status, 20))

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        os.close(self._status)
        for file in self._said:
            file.close()

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(os.read(self._status, 20))
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        """The exit code, as soon as there is one. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = deadline - time.monotonic()
            if left < 0:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            select.select([self._status], [], [], left)
        return code

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """What it said until it ended, on stdout and on stderr. Raises subprocess.TimeoutExpired."""
        self.wait(timeout)
        for file in self._said:
            file.seek(0)
        output, errors = (file.read().decode() for file in self._said)
        return output, errors

    def terminate(self) -> None:
        """Ask it to end, if it runs."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it, if it runs."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@cache
def _nursery() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The way to the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm_start", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    theirs.close()
    return ours, process


def main() -> None:
    """Fork for each message until the other side is gone. A fork returns from here as the program's own process."""
    for name in IMPORTED:
        importlib.import_module(name)
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for a program
    while True:
        message, (*files,), _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if (pid := os.fork()) == 0:
                run(json.loads(message), files)
            os.write(files[2], f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            os.write(files[2], str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
        for file in files:
            os.close(file)


def run(message: dict[str, object], files: list[int]) -> NoReturn:
    """Be the program, to its end. What an interpreter does then beside its duties, freeing one thing after the other,
    is left out: of all that was imported it takes a second."""
    code: object = 0
    try:
        become(message, files)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (an interpreter shows each)
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads, as an interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def become(message: dict[str, object], files: list[int]) -> None:
    """Run the program in this process."""
    output, errors, status = files
    os.dup2(output, 1)
    os.dup2(errors, 2)
    for file in (output, errors, status):
        os.close(file)
    environment, arguments, program = message["environment"], message["arguments"], message["program"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(message["folder"]))
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = [str(program), *arguments]
    if program == "app":
        sys.argv[0] = str(ROOT / "app.py")
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        commands = importlib.import_module("ingest.cli")
        {"ingest": commands.main, "rag": commands.rag_main}[str(program)]()


if __name__ == "__main__":
    main()
