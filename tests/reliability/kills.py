"""Kills Footnote at random moments: `python -m tests.reliability.kills --count 300`.

Each operation is done once undisturbed, and then over copies of the same folder, by a process that gets SIGKILL: at a
moment within the time which that took, or every other time at one of the changes on the disk that it made; then the
folder is looked at as it lies there. After each kill the user does it again, and it must be what it became undisturbed:
the same documents, each passage found exactly once by words and by vectors, deleted words gone from the disk, `rag
doctor --deep` content. Processes are forked from this one, which has imported everything, and do the real work: Chroma,
MiniLM, the server with the chat.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import chainlit.server  # noqa: F401 - imported once, before processes are forked
import chromadb  # noqa: F401
import httpx
import openvino  # noqa: F401
import tantivy
import tokenizers  # noqa: F401

import app
from rag.errors import IndexMismatch
from rag.index.index import Index
from rag.operations.archive.reader import Archive
from rag.operations.services import open_index
from rag.settings import load_settings
from rag.storage.blobs import StoredFiles, hash_of
from rag.storage.vector_stores import VectorStores
from rag.text.analysis import terms
from rag.types.documents import Scope
from tests.commands import Commands, run_here
from tests.conformance.server import free_port

_FORK = multiprocessing.get_context("fork")
_LONGEST = 120  # seconds for anything
_SHOWN = 1_500  # characters of a log
State = dict[str, Any]


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
        process = self.fork(partial(app.serve.main, [], standalone_mode=False), RAG_SERVER__PORT=str(port))
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
        raise AssertionError(f"it ended with {code}: …{log.read_text()[-_SHOWN:]}")
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


# ---------------------------------------------------------------------------------------------------- what is there


def look(home: Home, operation: Operation) -> State:
    """What a start finds in the storage folder, and what lies on the disk after it."""
    receiver, sender = _FORK.Pipe(duplex=False)

    def work() -> None:
        try:
            found = _look(home)
        except IndexMismatch:  # it is done already
            os.environ |= operation.after
            found = _look(home)
        sender.send(found | _disk(home, operation))

    process = home.fork(work)
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise AssertionError(
            f"the storage folder cannot be looked at: …{home.log_file.read_text()[-_SHOWN:]}"
        ) from None
    finally:
        process.join(_LONGEST)


def _look(home: Home) -> State:
    settings = load_settings()
    with open_index(settings) as index:
        for _ in index.follow_repair():
            pass
        end = time.monotonic() + _LONGEST
        while index.is_purge_pending() and time.monotonic() < end:
            time.sleep(0.05)
        assert not index.is_purge_pending()
        return {
            "documents": _documents(index),
            "remainders": [
                len(index.catalog.unfinished()),
                len(index.catalog.loose_vectors()),
                index._staging.target(),
            ],
            "files": dict(_uploads(index, home)),
        }


def _documents(index: Index) -> dict[str, list[list[object]]]:
    """The documents of each name: what becomes of them, what they say (hashed), how often each of their passages is
    found by words and by vectors, and how many vectors they have."""
    catalog = index.catalog
    everywhere = Scope(tuple(collection.id for collection in catalog.collections()))
    legs = (index.search_lexical, index.search_dense)
    found = [Counter(chunk for chunk, _ in leg("oil for the pump", everywhere, 1_000)) for leg in legs]
    stores = VectorStores(catalog.database)
    documents: dict[str, list[list[object]]] = defaultdict(list)
    for document in catalog.documents():
        chunks = list(catalog.chunks_of(document.id))
        place = catalog.collection(document.collection)
        status = stores.file(place.id, document.file_id).status if document.file_id else document.status
        text = hashlib.sha256("\n".join(chunk.text for chunk in chunks).encode()).hexdigest()
        times_found = [[count.pop(chunk.id, 0) for chunk in chunks] for count in found]
        vectors = index._vectors.get(place.id, catalog.vector_ids(document.id))
        documents[f"{place.label or place.name}/{Path(document.source).name}"].append(
            [status, text, times_found, len(vectors)]
        )
    assert not any(found), f"passages of no document: {found}"
    return documents


def _uploads(index: Index, home: Home) -> Iterator[tuple[str, bool]]:
    for number, row in enumerate(index.catalog.database.read("SELECT name, sha256, purpose FROM files ORDER BY name")):
        path = StoredFiles(home.storage).path_of(row.sha256)
        yield f"{number} {row.name} {row.purpose}", path.is_file() and hash_of(path) == row.sha256


def _disk(home: Home, operation: Operation) -> State:
    """Which files there are, of the storage folder and beside it; whether deleted words are in the words' dictionary
    or in the bytes of a file; and what an archive holds."""
    searcher = tantivy.Index.open(str(home.storage / "words")).searcher()
    deleted = [word(number) for number in operation.deleted]
    contents = [path.read_bytes() for path in home.storage.rglob("*") if path.is_file()]
    folders = [home.folder, home.storage, home.storage / "files"]
    names = [path.relative_to(home.folder) for folder in folders if folder.exists() for path in folder.iterdir()]
    return {
        "names": sorted(str(name) for name in names if name.name not in ("lock", "reserve")),
        "deleted words": [
            sum(searcher.doc_freq("body", term) for name in deleted for term in terms(name)),
            sum(name.encode() in content for name in deleted for content in contents),
        ],
        "archive": _archive(home.folder / "all"),
    }


def _archive(path: Path) -> dict[str, str]:
    """The hashes of the members of a whole archive, but of the catalog, which is no copy to the byte."""
    if not path.exists():
        return {}
    with Archive(path) as archive:
        for _ in archive.verify():
            pass
        return {name: member.sha256 for name, member in archive.manifest.members.items() if "catalog" not in name}


def half_done(left: State, old: State, new: State) -> list[str]:
    """What is half in a folder as a kill has left it: each document must be what it was or what it becomes, but for the
    word of its job, which comes last."""

    def contents(state: State, name: str) -> list[list[object]]:
        return [content for _, *content in state["documents"].get(name, [])]

    wrong = [
        f"{name} is neither old nor new: {found}"
        for name, found in left["documents"].items()
        if contents(left, name) not in (contents(old, name), contents(new, name))
    ]
    kept = old["documents"].keys() & new["documents"].keys()
    wrong += [f"{name} is lost" for name in kept - left["documents"].keys()]
    return wrong + ([] if all(left["files"].values()) else ["an upload's bytes are lost"])


def differences(found: State, wanted: State) -> list[str]:
    """What is not as it should be."""
    pairs = [(key, found[key], wanted[key]) for key in wanted if not isinstance(wanted[key], dict)]
    for key in (key for key in wanted if isinstance(wanted[key], dict)):
        pairs += [(f"{key} {name}", found[key].get(name), wanted[key].get(name)) for name in found[key] | wanted[key]]
    return [f"{name}: {left} instead of {right}" for name, left, right in pairs if left != right]


# ------------------------------------------------------------------------------------------------------------ kills


@dataclass(frozen=True, slots=True)
class Duration:
    """How long an operation took, or is let go on: seconds, and changes on the disk that are seen."""

    seconds: float = 0.0
    changes: int = 0


def perform(home: Home, operation: Operation, until: Duration | None = None, *, is_again: bool = False) -> Duration:
    """Do the operation, killed when it has gone on so long, if that is given; how long it took."""
    if operation.client is not None:
        with home.serving() as (server, url):
            client = home.fork(partial(operation.client, home, url))
            duration = _watch(home, client, until)
            if until is not None:
                server.kill()
                server.join()
            ended(client, (0,) if until is None else (0, 1), home.log_file)
            return duration
    if is_again:
        for command in operation.again or [operation.command]:
            if home.do(*command, codes=(0, 1, 2)) and operation.after:
                home.do(*command, **operation.after)
        return Duration()
    process = home.begin(*operation.command)
    duration = _watch(home, process, until)
    if until is not None:
        process.kill()
    ended(process, (0,) if until is None else (0, -signal.SIGKILL), home.log_file)
    return duration


def _watch(home: Home, process: multiprocessing.process.BaseProcess, until: Duration | None) -> Duration:
    """Wait until the process has ended, or gone on so long."""
    began, changes, seen = time.monotonic(), 0, _statuses(home.folder)
    while process.is_alive():
        duration = Duration(time.monotonic() - began, changes)
        if until and (duration.changes >= until.changes if until.changes else duration.seconds >= until.seconds):
            return duration
        process.join(0.001)
        statuses = _statuses(home.folder)
        changes, seen = changes + (statuses != seen), statuses
    return Duration(time.monotonic() - began, changes)


def _statuses(folder: Path) -> set[tuple[str, int, int]]:
    """All files, with their sizes and times."""
    found = set()
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.stat(f"{path}/{name}")  # noqa: PTH116  (many times a second)
                found.add((f"{path}/{name}", status.st_size, status.st_mtime_ns))
    return found


def examine(name: str, count: int, seed: int, scratch: Path) -> Iterator[tuple[str, list[str]]]:
    """Kill an operation so many times: how the folder was found (`old`, `new`, `between`, `not looked at`), and what
    was wrong with it then or in the end."""
    operation, home = OPERATIONS[name], Home(scratch / "home")
    home.folder.mkdir()
    operation.prepare(home)
    start = scratch / "start"
    old = look(home, operation)
    _copy(home.folder, start)
    perform(home, operation)
    for _ in range(2):  # the second time everything is in the machine's memory
        _begin_anew(start, home)
        whole = perform(home, operation)
    new = look(home, operation)
    chance = random.Random(f"{seed} {name}")
    for number in range(count):
        _begin_anew(start, home)
        wrong, state = [], "not looked at"
        try:
            if number % 2:
                until = Duration(changes=chance.randint(1, whole.changes))
            else:
                until = Duration(chance.uniform(0, whole.seconds))
            perform(home, operation, until)
            if number % 2:
                left = look(home, operation)
                state = next(
                    (name for name, one in (("old", old), ("new", new)) if one["documents"] == left["documents"]),
                    "between",
                )
                wrong = half_done(left, old, new)
            perform(home, operation, is_again=True)
            again = look(home, operation)
            wrong += differences(again, new)
            home.do("rag", "doctor", "--deep", **operation.after)
        except AssertionError as error:
            wrong.append(str(error))
        yield state, [f"{name}, killed after {until} of {whole}: {fault}" for fault in wrong]


def _begin_anew(start: Path, home: Home) -> None:
    shutil.rmtree(home.folder)
    for path in (home.log_file, home.folder.parent / "acknowledged"):
        path.unlink(missing_ok=True)
    _copy(start, home.folder)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300, help="kills, of all operations together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", default=",".join(OPERATIONS), help="which of them")
    arguments = parser.parse_args()
    names = arguments.operations.split(",")
    faults = 0
    print("| operation | kills | as before | in between | as after | not looked at | wrong |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    for place, name in enumerate(names):
        count = arguments.count // len(names) + (place < arguments.count % len(names))
        states: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="footnote-kills-", ignore_cleanup_errors=True) as scratch:
            for state, wrong in examine(name, count, arguments.seed, Path(scratch)):
                states[state] += 1
                states["wrong"] += bool(wrong)
                print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr, flush=True)
        columns = [states[column] for column in ("old", "between", "new", "not looked at", "wrong")]
        print("|", " | ".join(map(str, [name, count, *columns])), "|", flush=True)
        faults += states["wrong"]
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
