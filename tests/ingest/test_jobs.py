"""Uploads as jobs: they outlive the process, can be stopped, and never lose a file."""

from __future__ import annotations

import io
import threading
import time
from contextlib import closing, contextmanager

import pytest

from ingest.ingestor import Ingestor
from ingest.jobs import JobStore
from rag.auth import OF_THIS_MACHINE
from rag.errors import NotFound
from rag.file_records import FileRecords
from rag.index import Index
from rag.opening import open_database
from rag.sqlite import SqliteDatabase
from tests.rag.test_index import assert_consistent

pytestmark = pytest.mark.databases


class Gate:
    """An embedding model that waits at a gate, so that a test can look at a job in the middle of its work."""

    def __init__(self, embedding) -> None:
        self._embedding = embedding
        self.reached = threading.Event()
        self.open = threading.Event()

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        self.reached.set()
        assert self.open.wait(60)
        return self._embedding.embed_passages(texts)


@contextmanager
def opened(settings, embedding):
    with closing(Index(settings.storage.dir, embedding, open_database(settings.storage))) as index:
        with Ingestor(settings, index) as ingestor:
            yield ingestor, index
        assert_consistent(index)


def leave(ingestor, content):
    """As a crash would: a file is stored, and nothing knows of it."""
    with ingestor._files.received(io.BytesIO(content)) as received:
        ingestor._files.keep(received)


def write(path, text="The text of the upload."):
    path.write_text(text)
    return path


def stored(settings):
    return [path for path in (settings.storage.dir / "files").rglob("*") if path.is_file()]


def test_an_upload_is_taken_in_and_its_bytes_are_kept(settings, bag_of_words, tmp_path):
    upload = write(tmp_path / "upload")
    with opened(settings, bag_of_words) as (ingestor, index):
        job = ingestor.submit(upload, "../../etc/note.txt", "default", OF_THIS_MACHINE)
        upload.unlink()
        job = ingestor.wait(job.id, 30)
        assert (job.state, job.name, job.report.outcome, job.report.chunks) == ("done", "note.txt", "added", 1)
        document = index.catalog.document(job.report.document_id)
        assert document.source == "note.txt"
        assert document.content.read_text() == "The text of the upload."
        assert ingestor.jobs() == [job]
        again = ingestor.wait(ingestor.submit(write(upload), "note.txt", "default", OF_THIS_MACHINE).id, 30)
        assert again.report.outcome == "unchanged"
        ingestor.remove(document.id)
    assert stored(settings) == []


def test_another_file_of_the_same_name_replaces_nothing(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (ingestor, index):
        texts = [f"The text number {number}." for number in range(4)]
        jobs = [
            ingestor.submit(write(tmp_path / str(n), text), "a.txt", "default", OF_THIS_MACHINE)
            for n, text in enumerate(texts)
        ]
        ended = [ingestor.wait(job.id, 30) for job in jobs]
        assert {job.state for job in ended} == {"done"}
        documents = index.catalog.documents()
        assert {d.source for d in documents} == {"a.txt", "a (2).txt", "a (3).txt", "a (4).txt"}
        assert {index.catalog.page_text(d.id, None).strip() for d in documents} == set(texts)


def test_what_cannot_be_read_is_told_and_not_kept(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (ingestor, index):
        job = ingestor.wait(
            ingestor.submit(write(tmp_path / "x", "no PDF"), "x.pdf", "default", OF_THIS_MACHINE).id, 30
        )
        assert (job.state, job.report.outcome) == ("failed", "failed")
        assert "not a PDF" in job.report.error
        assert index.catalog.documents() == []
    assert stored(settings) == []


def test_a_job_goes_on_after_a_restart(settings, bag_of_words, tmp_path):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, _):
        first = ingestor.submit(write(tmp_path / "a", "The first text."), "a.txt", "default", OF_THIS_MACHINE)
        assert gate.reached.wait(30)
        waiting = [
            ingestor.submit(write(tmp_path / "b", f"Text {n}."), f"b{n}.txt", "default", OF_THIS_MACHINE)
            for n in range(3)
        ]
        assert ingestor.wait(first.id, 0).state == "running"
        closer = threading.Timer(0.3, gate.open.set)
        closer.start()
    with opened(settings, bag_of_words) as (ingestor, index):
        for job in [first, *waiting]:
            assert ingestor.wait(job.id, 30).state == "done"
        assert {d.source for d in index.catalog.documents()} == {"a.txt", "b0.txt", "b1.txt", "b2.txt"}


def test_a_job_whose_process_died_is_tried_again_but_not_for_ever(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (ingestor, index):
        job = ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE)
        ingestor.wait(job.id, 30)
        ingestor.remove(ingestor.wait(job.id, 0).report.document_id)
        job = ingestor.wait(ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE).id, 30)
        ingestor.remove(job.report.document_id)
        _died_while_running(index, job.id, starts=2)
        leave(ingestor, write(tmp_path / "a").read_bytes())
    with opened(settings, bag_of_words) as (ingestor, index):
        assert ingestor.wait(job.id, 30).state == "done"
        ingestor.remove(ingestor.wait(job.id, 0).report.document_id)
        _died_while_running(index, job.id, starts=3)
        leave(ingestor, write(tmp_path / "a").read_bytes())
    with opened(settings, bag_of_words) as (ingestor, _):
        job = ingestor.wait(job.id, 0)
        assert job.state == "failed"
        assert "every time" in job.report.error
        assert stored(settings) == []


