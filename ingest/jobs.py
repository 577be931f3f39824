"""Uploads as durable jobs: queued in the catalog's database, worked off in the background, taken up after a restart."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Self, get_args

from rag.errors import BackendUnavailable, Conflict, DatabaseUnavailable, NotFound, RagError, words_for_everybody
from rag.storage import schema
from rag.storage.database import Database, Row
from rag.storage.ids import new_id, now
from rag.storage.rows import insert
from rag.storage.unwritable import unwritable
from rag.types.documents import AttributeValue, Chunking, Collection, chunking_of
from rag.types.ingest import FileReport, IngestProgress, Job, JobState

logger = logging.getLogger(__name__)

_WORKERS = 2  # so that a small file need not wait for a large one
_TOGETHER = 64  # jobs that a worker takes at once, if their files are small: embedding one by one wastes the model
_SMALL = 64 * 1024  # bytes of such a file
_MOST_STARTS = 3  # a job that was running so many times when the process ended is not tried again
_PAUSE = 5  # seconds after a fault of the queue itself
_AWAY = 2.0  # seconds until a server that was away is asked again
_BEAT = 2.0  # seconds between two signs of life, where other processes work off jobs, too
_DEAD = 12  # seconds without one, after which others take its jobs over
_LOOK = 0.5  # seconds between two looks at what other processes did
_KEPT = 200  # jobs that are over are remembered, so many of each owner
_IS_OVER = "state NOT IN ('queued', 'running')"
_SELECT_JOBS = """
    SELECT j.id, j.collection, j.file_id, j.state, j.created_at, j.updated_at, j.attributes, j.chunking, j.report,
        f.name FROM jobs j JOIN files f ON f.id = j.file_id
"""
_INSERT_JOB = """
    INSERT INTO jobs (id, owner_id, collection, file_id, state, starts, report, created_at, updated_at, attributes,
        chunking)
    SELECT CAST(:job AS TEXT), owner_id, CAST(:collection AS TEXT), id, 'queued', 0, '', CAST(:time AS TEXT),
        CAST(:time AS TEXT), CAST(:attributes AS TEXT), CAST(:chunking AS TEXT)
    FROM files WHERE id = :file
"""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A job that a worker has taken; once `stop` is set, it is to end soon."""

    job: Job
    stop: threading.Event = field(default_factory=threading.Event)


# Progress of one of the tasks, always with the report it ends with; None stands for all of them together.
Work = Callable[[Sequence[Task]], Iterator[tuple[Task | None, IngestProgress]]]


