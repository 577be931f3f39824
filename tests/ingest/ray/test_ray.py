"""Reading and embedding on a Ray cluster, a real one on this machine: what is stored is what is stored without it."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ingest.ingestor import Ingestor
from ingest.ray.cluster import RayCluster
from ingest.splitting import limit_of
from rag.index.index import Index
from rag.settings import Settings
from rag.storage.file_hash import hash_of
from rag.types.ingest import IngestOptions
from tests.commands import ROOT, Commands
from tests.ingest.loaders.documents import make_pdf
from tests.ingest.test_ingestor import Counting
from tests.rag.index.test_index import assert_consistent
from tests.rag.models.model_server import free_port

pytestmark = pytest.mark.slow

WORKERS = 2


# not imported yet: Ray reads some variables of the environment only then
has_ray = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not has_ray, reason="Ray is not installed: make setup EXTRAS=ray")


@pytest.fixture(scope="module")
def ray_environment():
    """All of Ray's processes listen on loopback only, ask for a token, and tell nobody of their use."""
    environment = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture(scope="module")
def address(ray_environment):
    """A cluster of one machine, which outlives those who work with it; with processors for two of them."""
    folder, port = tempfile.mkdtemp(prefix="ray-"), free_port()
    start = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"]
    options = [f"--port={port}", f"--num-cpus={2 * WORKERS}", f"--temp-dir={folder}", "--include-dashboard=false"]
    log = Path(folder, "log")
    with log.open("wb") as output:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([*start, *options], env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: "runtime started" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(address, bag_of_words):
    settings = Settings(_env_file=None, embedding={"model": "bag-of-words"})
    with RayCluster(address, settings, bag_of_words, WORKERS) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "long.txt").write_text(text("long", 150))
    make_pdf(folder / "manual.pdf", [["Page one of the manual."], ["Page two speaks of pumps."]])
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and then nonsense")
    (folder / "notes.md").write_text("# Notes\n\nAll is well.\n\n## Further\n\nAnd so it stays.")
    for number in range(12):
        (folder / f"{number}.txt").write_text(text(f"file {number}", 3))
    return folder


@pytest.fixture(scope="module")
def plain(folder, tmp_path_factory, bag_of_words):
    """What is reported and stored without Ray."""
    with ingestor_over(tmp_path_factory.mktemp("storage"), bag_of_words) as (ingestor, index):
        return reports(ingestor, folder), contents(index)


def text(subject, paragraphs):
    words = " ".join(f"w{n}" for n in range(120))
    return "\n\n".join(f"The {subject} has the paragraph {number}. {words}." for number in range(paragraphs))


def wait_until(is_so, seconds=90):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def ingestor_over(storage, embedding, cluster=None):
    settings = Settings(_env_file=None, storage={"dir": storage}, embedding={"model": "bag-of-words"})
    with closing(Index(storage, embedding)) as index, Ingestor(settings, index, cluster) as ingestor:
        yield ingestor, index
        if cluster is not None:
            assert_consistent(index)


def reports(ingestor, *paths, **options):
    """File name → what was reported, but for the document's id."""
    found = {}
    for progress in ingestor.add_paths(paths, "default", IngestOptions(**options)):
        if report := progress.report:
            name = Path(report.source).name
            assert name not in found
            found[name] = report.outcome, report.pages, report.chunks, report.error, report.hint, report.notice
    return found


def contents(index):
    """Source → all that is known of its document, with chunks and vectors, but for ids and times."""
    found = {}
    for document in index.catalog.documents():
        facts = {name: getattr(document, name) for name in document.__dataclass_fields__}
        for name in ("id", "created_at", "updated_at"):
            del facts[name]
        chunks = [
            (chunk.id.removeprefix(document.id), chunk.number, chunk.page_index, chunk.heading, chunk.start, chunk.text)
            for chunk in index.catalog.chunks_of(document.id)
        ]
        vectors = {name: vector.tobytes() for name, vector in index.vectors_of(document).items()}
        ids = index.catalog.vector_ids(document.id)
        assert vectors.keys() == set(ids)
        found[document.source] = facts, index.catalog.sections(document.id), chunks, ids, vectors
    return found


def working(doing=""):
    """The processes of workers, or of those that do this at the moment."""
    title = f"ray::Worker{doing}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(title) and is_ours(process):
                found.append(int(process.name))
        except OSError:  # it has ended
            continue
    return found


def is_ours(process):
    return b"RAY_AUTH_TOKEN=" + os.environ["RAY_AUTH_TOKEN"].encode() in (process / "environ").read_bytes()


def kill(processes):
    for process in processes:
        os.kill(process, signal.SIGKILL)


# ------------------------------------------------------------------------------------------------------------- the same


@needs_ray
def test_what_is_stored_and_reported_is_the_same(cluster, folder, plain, tmp_path, bag_of_words):
    embedding = Counting(bag_of_words)
    with ingestor_over(tmp_path / "ray", embedding, cluster) as (ingestor, index):
        found = reports(ingestor, folder)
        assert embedding.embedded == [], "the workers have embedded all of it"
        assert (found, contents(index)) == plain
        assert found["broken.pdf"][0] == "failed"
        assert found["long.txt"][2] > 130, "chunks for several batches"


