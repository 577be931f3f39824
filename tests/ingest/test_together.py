"""Several processes on one PostgreSQL and one Chroma server: each finds what another wrote, and takes over its jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.chroma_process import chroma_process

pytestmark = pytest.mark.slow


class Process:
    """A process of tests.ingest.together_driver."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "tests.ingest.together_driver", *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self):
        assert json.loads(self._process.stdout.readline()) == "ready"
        return self

    def __getattr__(self, name):
        def ask(*arguments):
            print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())

        return ask

    def kill(self):
        self._process.kill()
        self.end()

    def end(self):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        return self._process.returncode


@pytest.fixture(scope="module")
def chroma_url(tmp_path_factory):
    with chroma_process(tmp_path_factory.mktemp("chroma")) as chroma:
        yield chroma.url


@pytest.fixture
def start(postgres_url, chroma_url, tmp_path):
    processes = []

    def start(number=1):
        started = [Process(postgres_url, chroma_url, tmp_path) for _ in range(number)]
        processes.extend(started)
        return [process.ready() for process in started]

    yield start
    for process in processes:
        if process._process.poll() is None:
            process.end()


def write(folder, name, *lines):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n\n".join(lines))
    return str(path)


def require_whole(process, *sources):
    state = process.state()
    assert state["sources"] == sorted(sources)
    assert state["words"] == state["chunks"]
    assert state["vectors"] == state["needed"]
    assert state["unfinished"] == 0


def command(environment, *words):
    """What the command line says beside the processes."""
    program = "import sys; from ingest.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def settings_of_both(postgres_url, chroma_url, tmp_path):
    return os.environ | {
        "RAG_STORAGE__DIR": str(tmp_path / "storage"),
        "RAG_STORAGE__DATABASE_URL": postgres_url,
        "RAG_STORAGE__CHROMA_URL": chroma_url,
        "RAG_EMBEDDING__MODEL": "bag-of-words",
    }


def test_each_finds_within_a_second_what_the_other_wrote_or_removed(start, tmp_path, settings_of_both):
    first, second = start(2)  # both make the tables' first rows
    job = first.submit(write(tmp_path / "papers", "pump.txt", "The pump needs oil every ninety days."))
    assert first.wait(job, 30) == "done"
    assert second.words("pump oil") == first.words("pump oil") != []
    assert second.meaning("The pump needs oil every ninety days.") != []
    assert second.ingest(write(tmp_path / "papers", "hotel.txt", "Hotels cost 185 EUR.")) == ["added"]
    assert len(first.words("hotels")) == 1
    command(settings_of_both, write(tmp_path / "papers", "crate.txt", "Keep the crate dry."))
    assert "crate.txt" in command(settings_of_both, "ls")
    assert len(first.words("crate")) == len(second.words("crate")) == 1
    first.remove("pump.txt")
    assert second.words("pump oil") == []
    for process in (first, second):
        require_whole(process, "crate.txt", "hotel.txt")
    assert (first.end(), second.end()) == (0, 0)
    (third,) = start()
    require_whole(third, "crate.txt", "hotel.txt")


def test_the_job_of_a_killed_process_is_taken_over_and_nothing_is_doubled(start, tmp_path):
    first, second = start(2)
    hold = tmp_path / "hold"
    hold.touch()
    paths = [write(tmp_path / "papers", f"{n}.txt", *(f"Line {i} of number {n}." for i in range(40))) for n in range(3)]
    jobs = [first.submit(path) for path in paths]
    deadline = time.monotonic() + 20
    while "running" not in [second.wait(job, 0) for job in jobs]:
        assert time.monotonic() < deadline
    first.kill()
    began = time.monotonic()
    hold.unlink()
    for job in jobs:
        assert second.wait(job, 40) == "done"
    assert time.monotonic() - began < 30
    require_whole(second, "0.txt", "1.txt", "2.txt")
    assert [second.wait(job, 0) for job in jobs] == ["done"] * 3


def test_a_job_can_be_stopped_from_another_process(start, tmp_path):
    first, second = start(2)
    hold = tmp_path / "hold"
    hold.touch()
    job = first.submit(write(tmp_path / "papers", "a.txt", "A text."))
    deadline = time.monotonic() + 20
    while second.wait(job, 0) != "running":
        assert time.monotonic() < deadline
    assert second.cancel(job) in ("running", "cancelled")
    time.sleep(3)  # one of both works on it, and hears of it
    hold.unlink()
    assert second.wait(job, 20) == first.wait(job, 20) == "cancelled"
    for process in (first, second):
        require_whole(process)


def test_files_of_one_name_that_come_to_both_at_once_are_two_documents(start, tmp_path):
    jobs = []
    processes = start(2)
    for number in range(6):
        for process, folder in zip(processes, ("first", "second"), strict=True):
            path = write(tmp_path / folder, f"{number}.txt", f"Text of number {number} of the {folder}.", "The same.")
            jobs.append((process, process.submit(path)))
    assert {process.wait(job, 60) for process, job in jobs} == {"done"}
    names = [f"{number}{more}.txt" for number in range(6) for more in ("", " (2)")]
    for process in processes:
        require_whole(process, *names)
