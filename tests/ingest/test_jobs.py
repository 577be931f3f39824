"""Uploads as jobs: they outlive the process, can be stopped, and never lose a file."""

from __future__ import annotations

import io
import itertools
import os
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager

import pytest

from ingest.ingestor import Ingestor
from ingest.jobs import JobStore
from rag.auth.principals import OF_THIS_MACHINE
from rag.auth.users import Users
from rag.errors import BackendRejected, BackendUnavailable, NotFound
from rag.index.index import Index
from rag.settings import Settings, StorageSettings
from rag.storage.catalog import Catalog
from rag.storage.connect import open_database
from rag.storage.files import FileRecords
from rag.storage.sqlite import SqliteDatabase
from rag.types.documents import Owned
from rag.types.ingest import FileReport
from tests import databases
from tests.rag.index.test_index import assert_consistent

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
        ingestor.delete(document.id)
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
        ingestor.delete(ingestor.wait(job.id, 0).report.document_id)
        job = ingestor.wait(ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE).id, 30)
        ingestor.delete(job.report.document_id)
        _died_while_running(index, job.id, starts=2)
        leave(ingestor, write(tmp_path / "a").read_bytes())
    with opened(settings, bag_of_words) as (ingestor, index):
        assert ingestor.wait(job.id, 30).state == "done"
        ingestor.delete(ingestor.wait(job.id, 0).report.document_id)
        _died_while_running(index, job.id, starts=3)
        leave(ingestor, write(tmp_path / "a").read_bytes())
    with opened(settings, bag_of_words) as (ingestor, _):
        job = ingestor.wait(job.id, 0)
        assert job.state == "failed"
        assert "every time" in job.report.error
        assert stored(settings) == []


def _died_while_running(index, job_id, starts):
    with index.catalog.database.transaction() as connection:
        connection.execute(
            "UPDATE jobs SET state = 'running', starts = :starts WHERE id = :id", starts=starts, id=job_id
        )


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


def test_only_the_last_jobs_are_remembered(database):
    with closing(Catalog(database)):
        store = JobStore(database)
        file_id = FileRecords(database).add("a.txt", "0" * 64, 1, OF_THIS_MACHINE)
        end_jobs(store, file_id, 205)
        assert len(store.all()) == 200


def end_jobs(store, file_id, number):
    """Add, take and end so many jobs."""
    for _ in range(number):
        store.add("default", file_id)
    for job in itertools.chain.from_iterable(iter(store.take, [])):
        store.end(job.id, "cancelled")


def test_the_jobs_of_one_user_do_not_push_out_those_of_another(database):
    with closing(Catalog(database)):
        principal = Users(database).add("ada", "a password of Ada").id
        store, records = JobStore(database), FileRecords(database)
        theirs = records.add("a.txt", "0" * 64, 1, Owned(principal))
        ours = records.add("b.txt", "1" * 64, 1, OF_THIS_MACHINE)
        end_jobs(store, theirs, 3)
        end_jobs(store, ours, 205)
        assert Counter(job.file_id for job in store.all()) == {theirs: 3, ours: 200}


# ------------------------------------------------------------------------------------ silent processes, absent servers


@pytest.fixture
def stores(database):
    """Two processes' views of the jobs, and a job that the first one works on."""
    with closing(Catalog(database)):
        file_id = FileRecords(database).add("a.txt", "0" * 64, 1, OF_THIS_MACHINE)
        first, second = JobStore(database), JobStore(database)
        first.live()
        first.add("default", file_id)
        (job,) = first.take()
        yield first, second, job


def fall_silent(database):
    """All processes that there are give no more signs of life for a while."""
    with database.transaction() as connection:
        connection.execute("UPDATE runners SET seen_at = unixepoch() - 60")


def test_what_is_taken_from_a_silent_process_is_not_cancelled_when_it_comes_back(stores, database):
    first, second, job = stores
    fall_silent(database)
    second.live()
    assert second.requeue() == []
    assert job.id not in first.live()  # so it ends its work
    first.end(job.id, "cancelled")
    first.end(job.id, "failed", FileReport("a.txt", "failed"))
    first.release(job.id)
    assert second.get(job.id).state == "queued"
    assert first.take(but=[job.id]) == []  # it has not let go of it yet
    assert [taken.id for taken in second.take()] == [job.id]
    first.end(job.id, "done", FileReport("a.txt", "added"))
    assert second.live() == {job.id}
    second.end(job.id, "done", FileReport("a.txt", "unchanged"))
    assert first.get(job.id).report.outcome == "unchanged"