@needs_ray
def test_only_what_changed_is_embedded(cluster, tmp_path, bag_of_words):
    path = tmp_path / "changing.txt"
    path.write_text(text("changing", 30))
    with ingestor_over(tmp_path / "ray", bag_of_words, cluster) as (ingestor, _):
        assert [progress.chunks for progress in ingestor.add_paths([path])][-1] > 20
        assert [progress.chunks for progress in ingestor.add_paths([path])][-1] == 0
        path.write_text(text("changing", 30).replace("paragraph 20.", "paragraph that is new."))
        assert 1 <= [progress.chunks for progress in ingestor.add_paths([path])][-1] <= 4


@needs_ray
def test_a_file_that_workers_do_not_see_is_sent(cluster, tmp_path, bag_of_words):
    path = tmp_path / "seen.txt"
    path.write_text("It is read all the same.")
    limit = limit_of(bag_of_words, 256, None)
    with path.open() as file:
        only_here = Path(f"/proc/self/fd/{file.fileno()}")  # another file, or none, in every other process
        loaded = cluster.load(only_here, "seen.txt", hash_of(path), limit, lambda: False)
    assert [section.text for section in loaded.sections] == ["It is read all the same."]


# ----------------------------------------------------------------------------------------------------------- what dies


@needs_ray
def test_workers_that_are_killed_lose_and_double_nothing(cluster, folder, plain, tmp_path, bag_of_words):
    with ingestor_over(tmp_path / "ray", bag_of_words, cluster) as (ingestor, index):
        going_on = ingestor.add_paths([folder])
        next(going_on)
        killed = set()
        found = {}
        for progress in going_on:
            if len(killed) < WORKERS and (now := [process for process in working(".") if process not in killed]):
                kill(now[:1])
                killed.add(now[0])
            if progress.report:
                found[Path(progress.report.source).name] = progress.report.outcome
        assert killed, "one was killed while it worked"
        assert found == {name: outcome for name, (outcome, *_) in plain[0].items()}
        assert contents(index) == plain[1]


@needs_ray
def test_a_file_that_every_worker_dies_of_fails_with_a_reason_and_is_tried_again(cluster, tmp_path, bag_of_words):
    path = tmp_path / "deadly.txt"
    path.write_text(text("deadly", 150))
    is_over = threading.Event()
    killed = []

    def kill_readers():
        while not is_over.wait(0.002):
            if readers := working(".read"):
                kill(readers)
                killed.append(readers)

    killer = threading.Thread(target=kill_readers)
    killer.start()
    with ingestor_over(tmp_path / "storage", bag_of_words, cluster) as (ingestor, index):
        try:
            ((outcome, *_, error, hint, _),) = reports(ingestor, path).values()
        finally:
            is_over.set()
            killer.join()
        assert (outcome, len(killed) >= 3) == ("failed", True)
        assert "deadly.txt" in error
        assert "lost" in error
        assert hint
        assert index.catalog.documents() == [], "it may not have been the file's fault"
        assert reports(ingestor, path)["deadly.txt"][0] == "added"


@needs_ray
def test_the_command_killed_and_run_again(address, ray_environment, tmp_path, bag_of_words):
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(160):
        (folder / f"{number:03}.txt").write_text(text(f"file {number}", 4))
    commands = Commands(tmp_path)
    commands.environment |= ray_environment
    command = [sys.executable, "-c", "from ingest.cli import main; main()", folder, "--ray", address, "--json"]
    process = subprocess.Popen(command, env=commands.environment, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if json.loads(line)["event"] == "file":
            break
    process.kill()
    process.stdout.read()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    ran = commands.run("ingest", folder, "--ray", address, "--json")
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    outcomes = [event["outcome"] for event in events if event["event"] == "file"]
    assert set(outcomes) == {"unchanged", "added"}, "it was killed in the middle"
    assert len(outcomes) == 160
    with closing(Index(commands.storage, bag_of_words)) as index:
        assert len({document.source for document in index.catalog.documents()}) == len(index.catalog.documents()) == 160
        assert_consistent(index)


# ------------------------------------------------------------------------------------------------------------ refusals


@needs_ray
def test_where_there_is_no_cluster(tmp_path):
    (tmp_path / "a.txt").write_text("A text.")
    said = Commands(tmp_path).refused("ingest", tmp_path / "a.txt", "--ray", f"127.0.0.1:{free_port()}")
    assert "no Ray cluster" in said


def test_without_the_package(tmp_path):
    (tmp_path / "a.txt").write_text("A text.")
    program = "import sys; sys.modules['ray'] = None; from ingest.cli import main; main()"  # as if not installed
    command = [sys.executable, "-c", program, str(tmp_path / "a.txt"), "--ray", "local"]
    environment = Commands(tmp_path).environment
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 2
    assert "error: `--ray` needs Ray" in ran.stderr
    assert "pip install 'footnote[ray]'" in ran.stderr


def test_beside_a_server(tmp_path):
    (tmp_path / "a.txt").write_text("A text.")
    commands = Commands(tmp_path)
    with commands.server(free_port()):
        assert "server" in commands.refused("ingest", tmp_path / "a.txt", "--ray", "local")
