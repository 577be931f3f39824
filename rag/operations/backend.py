"""What commands, API and UI may ask: questions and documents (`Backend`), and the write side (`Ingestion`).

Both have a local implementation, over a storage folder that this process has open, and a remote one: the server that
owns the folder (server_client.py). Which of them a command talks to is decided once, by `open_backend`. The local write
side is in `ingest`, which `rag` never imports: whoever composes a program hands it in.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rag.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from rag.answering.modes.route import Shares
    from rag.models.benchmark import Speed
    from rag.operations.archive.format import ArchiveProgress
    from rag.operations.archive.writer import WrittenArchive
    from rag.operations.control_protocol import AskRequest, BackupRequest, ExportRequest, SearchRequest
    from rag.operations.server_client import ServerClient
    from rag.settings import EmbeddingSettings, Settings
    from rag.types.documents import AttributeValue, Chunking, Document, Event, Hit, Owned
    from rag.types.ingest import FileReport, IngestCounts, IngestOptions, IngestProgress, Job


class Library(Protocol):
    """Documents that can be searched and read. What is not async blocks for milliseconds."""

    async def search(self, request: SearchRequest) -> Sequence[Hit]:
        """The best chunks for a question, best first. Raises NotFound, InvalidRequest."""
        ...

    def collections(self) -> list[str]:
        """What the collections are called."""
        ...

    def documents(self, collection: str | None = None) -> list[Document]:
        """All documents, or those of a collection. Raises NotFound."""
        ...

    def page_text(self, document_id: str, page_index: int | None) -> tuple[Document, str]:
        """A document and the text of one of its pages, counted from 0. Raises NotFound."""
        ...


class Backend(Library, Protocol):
    """All that can be asked from the command line. Verbs raise StorageLocked where another process has the folder and
    does not answer."""

    def warm_up(self) -> None:
        """Make ready what searching needs; blocking, seconds. Raises what stands against it, such as NotFound where
        nothing was ever ingested."""
        ...

    def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        """The events of an answer. The model is asked after the first ChunksRetrieved, so whoever closes it then asks
        none."""
        ...

    def impaired(self) -> list[str]:
        """What of the index (`vectors`, `words`) is incomplete for now, so that a search may miss passages."""
        ...

    def tag(self, document_id: str, attributes: Mapping[str, AttributeValue | None]) -> Document:
        """Give attributes to a document; None takes one away. Raises NotFound, InvalidRequest."""
        ...

    def export(self, request: ExportRequest) -> Iterator[ArchiveProgress | WrittenArchive]:
        """Write collections into an archive on this machine; last comes what was written. Raises NotFound, and Conflict
        when there is a file of that name."""
        ...

    def back_up(self, request: BackupRequest) -> Iterator[ArchiveProgress | WrittenArchive]:
        """Write all that is stored into an archive on this machine; last comes what was written. Raises like
        `export`."""
        ...

    def measure_models(self) -> AsyncGenerator[Speed, None]:
        """How fast every model is, one after the other."""
        ...

    def route_shares(self) -> Shares:
        """Who answered in the mode `route` since the backend was started."""
        ...


class Ingestion(Protocol):
    """How documents come in and go; all of it blocks."""

    def add_paths(
        self, paths: Sequence[Path], collection: str, options: IngestOptions = ...
    ) -> Iterator[IngestProgress]:
        """Ingest files and folders of this machine, one report a file. Raises NotFound for a path that is not there."""
        ...

    def delete(self, document_id: str) -> FileReport:
        """Delete a document everywhere, with its stored upload. Raises NotFound."""
        ...

    def reindex(self, embedding: EmbeddingSettings) -> Iterator[IngestProgress]:
        """Embed all documents anew with another model, and switch to it in the end; meanwhile the old index answers.
        Raises ConfigurationError when the model cannot be had."""
        ...

    def jobs(self) -> list[Job]:
        """The jobs, newest first; of those that are over only the last ones."""
        ...

    def cancel(self, job_id: str) -> Job:
        """Stop a job within seconds; what is over stays as it is. Raises NotFound."""
        ...


class IngestService(Ingestion, Protocol):
    """The write side as API and UI know it, in the process that owns the storage folder."""

    suffixes: frozenset[str]

    def submit(self, path: Path, name: str, collection: str, owned: Owned) -> Job:
        """Copy an uploaded file into the storage folder and queue it; returns once it can no longer be lost."""
        ...

    def keep(self, file: BinaryIO, name: str, purpose: str, owned: Owned, expires_at: str | None = None) -> str:
        """Write an uploaded file into the storage folder, where it stays until it is deleted or the time (ISO 8601) is
        over; its id."""
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

    def delete_file(self, file_id: str) -> None:
        """Delete an uploaded file with all documents made of it; blocking. Raises NotFound."""
        ...

    def delete_collection(self, collection: str) -> None:
        """Delete a collection with its documents; uploaded files that were kept stay. Blocking. Raises NotFound, and
        Conflict for the default one."""
        ...

    def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it is over, or as it stands after so many seconds; blocking. Raises NotFound."""
        ...

    def wait_for_repair(self) -> None:
        """Wait until vectors and words are whole, or the program ends; blocking, up to minutes. For a command:
        "unchanged" must not be its last word over a damaged index. Raises what stands against the repair."""
        ...

    def counts(self) -> IngestCounts:
        """What was taken in since the program was started."""
        ...

    def jobs_by_state(self) -> Mapping[str, int]:
        """How many jobs there are, by state; of those that are over only the last ones count."""
        ...

    def end(self) -> None:
        """Let whatever is going on end soon: the program is about to. May be called from a signal handler."""
        ...


@contextmanager
def open_backend(settings: Settings) -> Iterator[Backend]:
    """The server that owns the storage folder, or the folder itself, of which each part is opened when it is needed."""
    server = find_server(settings)
    if server is not None:
        yield server
        return
    from rag.operations.local_backend import LocalBackend
    from rag.operations.services import Services

    with Services(settings) as services:
        yield LocalBackend(services)


def find_server(settings: Settings) -> ServerClient | None:
    """The server that owns the storage folder, None when there is none (another owner is met when opening)."""
    from rag.storage.lock import StorageLock, read_owner

    owner = read_owner(settings.storage.dir) if StorageLock(settings.storage.dir).is_taken() else None
    if owner is None or not owner.url:
        return None
    from rag.operations.server_client import ServerClient

    return ServerClient(owner)


def require_index(settings: Settings) -> None:
    """Raises NotFound where nothing was ever ingested: a command in the wrong folder must not make an empty index."""
    from rag.storage.connect import has_catalog

    folder = settings.storage.dir.absolute()
    if not has_catalog(settings.storage):
        raise NotFound(
            f"There are no documents in {folder}.",
            hint="`ingest PATH` adds some; RAG_STORAGE__DIR names another storage folder.",
        )
