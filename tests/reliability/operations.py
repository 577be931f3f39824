"""What is killed (see kills.py): commands, and clients of a server, in processes that are forked from one that has
imported everything, and do the real work: Chroma, MiniLM, the server with the chat."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import chainlit.server  # noqa: F401 - imported once, before processes are forked
import chromadb  # noqa: F401
import httpx
import openvino  # noqa: F401
import tantivy  # noqa: F401
import tokenizers  # noqa: F401

from ingest.serve import serve
from tests.commands import Commands, run_here
from tests.conformance.server import free_port

_FORK = multiprocessing.get_context("fork")
_LONGEST = 120  # seconds for anything
SHOWN = 1_500  # characters of a log


def word(number: int) -> str:
    """A word that is in one document alone."""
    return "qu" + hashlib.sha256(str(number).encode()).hexdigest()[:10].translate(
        str.maketrans("0123456789", "ghijklmnop")
    )


def write(folder: Path, numbers: Sequence[int], words: int = 0) -> None:
    """A document for each number, of one to three passages; `words` gives them others."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        line = f"The pump {word(number + words)} needs oil every {number + 30} days, and its valve a new seal. "
        (folder / f"note{number}.txt").write_text("\n\n".join([line * 12] * (1 + number % 3)))


class Home(Commands):
    """A folder with a storage folder and all that is beside it, for processes that are forked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        del self.environment["RAG_EMBEDDING__MODEL"]
        self.documents = folder / "documents"
        self.log_file = folder.parent / "log"

    def fork(self, work: Callable[[], object], **environment: str) -> multiprocessing.process.BaseProcess:
        """Begin work in a process of its own."""

        def target() -> None:
            with self.log_file.open("a") as log, patch.dict(os.environ, self.environment | environment, clear=True):
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                os.chdir(self.folder)
                work()

        process = _FORK.Process(target=target)
        process.start()
        return process

    def begin(self, *command: str, **environment: str) -> multiprocessing.process.BaseProcess:
        """Begin a command."""

        def work() -> None:
            finished = run_here(command[0], list(command[1:]), dict(os.environ), self.folder)
            print(*command, finished.returncode, finished.stdout, finished.stderr, flush=True)
            sys.exit(99 if "Traceback" in finished.stderr else finished.returncode)

        return self.fork(work, **environment)

    def do(self, *command: str, codes: Sequence[int] = (0,), **environment: str) -> int:
        """Run a command to its end, which is one of these codes; that code."""
        return ended(self.begin(*command, **environment), codes, self.log_file)

    @contextmanager
    def serving(self) -> Iterator[tuple[multiprocessing.process.BaseProcess, str]]:
        """The server, and its address; it is told to end, if it has not."""
        url = f"http://127.0.0.1:{(port := free_port())}"
        process = self.fork(partial(serve.main, [], standalone_mode=False), RAG_SERVER__PORT=str(port))
        try:
            for _ in range(_LONGEST * 20):
                assert process.is_alive(), self.log_file.read_text()
                try:
                    httpx.get(f"{url}/healthz", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield process, url
        finally:
            process.terminate()
            process.join(_LONGEST)


def ended(process: multiprocessing.process.BaseProcess, codes: Sequence[int], log: Path) -> int:
    """The code that the process ended with, which is one of these."""
    process.join(_LONGEST)
    code = process.exitcode
    if code is None:
        process.kill()
    if code not in codes:
        raise AssertionError(f"it ended with {code}: …{log.read_text()[-SHOWN:]}")
    return code


# ------------------------------------------------------------------------------------------------- what a client does


def upload(home: Home, url: str, *, attaches_at_once: bool = False) -> None:
    """Upload what is not there yet, attach what is not attached, and wait until all can be searched. What was
    acknowledged before must be there."""
    acknowledged = home.folder.parent / "acknowledged"
    with httpx.Client(base_url=f"{url}/v1", timeout=_LONGEST, trust_env=False) as client:

        def ask(method: str, path: str, **content: Any) -> Any:
            answer = client.request(method, path, **content)
            answer.raise_for_status()
            return answer.json()

        def note(file_id: str) -> str:
            with acknowledged.open("a") as notes:
                print(file_id, file=notes)
            return file_id

        [store] = (store for store in ask("GET", "/vector_stores")["data"] if store["name"] == "store")
        attached = f"/vector_stores/{store['id']}/files"
        present = {file["filename"]: file["id"] for file in ask("GET", "/files")["data"]}
        members = {file["id"] for file in ask("GET", attached)["data"]}
        if acknowledged.exists():
            lost = set(acknowledged.read_text().split()) - {*present.values(), *(f"in {name}" for name in members)}
            assert not lost, f"acknowledged, and gone: {lost}"
        for path in sorted((home.folder / "incoming").iterdir()):
            if path.name not in present:
                with path.open("rb") as file:
                    made = ask("POST", "/files", files={"file": (path.name, file)}, data={"purpose": "user_data"})
                present[path.name] = note(made["id"])
            if not attaches_at_once and present[path.name] not in members:
                ask("POST", attached, json={"file_id": present[path.name]})
        lacking = sorted({*present.values()} - members)
        if attaches_at_once and lacking:
            ask("POST", f"/vector_stores/{store['id']}/file_batches", json={"file_ids": lacking})
        while any(file["status"] == "in_progress" for file in ask("GET", attached)["data"]):
            time.sleep(0.02)


# --------------------------------------------------------------------------------------------------------- operations


def prepare(home: Home) -> None:
    """A storage folder with documents."""
    write(home.documents, range(12))
    home.do("ingest", "documents")


def prepare_changes(home: Home) -> None:
    prepare(home)
    write(home.documents, range(2, 6), words=100)
    write(home.documents, range(12, 16))
    for number in (6, 7):
        (home.documents / f"note{number}.txt").unlink()


def prepare_archive(home: Home, command: str) -> None:
    """An archive of another storage folder beside this one."""
    other = {"RAG_STORAGE__DIR": str(home.folder / "other")}
    write(home.folder / "more", range(20, 30))
    home.do("ingest", "more", **other)
    home.do("rag", command, "incoming", **other)
    shutil.rmtree(home.folder / "other")
    prepare(home)


def prepare_store(home: Home, *, is_uploaded: bool = False) -> None:
    """A vector store, and files to upload and attach; or to attach alone."""
    prepare(home)
    write(home.folder / "incoming", range(20, 26))
    with home.serving() as (_, url):
        httpx.post(f"{url}/v1/vector_stores", json={"name": "store"}, trust_env=False).raise_for_status()
        for path in (home.folder / "incoming").iterdir() if is_uploaded else ():
            content = {"files": {"file": (path.name, path.read_bytes())}, "data": {"purpose": "user_data"}}
            httpx.post(f"{url}/v1/files", trust_env=False, **content).raise_for_status()


@dataclass(frozen=True, slots=True)
class Operation:
    """`command` or `client` does it, over what `prepare` made. After a kill `again` does, if it is not the same, and
    may be refused where it is done already. `deleted` are the documents whose words must be gone, `after` the settings
    once it is done."""

    prepare: Callable[[Home], None]
    command: tuple[str, ...] = ()
    client: Callable[[Home, str], None] | None = None
    again: Sequence[tuple[str, ...]] = ()
    deleted: Sequence[int] = ()
    after: Mapping[str, str] = field(default_factory=dict)


_DELETED = (0, 1, 5, 11)
OPERATIONS = {
    "ingest": Operation(prepare_changes, ("ingest", "documents", "--prune"), deleted=(6, 7)),
    "upload": Operation(prepare_store, client=upload),
    "attach": Operation(partial(prepare_store, is_uploaded=True), client=partial(upload, attaches_at_once=True)),
    "delete": Operation(
        prepare,
        ("ingest", "rm", *(f"note{number}.txt" for number in _DELETED)),
        again=[("ingest", "rm", f"note{number}.txt") for number in _DELETED],
        deleted=_DELETED,
    ),
    "reindex": Operation(
        prepare,
        ("rag", "reindex", "--passage-prefix", "passage: "),
        after={"RAG_EMBEDDING__PASSAGE_PREFIX": "passage: "},
    ),
    "backup": Operation(prepare, ("rag", "backup", "all", "--force")),
    "export": Operation(prepare, ("rag", "export", "all", "--force")),
    "import": Operation(partial(prepare_archive, command="export"), ("rag", "import", "incoming")),
    "restore": Operation(
        partial(prepare_archive, command="backup"),
        ("rag", "restore", "--overwrite", "incoming"),
        deleted=range(12),
    ),
}