def _died_while_running(index, job_id, starts):
    with index.catalog.database.transaction() as connection:
        connection.execute("UPDATE jobs SET state = 'running', starts = ? WHERE id = ?", (starts, job_id))


def test_a_job_can_be_stopped_while_it_embeds_or_waits(settings, bag_of_words, tmp_path):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, index):
        running = [
            ingestor.submit(write(tmp_path / "a", f"Text {n}."), f"a{n}.txt", "default", OF_THIS_MACHINE)
            for n in range(2)
        ]
        waiting = ingestor.submit(write(tmp_path / "b"), "b.txt", "default", OF_THIS_MACHINE)
        assert gate.reached.wait(30)
        for job in [waiting, *running]:
            ingestor.cancel(job.id)
        gate.open.set()
        assert [ingestor.wait(job.id, 30).state for job in [waiting, *running]] == ["cancelled"] * 3
        assert index.catalog.documents() == []
        assert ingestor.cancel(waiting.id).state == "cancelled"
        with pytest.raises(NotFound):
            ingestor.cancel("job_nothing")
    assert stored(settings) == []


def test_a_job_can_be_stopped_while_its_file_is_read(settings, bag_of_words, tmp_path):
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"parse_timeout": 120.0})})
    slow = tmp_path / "slow.txt"
    slow.write_text("x" * 30_000_000)
    with opened(settings, bag_of_words) as (ingestor, index):
        job = ingestor.submit(slow, "slow.txt", "default", OF_THIS_MACHINE)
        while ingestor.wait(job.id, 0.01).state == "queued":
            pass
        time.sleep(0.1)
        ingestor.cancel(job.id)
        began = time.monotonic()
        assert ingestor.wait(job.id, 60).state in ("cancelled", "done")
        assert time.monotonic() - began < 30
        if ingestor.wait(job.id, 0).state == "cancelled":
            assert index.catalog.documents() == []


def test_only_the_last_jobs_are_remembered(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (_, index):
        store = JobStore(index.catalog.database)
        file_id = FileRecords(index.catalog.database).add("a.txt", "0" * 64, 1, OF_THIS_MACHINE)
        for _ in range(205):
            store.end(store.add("default", file_id).id, "cancelled")
        assert len(store.all()) == 200


def test_files_that_a_crash_left_behind_are_swept(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (ingestor, _):
        kept = ingestor.wait(ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE).id, 30)
        leave(ingestor, b"An upload that no job stands for.")
        assert len(stored(settings)) == 2
    with opened(settings, bag_of_words) as (_, index):
        (document,) = index.catalog.documents()
        assert document.id == kept.report.document_id
        assert stored(settings) == [document.content]


def test_a_file_that_waits_for_another_of_its_name_can_be_stopped(settings, bag_of_words, tmp_path):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, _):
        first = ingestor.submit(write(tmp_path / "a", "The first text."), "a.txt", "default", OF_THIS_MACHINE)
        assert gate.reached.wait(30)
        second = ingestor.submit(write(tmp_path / "b", "The second text."), "a.txt", "default", OF_THIS_MACHINE)
        while ingestor.wait(second.id, 0).state == "queued":
            time.sleep(0.01)
        ingestor.cancel(second.id)
        assert ingestor.wait(second.id, 10).state == "cancelled"
        gate.open.set()
        assert ingestor.wait(first.id, 30).state == "done"


def change_jobs(index, sqlite, postgres):
    """Let the database refuse every change of a job, or take it again."""
    with index.catalog.database.transaction() as connection:
        connection.execute(sqlite if isinstance(index.catalog.database, SqliteDatabase) else postgres)


def test_the_queue_outlives_a_database_that_refuses(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (ingestor, index):
        change_jobs(
            index,
            sqlite="CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END",
            postgres="ALTER TABLE jobs ADD CONSTRAINT disk_full CHECK (state = 'queued') NOT VALID",
        )
        job = ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE)
        assert ingestor.wait(job.id, 0.5).state == "queued"
        change_jobs(index, sqlite="DROP TRIGGER full", postgres="ALTER TABLE jobs DROP CONSTRAINT disk_full")
        assert ingestor.wait(job.id, 30).state == "done"


def test_how_a_job_ended_is_noted_as_soon_as_the_database_takes_it(settings, bag_of_words, tmp_path):
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, index):
        job = ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE)
        assert gate.reached.wait(30)
        change_jobs(
            index,
            sqlite="CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END",
            postgres="ALTER TABLE jobs ADD CONSTRAINT disk_full CHECK (state = 'queued') NOT VALID",
        )
        gate.open.set()
        assert ingestor.wait(job.id, 1).state == "running"
        change_jobs(index, sqlite="DROP TRIGGER full", postgres="ALTER TABLE jobs DROP CONSTRAINT disk_full")
        ended = ingestor.wait(job.id, 30)
        assert (ended.state, ended.report.outcome) == ("done", "added")
