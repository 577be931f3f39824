"""What UI and API may ask of the write side, and what they are told of it: reports, progress, jobs, and the protocol.

`app.py` hands the write side over, so that `rag` never imports `ingest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from rag.chunking import Chunking
from rag.counts import IngestCounts
from rag.types import AttributeValue, Owned

if TYPE_CHECKING:
    from rag.settings import EmbeddingSettings


FileOutcome = Literal["added", "updated", "renamed", "unchanged", "failed", "removed"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file. `error` and `hint` are set when it failed, and `code` (of rag/errors.py) where it was
    read now; `notice` names what else the user should know (for instance pages without text). `freed` is the disk
    space, in bytes, that a removal gave back."""

    source: str
    outcome: FileOutcome
    document_id: str = ""
    pages: int = 0
    chunks: int = 0
    error: str = ""
    hint: str = ""
    notice: str = ""
    freed: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest paths.

    `prune` removes documents of the given folders whose files are gone; `retry_failed` reads files again that could not
    be read before and have not changed; `dry_run` reports what would be done and changes nothing.
    """

    prune: bool = False
    retry_failed: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far an ingest is: of files and bytes, done and found; pages read and chunks embedded. `report` is the file
    just done."""

    files_done: int
    files_total: int
    bytes_done: int = 0
    bytes_total: int = 0
    pages: int = 0
    chunks: int = 0
    report: FileReport | None = None


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """An upload on its way in, which outlives a restart; `chunks` counts those embedded so far, `report` tells how it
    ended (None before, and when cancelled), `attributes` and `chunking` are those that its document gets."""

    id: str
    collection: str
    file_id: str
    name: str
    state: JobState
    created_at: str
    updated_at: str
    report: FileReport | None = None
    chunks: int = 0
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    chunking: Chunking | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")


class Ingest(Protocol):
    """What the read side may ask of the write side; `app.py` hands it over, so `rag` never imports `ingest`."""

    suffixes: frozenset[str]

    def add_paths(
        self, paths: Sequence[Path], collection: str, options: IngestOptions = IngestOptions()
    ) -> Iterator[IngestProgress]:
        """Ingest files and folders; blocking, one report a file."""
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
