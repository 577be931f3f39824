"""The write side over an open index: folders, uploads as jobs, deletion."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from ingest.change_detection import IncomingFile
from ingest.discovery import discover, is_gone, source_name
from ingest.expiry import Expiry
from ingest.jobs import JobQueue, JobStore, Task
from ingest.loaders import supported_suffixes
from ingest.loaders.base import printable
from ingest.pipeline import Claims, PipelineRun
from ingest.reindex import Reindexing
from ingest.sandbox import Sandbox
from rag.errors import Conflict, NotFound
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.operations.backend import IngestService
from rag.settings import EmbeddingSettings, Settings
from rag.storage.attributes import set_attributes
from rag.storage.blobs import StoredFiles
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.files import FileRecord, FileRecords
from rag.storage.lock import ProcessLock
from rag.storage.vector_stores import VectorStores
from rag.types.documents import AttributeValue, Chunking, Document, Owned
from rag.types.ingest import FileReport, IngestCounts, IngestOptions, IngestProgress, Job

if TYPE_CHECKING:
    from ingest.ray.cluster import RayCluster

logger = logging.getLogger(__name__)

_DELETED_AT_ONCE = 64  # documents
_BEING_UPLOADED = 3_600  # seconds for which a file that nothing needs may be another process's upload
_LOOK = 0.1  # seconds between two looks at whether to stop


class IngestCounter:
    """Counts what was taken in since the program was started, for the figures of rag/telemetry/metrics.py; safe to use
    from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = IngestCounts()

    def note(self, report: FileReport) -> None:
        """A file is done."""
        codes = [report.code or "known_failure"] if report.outcome == "failed" else []
        is_new = report.outcome in ("added", "updated")
        with self._lock:
            self._counts = IngestCounts(
                files=Counter(self._counts.files) + Counter([report.outcome]),
                failures=Counter(self._counts.failures) + Counter(codes),
                pages=self._counts.pages + report.pages * is_new,
                chunks=self._counts.chunks + report.chunks * is_new,
            )

    def counts(self) -> IngestCounts:
        """What was counted so far."""
        return self._counts