class JobStore:
    """The table of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._runner = new_id("run")

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work off jobs, too."""
        return self._database.is_shared

    def add(self, collection: str, file_id: str) -> Job:
        """Queue a job; it is on disk when this returns."""
        job_id = new_id("job")
        values = {"job": job_id, "file": file_id, "collection": collection, "time": now()}
        self._write(_INSERT_JOB, **values, attributes="{}", chunking=None)
        return self.get(job_id)

    def _write(self, statement: str, **values: object) -> None:
        with self._database.transaction() as connection:
            connection.execute(statement, **values)

    def attach(
        self,
        collection: Collection,
        files: Mapping[str, Mapping[str, AttributeValue]],
        batch_id: str | None,
        chunking: Mapping[str, Chunking],
    ) -> None:
        """Queue files for a collection, and note them as its members, at once. Raises NotFound when it is gone."""
        time = now()
        jobs = [
            {
                "job": new_id("job"),
                "file": file_id,
                "collection": collection.name,
                "store": collection.id,
                "batch": batch_id,
                "time": time,
                "attributes": json.dumps(dict(attributes), ensure_ascii=False),
                "chunking": str(chunking[file_id]) if file_id in chunking else None,
            }
            for file_id, attributes in files.items()
        ]
        with self._database.transaction() as connection:
            if not connection.execute("SELECT 1 FROM collections WHERE id = :id", id=collection.id).fetchone():
                raise NotFound(f"There is no collection {collection.name!r} any more.")
            connection.executemany(_INSERT_JOB, jobs)
            connection.executemany(
                "INSERT INTO attachments (collection_id, file_id, job_id, created_at) "
                "VALUES (:store, :file, :job, :time) "
                "ON CONFLICT (collection_id, file_id) DO UPDATE SET job_id = excluded.job_id",
                jobs,
            )
            if batch_id is not None:
                connection.execute(insert(schema.batches), id=batch_id, collection_id=collection.id, created_at=time)
                connection.executemany(
                    "INSERT INTO batch_jobs (batch_id, job_id, file_id) VALUES (:batch, :job, :file)", jobs
                )

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFound."""
        rows = self._database.read(f"{_SELECT_JOBS} WHERE j.id = :id", id=job_id)
        if not rows:
            raise NotFound(f"There is no job {job_id!r}.", hint="`ingest jobs` lists the jobs.")
        return _job(rows[0])

    def all(self) -> list[Job]:
        """The jobs, newest first: all that are not over, and the last ones of those that are."""
        rows = self._database.read(
            f"{_SELECT_JOBS} WHERE j.state IN ('queued', 'running') "
            "OR j.rowid IN (SELECT r.job FROM (SELECT rowid AS job, row_number() OVER (PARTITION BY owner_id "
            f"ORDER BY updated_at DESC, rowid DESC) AS place FROM jobs WHERE {_IS_OVER}) r WHERE r.place <= :kept) "
            "ORDER BY j.created_at DESC, j.rowid DESC",
            kept=_KEPT,
        )
        return [_job(row) for row in rows]

    def by_state(self) -> dict[str, int]:
        """How many jobs are remembered, by state; every state is there."""
        counts = self._database.read("SELECT state, count(*) FROM jobs GROUP BY state")
        return {**dict.fromkeys(get_args(JobState), 0), **dict(counts)}

    def take(self, but: Iterable[str] = ()) -> list[Job]:
        """The oldest queued job, and where its file is small and it was never started before, more of that kind and
        collection; they are running now. A job at its last try runs with nothing beside it: what ends the program then
        is itself. Those with the ids `but` are left to others."""
        if not self._database.read("SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1"):
            return []  # who only looks keeps nobody from writing
        is_free = "j.state = 'queued' AND j.id NOT IN (SELECT value FROM json_each(:others))"
        others = json.dumps(list(but))
        with self._database.transaction() as connection:
            first = connection.execute(
                "SELECT j.id, j.collection, j.starts, f.size FROM jobs j JOIN files f ON f.id = j.file_id "
                f"WHERE {is_free} ORDER BY j.rowid LIMIT 1",
                others=others,
            ).fetchone()
            running = connection.execute("SELECT max(starts) FROM jobs WHERE state = 'running'").scalar() or 0
            if first is None or running == _MOST_STARTS or (running and first.starts == _MOST_STARTS - 1):
                return []
            taken = [first.id]
            if first.starts == 0 and first.size <= _SMALL:
                rows = connection.execute(
                    f"SELECT j.id FROM jobs j JOIN files f ON f.id = j.file_id WHERE {is_free} "
                    "AND j.starts = 0 AND j.collection = :collection AND f.size <= :small "
                    "ORDER BY j.rowid LIMIT :together",
                    others=others,
                    collection=first.collection,
                    small=_SMALL,
                    together=_TOGETHER,
                )
                taken = [row.id for row in rows]
            connection.execute(
                "UPDATE jobs SET state = 'running', starts = starts + 1, updated_at = :now, runner = :runner "
                "WHERE id IN (SELECT value FROM json_each(:taken))",
                now=now(),
                runner=self._runner,
                taken=json.dumps(taken),
            )
            rows = connection.execute(
                f"{_SELECT_JOBS} WHERE j.id IN (SELECT value FROM json_each(:taken)) ORDER BY j.rowid",
                taken=json.dumps(taken),
            )
            return [_job(row) for row in rows]

    def end(self, job_id: str, state: JobState, report: FileReport | None = None) -> None:
        """Note how a job of this process ended, and delete the oldest of those that are over.

        Of a job that others took away from us, as they heard no sign of life, only one thing is noted: that it is done,
        as long as nobody does it again."""
        text = json.dumps(asdict(report)) if report else ""
        theirs = "owner_id = (SELECT owner_id FROM jobs WHERE id = :id)"
        nobody = "" if state == "done" else self._runner
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = :state, report = :report, updated_at = :now "
                "WHERE id = :id AND state IN ('queued', 'running') AND runner IN (:runner, :nobody)",
                state=state,
                report=text,
                now=now(),
                id=job_id,
                runner=self._runner,
                nobody=nobody,
            )
            connection.execute(
                f"DELETE FROM jobs WHERE {_IS_OVER} AND {theirs} AND NOT EXISTS "
                "(SELECT 1 FROM attachments WHERE job_id = jobs.id) AND NOT EXISTS "
                "(SELECT 1 FROM batch_jobs WHERE job_id = jobs.id) AND rowid NOT IN (SELECT rowid FROM jobs "
                f"WHERE {_IS_OVER} AND {theirs} ORDER BY updated_at DESC, rowid DESC LIMIT :kept)",
                id=job_id,
                kept=_KEPT,
            )

    def release(self, job_id: str) -> None:
        """Queue a running job again, as if it had never been started, unless it is to stop."""
        self._write(
            "UPDATE jobs SET state = CASE stop WHEN 1 THEN 'cancelled' ELSE 'queued' END, starts = starts - 1, "
            "updated_at = :now, runner = '' WHERE id = :id AND state = 'running' AND runner = :runner",
            now=now(),
            id=job_id,
            runner=self._runner,
        )

    def stop(self, job_id: str) -> None:
        """Cancel a job that waits; whoever works on one that runs is told by `live`."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', updated_at = :now WHERE id = :id AND state = 'queued'",
                now=now(),
                id=job_id,
            )
            connection.execute("UPDATE jobs SET stop = 1 WHERE id = :id AND state = 'running'", id=job_id)

    def live(self) -> set[str]:
        """Give a sign of life; the ids of the jobs that this process is to go on with."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO runners (id, seen_at) VALUES (:id, unixepoch()) "
                "ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
                id=self._runner,
            )
            rows = connection.execute(
                "SELECT id FROM jobs WHERE runner = :runner AND state = 'running' AND stop = 0", runner=self._runner
            )
            return {row.id for row in rows}

    def leave(self) -> None:
        """Give no more signs of life."""
        self._write("DELETE FROM runners WHERE id = :id", id=self._runner)

    def requeue(self, *, is_watching: bool = True) -> list[Job]:
        """What was running in processes that have ended is queued again, unless it is to stop or was tried too often;
        those that are over by that. Who is not `is_watching` for a while cannot tell who has fallen silent, and takes
        only those for ended that said so."""
        report = FileReport(
            "",
            "failed",
            error="The program ended every time it read this file.",
            hint="Look into the log, then upload the file again.",
        )
        abandoned = "state = 'running' AND runner NOT IN (SELECT id FROM runners)"
        with self._database.transaction() as connection:
            if not self.is_shared:  # of a storage folder of our own, all others have ended
                connection.execute("DELETE FROM runners")
            elif is_watching:
                connection.execute("DELETE FROM runners WHERE seen_at < unixepoch() - :dead", dead=_DEAD)
            stopped = connection.execute(
                f"UPDATE jobs SET state = 'cancelled', updated_at = :now WHERE {abandoned} AND stop = 1 RETURNING id",
                now=now(),
            ).all()
            failed = connection.execute(
                "UPDATE jobs SET state = 'failed', report = :report, updated_at = :now "
                f"WHERE {abandoned} AND starts >= :most RETURNING id",
                report=json.dumps(asdict(report)),
                now=now(),
                most=_MOST_STARTS,
            ).all()
            connection.execute(f"UPDATE jobs SET state = 'queued', runner = '' WHERE {abandoned}")
        return [self.get(row.id) for row in (*stopped, *failed)]


class JobQueue:
    """Works off the jobs in threads. Use it as a context manager. `tidy_up` is called when a job is over."""

    def __init__(self, store: JobStore, work: Work, tidy_up: Callable[[Job], None]) -> None:
        self._store = store
        self._work = work
        self._tidy_up = tidy_up
        self._changed = threading.Condition()
        self._stops: dict[str, threading.Event] = {}  # of the jobs that run
        self._chunks: dict[str, int] = {}
        self._closing = False
        self._threads = [threading.Thread(target=self._work_off, name=f"job-{n}", daemon=True) for n in range(_WORKERS)]

    def __enter__(self) -> Self:
        if self._store.is_shared:
            self._store.live()
            self._threads.append(threading.Thread(target=self._live, name="jobs-alive", daemon=True))
        for job in self._store.requeue(is_watching=False):
            self._tidy_up(job)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what is running; it stays queued for the next start."""
        with self._changed:
            self._closing = True
            for stop in self._stops.values():
                stop.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self._store.is_shared:
            with suppress(DatabaseUnavailable):
                self._store.leave()

    def submit(self, collection: str, file_id: str) -> Job:
        """Queue a job."""
        job = self._store.add(collection, file_id)
        with self._changed:
            self._changed.notify_all()
        return job

    def attach(
        self,
        collection: Collection,
        files: Mapping[str, Mapping[str, AttributeValue]],
        batch_id: str | None,
        chunking: Mapping[str, Chunking],
    ) -> None:
        """Queue files for a collection, and note them as its members. Raises NotFound when it is gone."""
        self._store.attach(collection, files, batch_id, chunking)
        with self._changed:
            self._changed.notify_all()

    def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it is over, or as it stands after so many seconds."""
        end = time.monotonic() + seconds
        with self._changed:
            while not self._store.get(job_id).is_over and (left := end - time.monotonic()) > 0:
                self._changed.wait(min(left, _LOOK) if self._store.is_shared else left)
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """One job as it stands. Raises NotFound."""
        return replace(self._store.get(job_id), chunks=self._chunks.get(job_id, 0))

    def all(self) -> list[Job]:
        """All jobs as they stand, newest first."""
        return [replace(job, chunks=self._chunks.get(job.id, 0)) for job in self._store.all()]

    def by_state(self) -> dict[str, int]:
        """How many jobs are remembered, by state."""
        return self._store.by_state()

    def cancel(self, job_id: str) -> Job:
        """Stop a job, whether it waits or runs; one that runs is over a moment later."""
        with self._changed:
            if job_id in self._stops:
                self._stops[job_id].set()
            self._store.stop(job_id)  # in any case: whoever has it after us is to hear of it
            self._changed.notify_all()
        job = self.get(job_id)
        if job.state == "cancelled":
            self._tidy_up(job)
        return job

    def _work_off(self) -> None:
        while not self._closing:
            try:
                tasks = self._next()
                for task in self._together(tasks) if len(tasks) > 1 else tasks:
                    self._end(task, self._alone(task))
            except Exception:  # such as a full disk: the next job is to be done all the same
                logger.exception("the queue of jobs failed; it goes on in %d seconds", _PAUSE)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, _PAUSE)

    def _next(self) -> list[Task]:
        """The next jobs, as soon as there are any; none when the queue is closed."""
        with self._changed:
            while not self._closing:
                # what another process took away from us, and we have not let go of yet, is not for us
                tasks = [Task(job) for job in self._store.take(self._stops)]
                if tasks:
                    self._stops |= {task.job.id: task.stop for task in tasks}
                    return tasks
                self._changed.wait(_LOOK if self._store.is_shared else None)
        return []

    def _live(self) -> None:
        """Tell other processes that this one lives, hear which jobs it is to stop, and take up those of dead ones."""
        last = since = time.monotonic()  # … without a gap
        while not self._closing:
            try:
                with self._changed:
                    wanted = self._store.live()
                    for job_id, stop in self._stops.items():
                        if job_id not in wanted:
                            stop.set()
                before, last = last, time.monotonic()
                if last - before > _DEAD / 2:  # such as the database being away: the others had no chance either
                    since = last
                for job in self._store.requeue(is_watching=last - since > _DEAD):
                    self._tidy_up(job)
            except Exception:  # such as a database that is away: others take the jobs over if it is so for us alone
                logger.exception("no sign of life could be given; trying again in %d seconds", _BEAT)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _BEAT)

    def _together(self, tasks: Sequence[Task]) -> list[Task]:
        """Work on tasks at once; those that have not ended, as something came in between, are left to be done alone."""
        remaining = list(tasks)
        try:
            for task, progress in self._work(tasks):
                if self._closing:
                    break
                if task is not None and progress.report is not None:
                    is_over = progress.report.outcome != "failed" or not task.stop.is_set()
                    remaining.remove(task)
                    self._end(task, progress.report if is_over else None)
        except Conflict:
            logger.info("something changed under %d files; they are taken in one by one", len(remaining))
        except Exception:  # whose fault it is shows when they are done one by one
            logger.exception("%d files could not be taken in together; they are taken in one by one", len(remaining))
        return remaining

    def _end(self, task: Task, report: FileReport | None) -> None:
        job = task.job
        with self._changed:
            while not self._note(job, report) and not self._closing:
                self._changed.wait_for(lambda: self._closing, _PAUSE)
            del self._stops[job.id]
            self._chunks.pop(job.id, None)
            self._changed.notify_all()
        try:
            self._tidy_up(job)
        except Exception:  # what is left is swept at the next start
            logger.exception("what job %s needs no more could not be removed", job.id)

    def _note(self, job: Job, report: FileReport | None) -> bool:
        """Note how a job ended; False when that fails, and is to be tried again: what is done must not be lost."""
        try:
            if report is not None:
                self._store.end(job.id, "failed" if report.outcome == "failed" else "done", report)
            elif self._closing:
                self._store.release(job.id)
            else:
                self._store.end(job.id, "cancelled")
        except Exception:
            logger.exception("what became of job %s could not be noted; trying again in %d seconds", job.id, _PAUSE)
            return False
        return True

    def _alone(self, task: Task) -> FileReport | None:
        """The report on a job's file, or None when it was stopped before its document was stored."""
        tries = 0
        while not task.stop.is_set():
            try:
                return self._follow(task)
            except (DatabaseUnavailable, BackendUnavailable) as error:  # which is no fault of the file
                logger.warning("job %s waits: %s", task.job.id, error.message)
                with self._changed:
                    self._changed.wait_for(task.stop.is_set, _AWAY)
            except Exception as error:
                tries += 1
                if isinstance(error, Conflict) and (task.stop.is_set() or tries < _MOST_STARTS):
                    continue  # something changed under it: once more, as things are now
                if known := error if isinstance(error, RagError) else unwritable(error):
                    message, hint = words_for_everybody(known)  # whoever may see the upload reads them
                    return FileReport(task.job.name, "failed", error=message, hint=hint, code=known.code)
                reference = uuid.uuid4().hex[:8]
                logger.exception("a job failed (reference %s)", reference)
                hint = f"The server's log tells more under the reference {reference}."
                return FileReport(task.job.name, "failed", error="Something went wrong while reading it.", hint=hint)
        return None

    def _follow(self, task: Task) -> FileReport | None:
        report = None
        for _, progress in self._work([task]):
            if task.stop.is_set() and (progress.report is None or progress.report.outcome == "failed"):
                return None
            self._chunks[task.job.id] = progress.chunks
            report = progress.report or report
        return report


def _job(row: Row) -> Job:
    report = replace(FileReport(**json.loads(row.report)), source=row.name) if row.report else None
    parsed = {"attributes": json.loads(row.attributes), "chunking": chunking_of(row.chunking), "report": report}
    return Job(**row._asdict() | parsed)
