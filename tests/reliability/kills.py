"""Kills Footnote at random moments: `python -m tests.reliability.kills --count 300`.

Each operation is done once undisturbed, and then over copies of the same folder, by a process that gets SIGKILL at one
of the changes on the disk that it makes; then the folder is looked at as it lies there. After each kill the user does
it again, and it must be what it became undisturbed: the same documents, each passage found exactly once by words and by
vectors, deleted words gone from the disk, `rag doctor --deep` content.
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
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import tantivy

from rag.errors import IndexMismatch
from rag.index.index import Index
from rag.operations.archive.reader import Archive
from rag.operations.services import open_index
from rag.settings import load_settings
from rag.storage.blobs import StoredFiles
from rag.storage.file_hash import hash_of
from rag.storage.vector_stores import VectorStores
from rag.text.analysis import terms
from rag.types.documents import Scope
from tests.reliability.operations import OPERATIONS, SHOWN, Home, Operation, ended, word

_FORK = multiprocessing.get_context("fork")
_LONGEST = 120  # seconds for anything
State = dict[str, Any]


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
        raise AssertionError(f"the storage folder cannot be looked at: …{home.log_file.read_text()[-SHOWN:]}") from None
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


def perform(home: Home, operation: Operation, changes: int = 0, *, is_again: bool = False) -> int:
    """Do the operation, killed when it has made so many changes on the disk, if there are any; how many it made."""
    if operation.client is not None:
        with home.serving() as (server, url):
            client = home.fork(partial(operation.client, home, url))
            made = _watch(home, client, changes)
            if changes:
                server.kill()
                server.join()
            ended(client, (0, 1) if changes else (0,), home.log_file)
            return made
    if is_again:
        for command in operation.again or [operation.command]:
            if home.do(*command, codes=(0, 1, 2)) and operation.after:
                home.do(*command, **operation.after)
        return 0
    process = home.begin(*operation.command)
    made = _watch(home, process, changes)
    if changes:
        process.kill()
    ended(process, (0, -signal.SIGKILL) if changes else (0,), home.log_file)
    return made


def _watch(home: Home, process: multiprocessing.process.BaseProcess, most: int) -> int:
    """Wait until the process has ended, or made so many changes; those that were seen."""
    changes, seen = 0, _statuses(home.folder)
    while process.is_alive() and not (most and changes >= most):
        process.join(0.001)
        statuses = _statuses(home.folder)
        changes, seen = changes + (statuses != seen), statuses
    return changes


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
    """Kill an operation so many times: how the folder was found (`old`, `new`, `between`), and what was wrong with it
    then or in the end."""
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
    for _ in range(count):
        _begin_anew(start, home)
        wrong, state, changes = [], "between", chance.randint(1, whole)
        try:
            perform(home, operation, changes)
            left = look(home, operation)
            state = next((name for name, one in (("old", old), ("new", new)) if one == left), "between")
            wrong = half_done(left, old, new)
            perform(home, operation, is_again=True)
            wrong += differences(look(home, operation), new)
            home.do("rag", "doctor", "--deep", **operation.after)
        except AssertionError as error:
            wrong.append(str(error))
        yield state, [f"{name}, killed at change {changes} of {whole}: {fault}" for fault in wrong]


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
    print("| operation | kills | as before | in between | as after | wrong |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for place, name in enumerate(names):
        count = arguments.count // len(names) + (place < arguments.count % len(names))
        states: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="footnote-kills-", ignore_cleanup_errors=True) as scratch:
            for state, wrong in examine(name, count, arguments.seed, Path(scratch)):
                states[state] += 1
                states["wrong"] += bool(wrong)
                print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr, flush=True)
        columns = [states[column] for column in ("old", "between", "new", "wrong")]
        print("|", " | ".join(map(str, [name, count, *columns])), "|", flush=True)
        faults += states["wrong"]
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
