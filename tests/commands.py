"""Runs the commands as a user would call them: in this process, or in their own where a test is about that."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import httpx

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "ingest": ["-c", "import sys; sys.argv[0] = 'ingest'; from ingest.cli import main; main()"],
    "rag": ["-c", "import sys; sys.argv[0] = 'rag'; from ingest.cli import rag_main; rag_main()"],
    "app": [str(ROOT / "app.py")],
}


class Commands:
    """The commands over one storage folder, with counted words for vectors and a scripted model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.process: subprocess.Popen[str] | None = None  # of the last server
        self.log = ""  # … once it has ended
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
        self.environment = {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "RAG_STORAGE__DIR": str(self.storage),
            "RAG_EMBEDDING__MODEL": "bag-of-words",
            "RAG_LLM__PROVIDER": "scripted",
            "COLUMNS": "200",
        }

    def start(self, program: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """The command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, *PROGRAMS[program], *map(str, arguments)],
            env={**self.environment, **environment},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, *arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
        """The finished command, run in this process (the server in its own). It ended with `code`, without a trace."""
        if program == "app":
            with self.start(program, *arguments, **environment) as process:
                output, errors = process.communicate(timeout=120)
            finished = subprocess.CompletedProcess(arguments, process.returncode, output, errors)
        else:
            finished = run_here(program, [*map(str, arguments)], {**self.environment, **environment}, self.folder)
        return checked(finished, code)

    def refused(self, program: str, *arguments: object, code: int = 2, **environment: str) -> str:
        """What stderr had of a command that ended with one line of error and one with a hint."""
        return refusal_of(self.run(program, *arguments, code=code, **environment))

    @contextmanager
    def server(self, port: int, *arguments: object, **environment: str) -> Iterator[str]:
        """`python app.py` in a process of its own, from the moment it answers until it is ended."""
        with self.start("app", *arguments, RAG_SERVER__PORT=str(port), **environment) as process:
            self.process = process
            try:
                for _ in range(600):
                    assert process.poll() is None, process.communicate()
                    try:
                        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
                        break
                    except httpx.TransportError:
                        time.sleep(0.1)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                output, errors = process.communicate(timeout=30)
                self.log = errors
            assert "Traceback" not in output + errors, output + errors


def run_here(
    program: str, arguments: list[str], environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess:
    """The command, to its end, with this environment and folder; what it changes of the process is put back."""
    import ingest.cli

    main = {"ingest": ingest.cli.main, "rag": ingest.cli.rag_main}[program]
    output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", write_through=True) for _ in range(2))
    before, root = Path.cwd(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    code: object = 0
    umask = os.umask(0o022)  # as a shell has it
    try:
        os.chdir(folder)
        root.handlers = []
        with (
            patch.dict(os.environ, environment, clear=True),
            patch.object(sys, "argv", [program, *arguments]),
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO())),
            redirect_stdout(output),
            redirect_stderr(errors),
        ):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        os.umask(umask)
        os.chdir(before)
        root.handlers, root.level = handlers, level
    said = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (output, errors)]
    return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 0, *said)


def checked(finished: subprocess.CompletedProcess, code: int) -> subprocess.CompletedProcess:
    """The same, if it ended with `code` and shows no trace."""
    shown = f"{finished.stdout}\n--- stderr\n{finished.stderr}"
    assert "Traceback" not in shown, shown
    assert finished.returncode == code, shown
    return finished


def refusal_of(finished: subprocess.CompletedProcess) -> str:
    """Its stderr, which is one line of error and one with a hint."""
    lines = finished.stderr.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], finished.stderr
    return finished.stderr
