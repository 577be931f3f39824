"""Runs the commands as a user would: in processes of their own."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.warm_start import ROOT, WarmProcess

PROGRAMS = {
    "ingest": ["-c", "import sys; sys.argv[0] = 'ingest'; from ingest.cli import main; main()"],
    "rag": ["-c", "import sys; sys.argv[0] = 'rag'; from ingest.cli import rag_main; rag_main()"],
}


class Commands:
    """The commands over one storage folder, with counted words for vectors and a scripted model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.process: WarmProcess | None = None  # of the last server
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

    def start(self, program: str, *arguments: object, **environment: str) -> WarmProcess:
        return WarmProcess(program, [*map(str, arguments)], {**self.environment, **environment}, self.folder)

    def run(self, program: str, *arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
        """The finished command, which has ended with `code` and shown no trace."""
        with self.start(program, *arguments, **environment) as process:
            try:
                output, errors = process.communicate(timeout=120)
            finally:
                process.kill()
        said = f"{output}\n--- stderr\n{errors}"
        assert "Traceback" not in said, said
        assert process.returncode == code, said
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def refused(self, program: str, *arguments: object, code: int = 2, **environment: str) -> str:
        """What was said by a command that ended with one line of error and one with a hint."""
        ran = self.run(program, *arguments, code=code, **environment)
        lines = ran.stderr.strip().splitlines()
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], ran.stderr
        return ran.stderr

    @contextmanager
    def server(self, port: int, *arguments: object, **environment: str):
        """`python app.py`, from the moment it answers until it is ended."""
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
