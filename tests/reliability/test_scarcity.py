"""A machine that lacks something, during ingest, upload, backup and answer: it works, or says what is the matter;
afterwards everything is there once, and works again."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from rag.index.index import Index
from tests.commands import ROOT
from tests.conformance.server import free_port
from tests.rag.index.test_index import assert_consistent
from tests.rag.storage.test_unwritable import OwnProcesses, mounted

pytestmark = pytest.mark.slow

QUESTION = "How often does the pump 1 need oil?"
WORKS = ""
_FAULTS = {"PYTHONPATH": f"{Path(__file__).with_name('faults')}:{ROOT}"}
_MORE_THAN_RESERVED = b"The valve needs a new seal. " * 320_000  # 9 MB


@pytest.fixture
def commands(tmp_path):
    """Commands over a storage folder in a file system of its own, with three documents."""
    commands = OwnProcesses(tmp_path)
    commands.storage = tmp_path / "disk" / "storage"
    commands.environment["RAG_STORAGE__DIR"] = str(commands.storage)
    for number in range(3):
        (tmp_path / f"note{number}.txt").write_text(f"The pump {number} needs oil every 9{number} days.")
    (tmp_path / "more.txt").write_text("The walrus sleeps.")
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=150m", "none"):
        commands.run("ingest", *sorted(tmp_path.glob("note*.txt")))
        yield commands


# --------------------------------------------------------------------------------------- what is lacking, for a block


@contextmanager
def full_disk(commands):
    fill = commands.storage.parent / "fill"
    subprocess.run(["dd", "if=/dev/zero", f"of={fill}", "bs=1k"], capture_output=True, check=False)
    assert shutil.disk_usage(commands.storage).free == 0
    yield {}
    fill.unlink()


@contextmanager
def read_only(commands):
    for options in ("remount,ro", "remount,rw"):
        subprocess.run(["mount", "-o", options, commands.storage.parent], check=True)
        if options == "remount,ro":
            yield {}


@contextmanager
def limited(_, *limits):
    yield _FAULTS | {"FAULT_LIMITS": " ".join(limits)}


@contextmanager
def late_clock(commands):
    switch = commands.folder / "late"
    switch.touch()
    yield _FAULTS | {"FAULT_CLOCK": str(switch)}


# ------------------------------------------------------------------ what is done: what is said where it does not work


def refusal(commands, environment, *arguments):
    process = commands.start(*arguments, **environment)
    output, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return errors if process.returncode else WORKS, output


def ingest(commands, environment):
    return refusal(commands, environment, "ingest", "more.txt")[0]


def backup(commands, environment):
    return refusal(commands, environment, "rag", "backup", "all.backup", "--force")[0]


def answer(commands, environment):
    refused, output = refusal(commands, environment, "rag", "ask", QUESTION)
    assert refused or "note1" in output, output
    return refused


def upload(commands, environment):
    """To a server that is started meanwhile, and answers in any case."""
    with (
        commands.server(free_port(), **environment) as url,
        httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=60) as client,
    ):
        question = {"model": "footnote/default", "messages": [{"role": "user", "content": QUESTION}]}
        assert client.post("/chat/completions", json=question).json()["citations"]
        for content in (b"The heron fishes.", _MORE_THAN_RESERVED):
            answer = client.post(
                "/files", files={"file": (f"{len(content)}.txt", content)}, data={"purpose": "user_data"}
            )
            if answer.status_code != 200:
                return answer.text
        store = client.post("/vector_stores", json={"name": "birds"}).json()["id"]
        files = [file["id"] for file in client.get("/files").json()["data"] if file["bytes"] < 100]
        client.post(f"/vector_stores/{store}/file_batches", json={"file_ids": files}).raise_for_status()
        while any(
            file["status"] == "in_progress" for file in client.get(f"/vector_stores/{store}/files").json()["data"]
        ):
            pass
        in_store = client.get(f"/vector_stores/{store}/files").json()["data"]
        return next((file["last_error"]["message"] for file in in_store if file["status"] == "failed"), WORKS)


CELLS = {
    full_disk: {ingest: "the disk is full", upload: "the disk is full", backup: WORKS, answer: WORKS},
    read_only: {ingest: "is read-only", upload: "is read-only", backup: WORKS, answer: WORKS},
    "64 descriptors": {ingest: WORKS, upload: "^$|cannot open more files", backup: WORKS, answer: WORKS},
    "2 GB": dict.fromkeys((ingest, upload, backup, answer), WORKS),
    late_clock: dict.fromkeys((ingest, upload, backup, answer), WORKS),
}
LIMITS = {"64 descriptors": "RLIMIT_NOFILE=64", "2 GB": f"RLIMIT_DATA={2 << 30}"}


@pytest.mark.parametrize("fault", CELLS, ids=lambda fault: getattr(fault, "__name__", fault))
def test_it_works_or_tells_and_afterwards_all_is_there(commands, bag_of_words, fault):
    lacking = limited(commands, LIMITS[fault]) if fault in LIMITS else fault(commands)
    with lacking as environment:
        told = {work: work(commands, environment) for work in CELLS[fault]}
    for work, wanted in CELLS[fault].items():
        assert re.search(wanted, told[work]) if wanted else told[work] == WORKS, (work, told[work])
        assert fault not in (full_disk, read_only) or not told[work] or "Nothing that is stored is lost" in told[work]
    assert [work(commands, {}) for work in CELLS[fault]] == [WORKS] * 4
    found = commands.run("rag", "doctor", "--deep", code=1).stdout
    assert re.findall(r"^problem +(.+?):", found, re.MULTILINE) == ["Disk"], found  # of 150 MB
    copy = shutil.copytree(commands.storage, commands.folder / "copy")  # this process would keep files open
    with closing(Index(copy, bag_of_words)) as index:
        assert_consistent(index)
        names = [Path(document.source).name for document in index.catalog.documents("default")]
        assert sorted(names) == ["more.txt", "note0.txt", "note1.txt", "note2.txt"]
    assert not list((commands.storage / "files").glob("partial_*"))
