"""What the `ingest` commands ask: the running server, or the storage folder opened here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import InvalidRequest, StorageUnwritable
from rag.operations.backend import Ingestion, find_server
from rag.operations.local_backend import LocalBackend
from rag.operations.services import Services
from rag.storage.connect import has_catalog
from rag.storage.unwritable import release_reserve
from rag.types.ingest import IngestOptions

if TYPE_CHECKING:
    from ingest.ingestor import Ingestor
    from rag.operations.server_client import ServerClient
    from rag.settings import EmbeddingSettings, Settings
    from rag.types.documents import Document
    from rag.types.ingest import FileReport, IngestProgress, Job


class LocalIngestBackend(LocalBackend, Ingestion):
    """The storage folder, each part of it opened when it is first needed. `ray_address` names a Ray cluster that reads
    and embeds."""

    def __init__(self, services: Services, ray_address: str | None = None) -> None:
        super().__init__(services)
        self._settings = services.settings
        self._opened = services
        self._ray_address = ray_address

    @property
    def _is_empty(self) -> bool:
        return not has_catalog(self._settings.storage)

    @cached_property
    def _ingestor(self) -> Ingestor:
        from ingest.ingestor import Ingestor

        index, cluster = self._opened.index, None
        if self._ray_address:
            from ingest.ray.cluster import RayCluster

            cluster = RayCluster(self._ray_address, self._settings, index.embedding)
            self._opened.resources.enter_context(cluster)
        # uploads are the servers' work, where several processes share all: this one ends with its own
        takes_jobs = not self._settings.storage.is_shared
        ingestor = Ingestor(self._settings, index, cluster, takes_jobs=takes_jobs)
        return self._opened.resources.enter_context(ingestor)

    def documents(self, collection: str | None = None) -> list[Document]:
        return [] if self._is_empty else super().documents(collection)

    def add_paths(
        self, paths: Sequence[Path], collection: str, options: IngestOptions = IngestOptions()
    ) -> Iterator[IngestProgress]:
        yield from self._ingestor.add_paths(paths, collection, options)
        self._ingestor.wait_for_repair()

    def delete(self, document_id: str) -> FileReport:
        try:
            ingestor = self._ingestor
        except StorageUnwritable:
            if not release_reserve(self._settings.storage.dir):  # which is kept for this
                raise
            ingestor = self._ingestor
        return ingestor.delete(document_id)

    def reindex(self, embedding: EmbeddingSettings) -> Iterator[IngestProgress]:
        from ingest.reindex import Reindexing
        from ingest.sandbox import Sandbox
        from rag.models.embedding import open_embedding

        index = self._opened.dormant_index
        sandbox = self._opened.resources.enter_context(Sandbox(self._settings.ingest))
        return iter(Reindexing(index, sandbox, self._settings.ingest, open_embedding(embedding)))

    def jobs(self) -> list[Job]:
        from ingest.jobs import JobStore

        return [] if self._is_empty else JobStore(self._opened.catalog.database).all()

    def cancel(self, job_id: str) -> Job:
        """The job as it stands once whichever process works on it is told to stop. Raises NotFound, and InvalidRequest
        where only a server could work on it."""
        from ingest.jobs import JobStore

        if not self._settings.storage.is_shared:
            raise InvalidRequest(
                "Only a running server can stop a job, and none runs.",
                hint="Start it with `make run`, then cancel the job.",
            )
        store = JobStore(self._opened.catalog.database)
        store.stop(job_id)
        return store.get(job_id)


@contextmanager
def open_ingest_backend(
    settings: Settings, ray_address: str | None = None
) -> Iterator[ServerClient | LocalIngestBackend]:
    """The running server, or the storage folder. Raises InvalidRequest where a server has the folder and a Ray cluster
    is to do the work."""
    server = find_server(settings)
    if server is None:
        with Services(settings) as services:
            yield LocalIngestBackend(services, ray_address)
    elif ray_address:
        raise InvalidRequest(
            "--ray needs the storage folder for itself, and a server has it.",
            hint="Stop the server until it is done, or leave --ray out.",
        )
    else:
        yield server
