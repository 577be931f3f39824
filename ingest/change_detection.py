"""What is to be done with a file: nothing, copy what is known of the same bytes, or read it."""

from __future__ import annotations

import hashlib
import mimetypes
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ingest.discovery import is_gone
from ingest.loaders import LOADER_VERSION, can_recognise_text
from ingest.splitting import SPLITTER_VERSION
from rag.errors import UnreadableDocument
from rag.storage.catalog import Catalog
from rag.storage.file_hash import FileState, hash_of, open_at_once, settled_state
from rag.storage.ids import new_id, now
from rag.types.documents import LOCAL_PRINCIPAL, AttributeValue, Chunking, Document, DocumentStatus
from rag.types.ingest import FileReport, IngestOptions
from rag.types.models import Embedding

if TYPE_CHECKING:
    from rag.settings import IngestSettings


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file to take in: where its bytes are, and its name as it is stored and shown. An upload has a `file_id`, and
    what its owner says of it. Setting `stop` ends its being taken in."""

    path: Path
    name: str
    file_id: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)  # of its document, where that is a new one
    chunking: Chunking | None = None  # how it is to be cut
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that has to be taken in, and the document that stands for it, if any.

    `twin` is a document with the same bytes, read by the same loader: its text need not be read again. `has_moved`
    says that this is the twin's own file under a new name.
    """

    file: IncomingFile
    collection: str
    state: FileState  # in which it had that hash
    sha256: str
    known: Document | None
    twin: Document | None
    has_moved: bool

    @property
    def name(self) -> str:
        """The file's name."""
        return self.file.name


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What a document must have been made with to be up to date, by its status.

    What could not be read, or not wholly, is read again when text recognition has come, and what failed when a limit
    has changed, too: that may have been the reason.
    """

    ready: str
    partial: str
    failed: str
    readers: Mapping[str, str]  # of llama-index, by suffix

    @classmethod
    def of(cls, settings: IngestSettings, embedding: Embedding) -> Fingerprints:
        """Those of the present code, settings and embedding model."""
        parts = (LOADER_VERSION, SPLITTER_VERSION, str(settings.chunk_tokens), embedding.fingerprint)
        ready = _hash("\0".join([*parts, *filter(None, [settings.node_parser])]))
        partial = _hash(f"{ready} {can_recognise_text()}")
        return cls(ready, partial, _hash(partial + settings.model_dump_json()), settings.readers)

    def expected(self, status: DocumentStatus, source: str) -> str:
        """The fingerprint of an up-to-date document of that status."""
        fingerprint = {"ready": self.ready, "partial": self.partial, "failed": self.failed}[status]
        reader = self.readers.get(PurePath(source).suffix.lower())
        return _hash(f"{fingerprint} {reader}") if reader else fingerprint


def decide(
    catalog: Catalog, fingerprints: Fingerprints, file: IncomingFile, collection: str, options: IngestOptions
) -> FileReport | Source:
    """A report when nothing needs to be done: unchanged by size and time, else by hash. Raises UnreadableDocument."""
    known = catalog.document_of_source(collection, file.name)
    up_to_date = known if known and _is_up_to_date(known, file, fingerprints, options) else None
    try:
        status = file.path.stat()
        now_there = (status.st_size, status.st_mtime_ns, file.file_id)
        if up_to_date and (up_to_date.size, up_to_date.modified_ns, up_to_date.file_id) == now_there:
            return _unchanged(up_to_date)
        with open_at_once(file.path) as content:
            state = settled_state(content)
            sha256 = hash_of(content)
    except OSError as error:
        raise UnreadableDocument(
            f"{file.name} cannot be read: {error.strerror}.",
            hint="Check that the file is there and readable.",
            source=file.name,
        ) from error
    if up_to_date and up_to_date.sha256 == sha256:
        same = replace(up_to_date, size=state.size, modified_ns=state.modified_ns)
        same = replace(same, content=file.path, file_id=file.file_id)
        if not options.dry_run:
            catalog.put_record(same)
        return _unchanged(same)
    twin = _twin(catalog, fingerprints, file, collection, sha256)
    has_moved = (
        (known, file.file_id) == (None, None)
        and twin is not None
        and (twin.collection, twin.file_id) == (collection, None)
        and is_gone(twin.content)
    )
    return Source(file, collection, state, sha256, known=known, twin=twin, has_moved=has_moved)


def record_of(source: Source) -> Document:
    """What is known of the source before it is read; of an earlier version, its text stays."""
    file = source.file
    seen: dict[str, Any] = {
        "source": file.name,
        "file_id": file.file_id,
        "content": file.path,
        "media_type": mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        "sha256": source.sha256,
        "size": source.state.size,
        "modified_ns": source.state.modified_ns,
        "updated_at": now(),
        "chunking": file.chunking,
    }
    if known := source.twin if source.has_moved else source.known:
        return replace(known, **seen)
    return Document(
        id=new_id("doc"),
        collection=source.collection,
        owner_id=LOCAL_PRINCIPAL,
        title=Path(file.name).stem,
        fingerprint="",
        version=0,
        status="failed",
        pages=0,
        chunks=0,
        error="",
        hint="",
        created_at=now(),
        attributes=file.attributes,
        **seen,
    )


def _is_up_to_date(known: Document, file: IncomingFile, fingerprints: Fingerprints, options: IngestOptions) -> bool:
    is_to_be_retried = known.status == "failed" and options.retry_failed
    is_as_read_now = (
        known.fingerprint == fingerprints.expected(known.status, known.source) and known.chunking == file.chunking
    )
    return is_as_read_now and not is_to_be_retried


def _twin(
    catalog: Catalog, fingerprints: Fingerprints, file: IncomingFile, collection: str, sha256: str
) -> Document | None:
    """A document of the same bytes and the same kind of file, cut the same way; first one whose own file is gone, then
    one near by."""
    twins = [
        document
        for document in catalog.documents_of_content(sha256)
        if document.status != "failed"
        and document.chunking == file.chunking
        and document.fingerprint == fingerprints.expected(document.status, document.source)
        and PurePath(document.source).suffix.lower() == PurePath(file.name).suffix.lower()
    ]
    return min(twins, key=lambda twin: (not is_gone(twin.content), twin.collection != collection), default=None)


def _unchanged(document: Document) -> FileReport:
    """The report on a file that is as it was; a failure is told again, without reading the same bytes again."""
    report = FileReport(document.source, "unchanged", document.id, document.pages, document.chunks)
    if document.status == "failed":
        return replace(report, outcome="failed", error=document.error, hint=document.hint)
    return replace(report, notice=f"{document.error} {document.hint}" if document.status == "partial" else "")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