class Ingestor(IngestService):
    """Takes documents in and deletes them. Use it as a context manager: uploads are worked off in the background, but
    where `takes_jobs` is off, which leaves that to other processes."""

    def __init__(
        self, settings: Settings, index: Index, cluster: RayCluster | None = None, *, takes_jobs: bool = True
    ) -> None:
        """`cluster`: where files of folders are read and embedded, instead of here."""
        self._cluster = cluster
        self._takes_jobs = takes_jobs
        self.suffixes = supported_suffixes(settings.ingest.readers)
        self._settings = settings
        self._index = index
        self._sandbox = Sandbox(settings.ingest, workers=3)  # uploads need not wait for a folder's long file
        self._claims = Claims()
        self._counter = IngestCounter()
        self._files = StoredFiles(settings.storage.dir)
        self._records = FileRecords(index.catalog.database)
        self._expiring = ProcessLock(index.catalog.database, "expiry")
        # between a file's being stored or needed and its being noted
        self._file_use = ProcessLock(index.catalog.database, "files")
        self._queue = JobQueue(JobStore(index.catalog.database), self._work, self._tidy_up)
        self._resources = ExitStack()
        self._ending = threading.Event()
        self._names: set[tuple[str, str]] = set()  # of uploads that are being taken in, with their collection
        self._names_free = threading.Condition()

    def __enter__(self) -> Self:
        self._find_files_again()
        younger = _BEING_UPLOADED if self._index.catalog.database.is_shared else 0
        self._files.sweep({self._files.path_of(sha256) for sha256 in self._records.needed()}, younger)
        self._resources.callback(self._sandbox.close)
        if self._takes_jobs:
            self._resources.enter_context(self._queue)
            self._resources.enter_context(Expiry(self.sweep_expired))
        return self

    def __exit__(self, *_: object) -> None:
        self._index.catalog.database.stop_waiting()
        self._resources.close()

    def end(self) -> None:
        self._ending.set()

    def counts(self) -> IngestCounts:
        return self._counter.counts()

    # ------------------------------------------------------------------------------------------------------- folders

    def add_paths(
        self, paths: Sequence[Path], collection: str = DEFAULT_COLLECTION, options: IngestOptions = IngestOptions()
    ) -> Iterator[IngestProgress]:
        files = [IncomingFile(path, source_name(path), stop=self._ending) for path in discover(paths, self.suffixes)]
        collection = self._collection(collection, make=not options.dry_run)
        renamed = set()
        for progress in self._run(collection, self._cluster).over(files, options):
            if self._ending.is_set():
                raise Conflict(
                    "The ingest was stopped, because the server is ending.",
                    hint="Start it again and repeat the command: what is done is not done twice.",
                )
            if progress.report:
                self._counter.note(progress.report)
                if progress.report.outcome == "renamed":
                    renamed.add(progress.report.document_id)
            yield progress
        if options.prune:
            seen = {file.name for file in files}  # what goes during the run may be on its way elsewhere
            for report in self._prune(paths, collection, options, renamed, seen):
                self._counter.note(report)
                yield replace(progress, report=report)

    def wait_for_repair(self) -> None:
        for _ in self._index.follow_repair():
            if self._ending.is_set():
                break

    def _collection(self, name: str, *, make: bool = True) -> str:
        """The name of the collection with that name or id, which is made if need be, unless `make` is off."""
        try:
            return self._index.catalog.collection(name).name
        except NotFound:
            return self._index.catalog.create_collection(name).name if make else name

    def _prune(
        self,
        paths: Sequence[Path],
        collection: str,
        options: IngestOptions,
        renamed: Collection[str],
        seen: Collection[str],
    ) -> Iterator[FileReport]:
        """Delete the documents of the given folders whose files were gone when the run began, and nothing else."""
        folders = [Path(os.path.abspath(path)) for path in paths if path.is_dir()]  # noqa: PTH100
        for folder in folders:
            if not any(folder.iterdir()):
                logger.warning("%s is empty, perhaps a disk that is not mounted: nothing is pruned.", folder)
        prefixes = [source_name(folder).rstrip(os.sep) + os.sep for folder in folders if any(folder.iterdir())]
        gone = [
            document
            for document in self._index.catalog.documents()
            if (document.collection, document.file_id) == (collection, None)
            and document.id not in renamed
            and document.source not in seen
            and any(document.source.startswith(prefix) for prefix in prefixes)
            and is_gone(document.content)
        ]
        for start in range(0, len(gone), _DELETED_AT_ONCE):
            batch = gone[start : start + _DELETED_AT_ONCE]
            freed = 0
            if not options.dry_run:
                batch, freed = self._delete_gone(batch)
            for document in batch:
                yield replace(_deleted(document), freed=freed if document is batch[-1] else 0)

    def _delete_gone(self, documents: Sequence[Document]) -> tuple[list[Document], int]:
        """Delete those of the documents whose files are gone still, and that nobody works on; the bytes freed."""
        claimed = [d for d in documents if self._claims.take(documents, d.collection, d.source)]
        try:
            present = {document.id: document for document in self._index.catalog.documents()}
            gone = [
                document for document in claimed if present.get(document.id) == document and is_gone(document.content)
            ]
            return gone, self._delete(gone) if gone else 0
        finally:
            self._claims.give_back(documents)

    # ------------------------------------------------------------------------------------------------------- uploads

    def submit(self, path: Path, name: str, collection: str, owned: Owned) -> Job:
        collection = self._collection(collection)
        with path.open("rb") as file, self._files.received(file) as received, self._file_use:
            self._files.keep(received)
            file_id = self._records.add(_plain(name), received.sha256, received.size, owned)
            return self._queue.submit(collection, file_id)

    def keep(self, file: BinaryIO, name: str, purpose: str, owned: Owned, expires_at: str | None = None) -> str:
        with self._files.received(file) as received, self._file_use:
            self._files.keep(received)
            return self._records.add(_plain(name), received.sha256, received.size, owned, purpose, expires_at)

    def attach(
        self,
        files: Mapping[str, Mapping[str, AttributeValue]],
        collection: str,
        batch_id: str | None = None,
        chunking: Mapping[str, Chunking] | None = None,
    ) -> None:
        for file_id in files:
            self._records.get(file_id)
        self._queue.attach(self._index.catalog.collection(collection), files, batch_id, chunking or {})

    def detach(self, file_id: str, collection: str) -> None:
        target = self._index.catalog.collection(collection)
        self._end_jobs(lambda job: (job.file_id, job.collection) == (file_id, target.name))
        documents = [d for d in self._index.catalog.documents_of_file(file_id) if d.collection == target.name]
        if documents:
            self._delete(documents)
        VectorStores(self._index.catalog.database).detach(target.id, file_id)

    def delete_file(self, file_id: str) -> None:
        self._delete_file(self._records.get(file_id))

    def _delete_file(self, record: FileRecord) -> None:
        self._end_jobs(lambda job: job.file_id == record.id)
        if documents := self._index.catalog.documents_of_file(record.id):
            self._index.delete_documents([document.id for document in documents])
        self._records.delete(record.id)
        self._delete_unused([record.sha256])

    def sweep_expired(self) -> None:
        """Delete the files whose time is over, and the documents of expired stores; blocking. The files of a store
        stay, and stay noted in it, so that they can be attached to another."""
        stores = VectorStores(self._index.catalog.database)
        with self._expiring:  # one at a time: two would stumble over each other
            for expired in self._records.expired():
                self._delete_file(expired)
            for store_id in stores.expired():
                collection = self._index.catalog.collection(store_id)
                self._end_jobs(lambda job, name=collection.name: job.collection == name)  # type: ignore[misc]
                if documents := self._index.catalog.documents(store_id):
                    self._delete(documents)

    def _end_jobs(self, chosen: Callable[[Job], bool]) -> None:
        """Stop the jobs that are chosen, and wait until nothing works on them."""
        jobs = [job for job in self._queue.all() if not job.is_over and chosen(job)]
        for job in jobs:
            self._queue.cancel(job.id)
        for job in jobs:
            while not self._queue.wait(job.id, _LOOK).is_over:
                pass

    def wait(self, job_id: str, seconds: float) -> Job:
        return self._queue.wait(job_id, seconds)

    def cancel(self, job_id: str) -> Job:
        return self._queue.cancel(job_id)

    def jobs(self) -> list[Job]:
        return self._queue.all()

    def jobs_by_state(self) -> dict[str, int]:
        return self._queue.by_state()

    def _work(self, tasks: Sequence[Task]) -> Iterator[tuple[Task | None, IngestProgress]]:
        """Take in the files of jobs of one collection."""
        remaining = list(tasks)
        while remaining:
            with self._named(remaining) as named:
                yield from self._take_in(named, remaining[0].job.collection)
            remaining = [task for task in remaining if task not in named.values()]

    def _take_in(self, named: Mapping[str, Task], collection: str) -> Iterator[tuple[Task | None, IngestProgress]]:
        """Take in the files of jobs, each under its name."""
        uploads = []
        for name, named_task in named.items():
            job = named_task.job
            record = self._records.find(job.file_id)
            if record is None:
                error = f"{job.name} was deleted before it was read."
                failure = FileReport(name, "failed", error=error, code=NotFound.code)
                yield named_task, IngestProgress(1, 1, report=failure)
            else:
                upload = IncomingFile(
                    path=self._files.path_of(record.sha256),
                    name=name,
                    file_id=record.id,
                    attributes=job.attributes,
                    chunking=job.chunking,
                    stop=named_task.stop,
                )
                uploads.append(upload)
        only_task = next(iter(named.values())) if len(named) == 1 else None
        for progress in self._run(collection).over(uploads):
            report = progress.report
            task = named[report.source] if report else only_task
            if report and not (task and task.stop.is_set() and report.outcome == "failed"):
                self._counter.note(report)
            if report and report.outcome == "failed" and self._was_never_read(report.document_id):
                self._index.delete_documents([report.document_id])  # told at once; nothing of it is to be kept
            elif task and report and report.outcome == "unchanged" and task.job.attributes:
                set_attributes(self._index.catalog, report.document_id, task.job.attributes)
            yield task, progress

    def _was_never_read(self, document_id: str) -> bool:
        return bool(document_id) and self._index.catalog.document(document_id).version == 0

    def _tidy_up(self, job: Job) -> None:
        if record := self._records.find(job.file_id):
            self._delete_unused([record.sha256])

    @contextmanager
    def _named(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, Task]]:
        """Those of the tasks whose files can have a name at present, by it; waits until there are any.

        Files of one name come in one after the other: the later ones must see what became of the first."""
        named: dict[str, Task] = {}
        try:
            with self._names_free:
                while not named:
                    for task in tasks:
                        if name := self._free_name(task.job):
                            self._names.add((task.job.collection, name))
                            named[name] = task
                    if not named and all(task.stop.is_set() for task in tasks):
                        raise Conflict(f"{tasks[0].job.name} was stopped while it waited for its name.", hint="")
                    if not named:
                        self._names_free.wait(_LOOK)
            yield named
        finally:
            with self._names_free:
                self._names -= {(task.job.collection, name) for name, task in named.items()}
                self._names_free.notify_all()

    def _free_name(self, job: Job) -> str | None:
        """The file's name, or `name (2)` where another file of that name was uploaded before: neither may replace the
        other. None while it is open what becomes of one that has the name."""
        catalog = self._index.catalog
        stem, suffix = os.path.splitext(job.name)  # noqa: PTH122  (a name, not a path)
        candidate = job.name
        for number in itertools.count(2):
            if (job.collection, candidate) in self._names:
                return None
            known = catalog.document_of_source(job.collection, candidate)
            if known is None or known.file_id == job.file_id:
                break
            candidate = f"{stem} ({number}){suffix}"
        return candidate

    # ------------------------------------------------------------------------------------------- another embedding

    def reindex(self, embedding: EmbeddingSettings) -> Iterator[IngestProgress]:
        yield from Reindexing(self._index, self._sandbox, self._settings.ingest, open_embedding(embedding))

    # ------------------------------------------------------------------------------------------------------ deletion

    def delete(self, document_id: str) -> FileReport:
        document = self._index.catalog.document(document_id)
        return replace(_deleted(document), freed=self._delete([document]))

    def delete_collection(self, collection: str) -> None:
        catalog = self._index.catalog
        target = catalog.collection(collection)
        if target.name == DEFAULT_COLLECTION:
            raise Conflict("The default collection stays.", hint="`ingest rm` removes its documents.")
        is_empty = False
        while not is_empty:  # something may have been attached meanwhile
            self._end_jobs(lambda job: job.collection == target.name)
            if documents := catalog.documents(target.id):
                self._delete(documents)
            is_empty = catalog.delete_collection(target.id)

    def _delete(self, documents: Sequence[Document]) -> int:
        """Delete documents; the bytes freed on the disk."""
        freed = self._index.delete_documents([document.id for document in documents])
        return freed + self._delete_unused([document.sha256 for document in documents if document.file_id])

    def _delete_unused(self, hashes: Sequence[str]) -> int:
        """Delete stored uploads that nothing needs any more; the bytes freed."""
        with self._file_use:
            unused = [sha256 for sha256 in set(hashes) if not self._records.is_needed(sha256)]
            return sum(self._files.delete(self._files.path_of(sha256)) for sha256 in unused)

    def _find_files_again(self) -> None:
        """The storage folder may have been moved, or is called by another name: uploads are where their hash says."""
        for document in self._index.catalog.documents():
            content = self._files.path_of(document.sha256)
            if document.file_id and document.content != content:
                self._index.catalog.put_record(replace(document, content=content))

    def _run(self, collection: str, cluster: RayCluster | None = None) -> PipelineRun:
        return PipelineRun(self._settings.ingest, self._index, self._sandbox, self._claims, collection, cluster)


def _plain(name: str) -> str:
    return printable(os.path.basename(name)) or "unnamed"  # noqa: PTH119  (a name, not a path)


def _deleted(document: Document) -> FileReport:
    return FileReport(document.source, "removed", document.id, document.pages, document.chunks)
