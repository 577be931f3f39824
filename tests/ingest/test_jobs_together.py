"""Many small files at once: embedded together, and each still a job of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from ingest.change_detection import IncomingFile
from ingest.jobs import JobStore
from ingest.pipeline import Claims, PipelineRun
from ingest.sandbox import Sandbox
from rag.auth.principals import OF_THIS_MACHINE
from rag.storage.files import FileRecords
from rag.types.documents import Chunking
from tests.ingest.test_jobs import Gate, opened
from tests.rag.versions import make_version

pytestmark = pytest.mark.slow


class Counting(Gate):
    """A gate that counts what goes through."""

    def __init__(self, embedding) -> None:
        super().__init__(embedding)
        self.calls: list[int] = []

    def embed_passages(self, texts):
        vectors = super().embed_passages(texts)
        self.calls.append(len(texts))
        return vectors


def attach(ingestor, texts, chunking=None, collection="default"):
    """Files by name, attached in one go; their ids."""
    ids = [ingestor.keep(io.BytesIO(text.encode()), name, "assistants", OF_THIS_MACHINE) for name, text in texts]
    ingestor.attach(
        {file_id: {} for file_id in ids}, collection, chunking=dict.fromkeys(ids, chunking) if chunking else None
    )
    return ids


def ended(ingestor, file_ids, seconds=30):
    jobs = {job.file_id: job for job in reversed(ingestor.jobs())}  # the last one of a file
    return [ingestor.wait(jobs[file_id].id, seconds) for file_id in file_ids]


def test_small_files_are_embedded_together_and_reported_one_by_one(settings, bag_of_words):
    embedding = Counting(bag_of_words)
    embedding.open.set()
    texts = [(f"{number}.txt", f"The text number {number}.") for number in range(40)]
    with opened(settings, embedding) as (ingestor, index):
        jobs = ended(ingestor, attach(ingestor, texts))
        assert [job.state for job in jobs] == ["done"] * 40
        assert [(job.report.source, job.report.outcome, job.report.chunks) for job in jobs] == [
            (name, "added", 1) for name, _ in texts
        ]
        found = {index.catalog.document(job.report.document_id).file_id for job in jobs}
        assert found == {job.file_id for job in jobs}
    assert sum(embedding.calls) == 40
    assert len(embedding.calls) <= 4, embedding.calls


def test_files_of_one_name_and_one_that_cannot_be_read_among_others(settings, bag_of_words):
    texts = [("a.txt", "One."), ("b.pdf", "no PDF"), ("a.txt", "Two."), ("c.txt", "Three."), ("a (2).txt", "Four.")]
    with opened(settings, bag_of_words) as (ingestor, index):
        jobs = ended(ingestor, attach(ingestor, texts))
        assert [job.state for job in jobs] == ["done", "failed", "done", "done", "done"]
        assert "not a PDF" in jobs[1].report.error
        said = {d.source: index.catalog.page_text(d.id, None).strip() for d in index.catalog.documents()}
        assert sorted(said.values()) == ["Four.", "One.", "Three.", "Two."]
        assert said["a.txt"] == "One."
        assert said["c.txt"] == "Three."


def test_one_of_many_is_stopped_alone(settings, bag_of_words):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, index):
        ids = attach(ingestor, [(f"{n}.txt", f"The text number {n}.") for n in range(6)])
        assert gate.reached.wait(30)
        (job,) = [job for job in ingestor.jobs() if job.file_id == ids[3]]
        ingestor.cancel(job.id)
        gate.open.set()
        states = [job.state for job in ended(ingestor, ids)]
        assert states == ["done", "done", "done", "cancelled", "done", "done"]
        assert {d.file_id for d in index.catalog.documents()} == {*ids} - {ids[3]}


def test_all_of_them_are_stopped_at_once_when_their_collection_goes(settings, bag_of_words):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, index):
        index.catalog.create_collection("other")
        ids = attach(ingestor, [(f"{n}.txt", f"The text number {n}.") for n in range(6)], collection="other")
        assert gate.reached.wait(30)
        threading.Timer(0.3, gate.open.set).start()
        ingestor.delete_collection("other")
        assert [job.state for job in ended(ingestor, ids)] == ["cancelled"] * 6
        assert index.catalog.documents() == []


def test_they_go_on_after_a_restart_as_if_they_had_never_begun(settings, bag_of_words):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, index):
        ids = attach(ingestor, [(f"{n}.txt", f"The text number {n}.") for n in range(6)])
        assert gate.reached.wait(30)
        threading.Timer(0.3, gate.open.set).start()
    with opened(settings, bag_of_words) as (ingestor, index):
        assert [job.state for job in ended(ingestor, ids)] == ["done"] * 6
        starts = index.catalog.database.read("SELECT DISTINCT starts FROM jobs")
        assert starts == [(1,)], "a stop is no crash"


def test_what_changed_under_one_is_done_again_and_harms_no_other(settings, bag_of_words):
    gate = Gate(bag_of_words)
    gate.open.set()
    words = " ".join(f"w{n}." for n in range(300))
    with opened(settings, gate) as (ingestor, index):
        (known,) = attach(ingestor, [("known.txt", words)])
        (job,) = ended(ingestor, [known])
        document = index.catalog.document(job.report.document_id)
        gate.open.clear()
        gate.reached.clear()
        others = [
            ingestor.keep(io.BytesIO(f"Text {n}.".encode()), f"{n}.txt", "assistants", OF_THIS_MACHINE)
            for n in range(4)
        ]
        chunking = {known: Chunking(100, 0)}
        ingestor.attach({file_id: {} for file_id in [*others, known]}, "default", chunking=chunking)
        assert gate.reached.wait(30)
        version = make_version(document.id, ["Something else."], bag_of_words, version=document.version + 1)
        changed = replace(version.document, source="known.txt", file_id=known)
        index.replace_documents([replace(version, document=changed)])
        gate.open.set()
        assert [job.state for job in ended(ingestor, [*others, known])] == ["done"] * 5
        assert index.catalog.document(document.id).version == document.version + 2
        assert index.catalog.document(document.id).chunks > 3


def test_what_the_program_ends_over_takes_no_other_file_with_it(tmp_path):
    command = [sys.executable, "-m", "tests.ingest.poison_driver", str(tmp_path / "storage")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    *_, last = json.loads(ran.stdout)
    assert last == dict.fromkeys(["one.txt", "two.txt", "four.txt", "five.txt"], "done") | {"poison.txt": "failed"}


def test_who_is_taken_with_whom(settings, bag_of_words):
    """Small files of one collection that were never started; a job at its last try with nothing beside it."""
    with opened(settings, bag_of_words) as (ingestor, index):
        database = index.catalog.database
        store, records = JobStore(database), FileRecords(database)
        index.catalog.create_collection("other")
        with ingestor._queue._changed:  # the workers look on
            jobs = {
                name: store.add(collection, records.add(name, name, size, OF_THIS_MACHINE)).id
                for name, collection, size in [
                    ("a", "default", 10),
                    ("large", "default", 10_000_000),
                    ("b", "default", 10),
                    ("other", "other", 10),
                    ("again", "default", 10),
                    ("last", "default", 10),
                ]
            }
            with database.transaction() as connection:
                for name, starts in (("again", 1), ("last", 2)):
                    connection.execute("UPDATE jobs SET starts = :starts WHERE id = :id", starts=starts, id=jobs[name])
            taken = [[job.name for job in store.take()] for _ in range(4)]
            assert taken == [["a", "b"], ["large"], ["other"], ["again"]]
            assert store.take() == [], "others are at work"
            late = store.add("default", records.add("late", "late", 10, OF_THIS_MACHINE)).id
            for name in ("a", "b", "large", "other", "again"):
                store.end(jobs[name], "cancelled")
            assert [job.name for job in store.take()] == ["last"]
            assert store.take() == [], "nothing beside it"
            store.end(jobs["last"], "cancelled")
            store.end(late, "cancelled")


def test_a_file_that_takes_long_does_not_keep_others_from_being_stored(settings, bag_of_words, tmp_path):
    (tmp_path / "slow.md").write_text("a\n" * 4_000_000)  # takes the parser a minute: lines in one paragraph
    small = [tmp_path / f"{n}.txt" for n in range(8)]
    for number, path in enumerate(small):
        path.write_text(f"The text number {number}.")
    with opened(settings, bag_of_words) as (_, index), Sandbox(settings.ingest, 2) as sandbox:
        run = PipelineRun(settings.ingest, index, sandbox, Claims(), "default")
        records = FileRecords(index.catalog.database)
        uploads = [
            IncomingFile(path, path.name, records.add(path.name, path.name, 1, OF_THIS_MACHINE))
            for path in [tmp_path / "slow.md", *small]
        ]
        progress = run.over(uploads)
        stored = set()
        began = time.monotonic()
        while len(stored) < 8:
            report = next(progress).report
            if report:
                assert report.outcome == "added"
                stored.add(report.source)
        assert time.monotonic() - began < 20
        uploads[0].stop.set()
        (last,) = [step.report for step in progress if step.report]
        assert (last.source, last.outcome) == ("slow.md", "failed")
