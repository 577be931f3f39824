"""What UI and API may ask of the write side. `app.py` hands it over, so that `rag` never imports `ingest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from rag.settings import EmbeddingSettings
from rag.types.documents import AttributeValue, Chunking, Owned
from rag.types.ingest import FileReport, IngestCounts, IngestOptions, IngestProgress, Job


class Backend(Protocol):
    """What the read side may ask of the write side; `app.py` hands it over, so `rag` never imports `ingest`."""

    suffixes: frozenset[str]

    def add_paths(
        self, paths: Sequence[Path], collection: str, options: IngestOptions = IngestOptions()
    ) -> Iterator[IngestProgress]:
        """Backend files and folders; blocking, one report a file."""
        ...

    def submit(self, path: Path, name: str, collection: str, owned: Owned) -> Job:
        """Copy an uploaded file into the storage folder and queue it; returns once it can no longer be lost."""
        ...

    def keep(self, file: BinaryIO, name: str, purpose: str, owned: Owned, expires_at: str | None = None) -> str:
        """Write an uploaded file into the storage folder, where it stays until it is forgotten or the time (ISO 8601)
        is over; its id."""
        ...

    def attach(
        self,
        files: Mapping[str, Mapping[str, AttributeValue]],
        collection: str,
        batch_id: str | None = None,
        chunking: Mapping[str, Chunking] | None = None,
    ) -> None:
        """Queue files that were kept (id → attributes of the document) for a collection, all of them or none. Those
        that `chunking` names are cut so. Raises NotFound."""
        ...

    def detach(self, file_id: str, collection: str) -> None:
        """Take a file out of a collection, also while it is on its way in; blocking. It stays itself."""
        ...

    def forget(self, file_id: str) -> None:
        """Delete an uploaded file with all documents made of it; blocking. Raises NotFound."""
        ...

    def remove_collection(self, collection: str) -> None:
        """Remove a collection with its documents; uploaded files that were kept stay. Blocking. Raises NotFound, and
        Conflict for the default one."""
        ...

    def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it is over, or as it stands after so many seconds; blocking. Raises NotFound."""
        ...

    def cancel(self, job_id: str) -> Job:
        """Stop a job within seconds; what is over stays as it is. Raises NotFound."""
        ...

    def jobs(self) -> list[Job]:
        """The jobs, newest first; of those that are over only the last ones."""
        ...

    def remove(self, document_id: str) -> FileReport:
        """Remove a document everywhere; blocking. Raises NotFound."""
        ...

    def reindex(self, settings: EmbeddingSettings) -> Iterator[IngestProgress]:
        """Embed all documents anew with another model, and switch to it in the end; blocking."""
        ...

    def counts(self) -> IngestCounts:
        """What was taken in since the program was started."""
        ...

    def jobs_by_state(self) -> Mapping[str, int]:
        """How many jobs there are, by state; of those that are over only the last ones count."""
        ...

    def end(self) -> None:
        """Let whatever is going on end soon: the program is about to."""
        ...
