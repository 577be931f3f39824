"""The sandbox: files are read in child processes, and what goes wrong there stays there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ingest.loaders import Limits, load_document
from ingest.sandbox import Sandbox
from ingest.splitting import ChunkLimit
from rag.errors import DocumentError, EmptyDocument, UnreadableDocument, UnsupportedFileType
from rag.settings import IngestSettings
from rag.text.tokenizers import WORDS
from tests.ingest.loaders.documents import make_pdf, rewrite_pdf

LIMIT = ChunkLimit(WORDS, 254)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(IngestSettings()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def slow_file(tmp_path_factory) -> Path:
    """Takes the parser a minute: millions of lines in one paragraph."""
    path = tmp_path_factory.mktemp("slow") / "slow.md"
    path.write_text("a\n" * 4_000_000)
    return path


def children() -> set[int]:
    """Process ids of the parsers that this process has started."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return {pid for pid in found if b"ingest.loaders" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_a_file_read_in_the_sandbox_is_the_same_as_one_read_here(sandbox, tmp_path):
    path = make_pdf(tmp_path / "a.pdf", [["One – “two”."], [], ["Three."]], title="Pump", outline=[("Use", 0, 2)])

    there, here = sandbox.load(path, "a.pdf", LIMIT), load_document(path, "a.pdf", Limits())

    assert there.sections == here.sections
    assert (there.title, there.pages, there.empty_pages, there.notice) == ("Pump", 3, (1,), "")


def test_errors_cross_with_message_hint_and_source(sandbox, tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "a.xyz").write_text("text")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    locked = rewrite_pdf(make_pdf(tmp_path / "locked.pdf", [["Secret."]]), lambda writer: writer.encrypt("tiger"))

    for name, kind in {
        "empty.txt": EmptyDocument,
        "a.xyz": UnsupportedFileType,
        "broken.pdf": UnreadableDocument,
        locked.name: UnreadableDocument,
    }.items():
        with pytest.raises(DocumentError) as caught:
            sandbox.load(tmp_path / name, name, LIMIT)
        assert type(caught.value) is kind
        assert name in caught.value.message
        assert caught.value.hint
        assert caught.value.source == name


@pytest.mark.parametrize("name", ["kiln 🔥.txt", "two\nlines.txt", "latin-\udce9.txt"])
def test_odd_names(sandbox, tmp_path, name):
    (tmp_path / name).write_text("text")

    assert sandbox.load(tmp_path / name, name, LIMIT).sections[0].text == "text"


def test_a_file_that_takes_too_long_is_stopped_and_the_next_one_read(tmp_path, slow_file):
    (tmp_path / "a.txt").write_text("text")
    with Sandbox(IngestSettings(parse_timeout=1)) as sandbox:
        sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT)
        started = time.monotonic()
        with pytest.raises(UnreadableDocument, match="took longer than 1 seconds") as caught:
            sandbox.load(slow_file, "slow.md", LIMIT)

        assert time.monotonic() - started < 30
        assert "RAG_INGEST__PARSE_TIMEOUT" in caught.value.hint
        assert sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT).title == "a"


def test_a_child_that_is_killed_fails_its_file_only(tmp_path, slow_file):
    (tmp_path / "a.txt").write_text("text")
    errors: list[DocumentError] = []

    def read_slow_file() -> None:
        try:
            sandbox.load(slow_file, "slow.md", LIMIT)
        except DocumentError as error:
            errors.append(error)

    with Sandbox(IngestSettings()) as sandbox:
        before = children()
        sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT)
        (child,) = children() - before
        reader = threading.Thread(target=read_slow_file)
        reader.start()
        time.sleep(0.3)
        os.kill(child, signal.SIGSEGV)
        reader.join(10)

        assert [type(error) for error in errors] == [UnreadableDocument]
        assert "crashed" in errors[0].message
        assert sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT).title == "a"

        (child,) = children() - before
        os.kill(child, signal.SIGKILL)  # while idle: nobody's fault
        time.sleep(0.1)
        assert sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT).title == "a"
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces it")
def test_a_file_that_takes_too_much_memory_fails_alone(tmp_path):
    with (tmp_path / "big.csv").open("wb") as big:
        big.truncate(400 << 20)
    (tmp_path / "a.txt").write_text("text")
    with Sandbox(IngestSettings(parse_memory_mb=256)) as sandbox:
        with pytest.raises(UnreadableDocument, match="more than 256 MB of memory") as caught:
            sandbox.load(tmp_path / "big.csv", "big.csv", LIMIT)

        assert "RAG_INGEST__PARSE_MEMORY_MB" in caught.value.hint
        assert sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT).title == "a"


def test_several_threads_share_the_children(tmp_path):
    for number in range(12):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    found: dict[int, str] = {}

    def read(number: int) -> None:
        found[number] = sandbox.load(tmp_path / f"{number}.txt", f"{number}.txt", LIMIT).sections[0].text

    with Sandbox(IngestSettings(), workers=2) as sandbox:
        threads = [threading.Thread(target=read, args=[number]) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert found == {number: f"text {number}" for number in range(12)}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_sees_no_keys_and_no_handles_of_its_parent(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_LLM__API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "catalog.sqlite").open("w") as handle, Sandbox(IngestSettings()) as sandbox:
        os.set_inheritable(handle.fileno(), True)
        before = children()
        sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT)
        (child,) = children() - before

        assert b"sk-secret" not in Path(f"/proc/{child}/environ").read_bytes()
        handles = [str(entry.readlink()) for entry in Path(f"/proc/{child}/fd").iterdir()]
        assert not [target for target in handles if "catalog" in target]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_busy_child_ends_when_its_parent_is_killed(slow_file):
    code = (
        "import sys, threading, pathlib; from ingest.sandbox import Sandbox; from rag.settings import IngestSettings\n"
        "from ingest.splitting import ChunkLimit\n"
        "sandbox = Sandbox(IngestSettings()); path = pathlib.Path(sys.argv[1])\n"
        "threading.Thread(target=sandbox.load, args=[path, 'slow.md', ChunkLimit('', 254)], daemon=True).start()\n"
        "import time; time.sleep(1)\n"
        "print(*[c.read_text() for c in pathlib.Path('/proc/self/task').glob('*/children')], flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(slow_file)], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        (child,) = parent.stdout.readline().split()
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)


def test_a_closed_sandbox_reads_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with Sandbox(IngestSettings()) as sandbox:
        pass

    with pytest.raises(RuntimeError, match="closed"):
        sandbox.load(tmp_path / "a.txt", "a.txt", LIMIT)
