"""A stack as a user runs it: a folder with docker-compose.yml and .env, and the commands of README.md."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PASSWORD = "four words in a row"
RECOVERY = int(os.environ.get("FOOTNOTE_RECOVERY", "30"))  # seconds; more where the machine has much else to do
_COMPOSE = (
    ["docker", "compose"]
    if subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0
    else ["docker-compose"]
)


def docker(*arguments: str, **options: Any) -> str:
    """What a docker command says."""
    return _run(["docker", *arguments], **options).stdout


def _run(command: Sequence[str | Path], *, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(command, check=False, capture_output=True, text=True, **{"timeout": 600, **options})
    assert ran.returncode == code, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran


class Stack:
    """A project of compose in a folder of its own, with all volumes and containers."""

    def __init__(self, folder: Path, image: str, files: Sequence[Path] = (), **settings: str) -> None:
        self.folder = folder
        self.project = f"footnote-{folder.name.lower().replace('_', '-')}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        names = []
        for file in (ROOT / "docker-compose.yml", *files):
            shutil.copy(file, folder)
            names += ["--file", str(folder / file.name)]
        self._files = names
        (folder / "deploy").mkdir()
        shutil.copy(ROOT / "deploy" / "nginx.conf", folder / "deploy")
        values = {
            "POSTGRES_PASSWORD": "0123456789abcdef",
            "FOOTNOTE_IMAGE": image,
            "FOOTNOTE_PORT": str(self.port),
            "FOOTNOTE_DATA": str(ROOT / "data"),
            **settings,
        }
        example = (ROOT / ".env.example").read_text(encoding="utf-8").replace("\nPOSTGRES_PASSWORD=\n", "\n")
        (folder / ".env").write_text(example + "".join(f"{k}={v}\n" for k, v in values.items()), encoding="utf-8")
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""

    def compose(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A compose command in the folder."""
        return _run([*_COMPOSE, "-p", self.project, *self._files, *arguments], cwd=self.folder, **options)

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`docker compose run --rm app COMMAND`; without a terminal."""
        ran = self.compose("run", "--rm", "-T", "app", *command, **options)
        assert "Traceback" not in ran.stdout + ran.stderr, ran.stdout + ran.stderr
        return ran

    def up(self) -> None:
        """Start, and wait until it answers."""
        self.compose("up", "-d")
        self.wait(self.is_ready, 180, "the stack is ready")

    def container(self, service: str, number: int = 0) -> str:
        """The id of a container of the service."""
        return sorted(self.compose("ps", "-q", service).stdout.split())[number]

    def crash(self, service: str, number: int = 0) -> None:
        """All processes of a container of the service die at once, as when memory runs out."""
        user = ["--user", "postgres"] if service == "db" else []
        docker_command = ["docker", "exec", *user, self.container(service, number), "bash", "-c", "kill -9 -1"]
        subprocess.run(docker_command, capture_output=True, timeout=60, check=False)  # its own end is no success

    def logs(self, service: str) -> str:
        """All that the service has said."""
        return self.compose("logs", "--no-color", service).stdout

    # ------------------------------------------------------------------------------------------------------ as a client

    def client(self, **options: Any) -> httpx.Client:
        """A client with a key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, **options)

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, question: str, **body: Any) -> httpx.Response:
        """The whole answer of the API."""
        messages = [{"role": "user", "content": question}]
        with self.client() as client:
            return client.post("/v1/chat/completions", json={"model": "footnote/default", "messages": messages, **body})

    def documents(self) -> list[dict[str, Any]]:
        """What there is, as `ingest ls` lists it."""
        return [json.loads(line) for line in self.run("ingest", "ls", "--json").stdout.splitlines() if line]

    @staticmethod
    def wait(condition: Any, seconds: float, what: str) -> float:
        """Seconds until the condition holds."""
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, f"not within {seconds} seconds: {what}"
            time.sleep(0.5)
        return time.monotonic() - begun

    @contextmanager
    def removed_at_the_end(self) -> Iterator[None]:
        """Containers, networks and volumes go, whatever happens."""
        try:
            yield
        finally:
            self.compose("down", "--volumes", "--remove-orphans", "--timeout", "15")