def test_what_a_silent_process_has_done_is_not_done_again(stores, database):
    first, second, job = stores
    fall_silent(database)
    second.requeue()
    first.end(job.id, "done", FileReport("a.txt", "added"))
    assert second.take() == []
    assert second.get(job.id).state == "done"


def test_a_stopped_job_is_over_when_its_process_has_ended(stores, database):
    first, second, job = stores
    second.stop(job.id)
    assert first.live() == set()
    fall_silent(database)
    assert [(over.id, over.state) for over in second.requeue()] == [(job.id, "cancelled")]
    assert first.get(job.id).updated_at >= job.updated_at


def test_after_an_absence_of_the_database_nobody_is_taken_for_dead(stores, database):
    first, second, job = stores
    if not first.is_shared:
        pytest.skip("A storage folder of our own has one process.")
    fall_silent(database)
    second.live()
    assert second.requeue(is_watching=False) == []
    assert first.live() == {job.id}


def test_a_sign_of_life_is_dated_when_it_is_given(stores, database):
    """Not when the wait for another writer began."""
    with database.transaction() as connection:
        began = connection.execute("SELECT unixepoch()").fetchone()[0]
        time.sleep(1.1)
        assert connection.execute("SELECT unixepoch()").fetchone()[0] > began


class Away:
    """An embedding model whose server is away until it is told to come."""

    def __init__(self, embedding) -> None:
        self._embedding = embedding
        self.asked = threading.Event()
        self.is_there = False

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        self.asked.set()
        if not self.is_there:
            raise BackendUnavailable("It is away.")
        return self._embedding.embed_passages(texts)


def test_an_upload_waits_for_a_server_that_is_away(settings, bag_of_words, tmp_path):
    away = Away(bag_of_words)
    with opened(settings, away) as (ingestor, _):
        job = ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE)
        assert away.asked.wait(30)
        assert ingestor.wait(job.id, 0.3).state == "running"
        away.is_there = True
        assert ingestor.wait(job.id, 30).state == "done"


def test_an_upload_outlives_an_absence_of_the_database(postgres_url, bag_of_words, tmp_path):
    storage = StorageSettings(dir=tmp_path / "storage", database_url=postgres_url)
    settings = Settings(_env_file=None, storage=storage)
    gate = Gate(bag_of_words)
    with opened(settings, gate) as (ingestor, index):
        job = ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE)
        assert gate.reached.wait(30)
        with databases.away(postgres_url):
            gate.open.set()
            time.sleep(3)
        assert ingestor.wait(job.id, 30).state == "done"
        assert [document.source for document in index.catalog.documents()] == ["a.txt"]


def test_files_that_a_crash_left_behind_are_swept(settings, bag_of_words, tmp_path):
    with opened(settings, bag_of_words) as (ingestor, _):
        kept = ingestor.wait(ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE).id, 30)
        leave(ingestor, b"An upload that no job stands for.")
        assert len(stored(settings)) == 2
        for path in stored(settings):  # a young one may be another process's upload
            os.utime(path, (0, 0))
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


@pytest.mark.slow
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


@pytest.mark.slow
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


class Refusing:
    """An embedding model whose server refuses, and says too much."""

    def __init__(self, embedding) -> None:
        self._embedding = embedding

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        raise BackendRejected("http://10.0.0.7 does not know the key sk-secret.", hint="Set RAG_EMBEDDING__API_KEY.")


def test_what_is_kept_of_a_failed_upload_tells_nothing_of_the_set_up(settings, bag_of_words, tmp_path, caplog):
    with opened(settings, Refusing(bag_of_words)) as (ingestor, _):
        job = ingestor.submit(write(tmp_path / "a"), "a.txt", "default", OF_THIS_MACHINE)
        job = ingestor.wait(job.id, 30)
    assert (job.state, job.report.error) == ("failed", BackendRejected.public)
    assert "RAG_EMBEDDING" not in job.report.hint
    assert "sk-secret" in caplog.text
