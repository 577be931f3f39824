"""The way in: decide → load → split → embed across files → store, one report a file.

Files are loaded ahead in child processes while the embedding model works. Documents are stored in groups, each document
whole; a file counts as done only when its chunks can be found. A file that cannot be read is reported and passed over,
and remembered by its hash, so that the next run does not try the same bytes again.
"""

from __future__ import annotations

import hashlib
import itertools
import mimetypes
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ingest.discover import discover, source_name
from ingest.loaders import LOADER_VERSION, SUPPORTED_SUFFIXES
from ingest.loaders.base import LoadedDocument, printable
from ingest.sandbox import Sandbox
from ingest.splitting import SPLITTER_VERSION, fitting_title, pages_of, split
from rag.catalog import LOCAL_PRINCIPAL, new_id, now
from rag.errors import DocumentError, UnreadableDocument
from rag.index import DocumentVersion, Index, contextual_text
from rag.settings import Settings
from rag.types import Chunk, Document, Embedding, FileOutcome, FileReport, IngestProgress

if TYPE_CHECKING:
    from rag.types import Vector

_GROUP_CHUNKS = 256  # documents are embedded and stored together until they have so many chunks …
_GROUP_DOCUMENTS = 64  # … or are so many
_EMBED_SLICE = 16  # chunks between two signs of life, and the longest a question waits for the embedding model
_LOAD_AHEAD = 4

_Claim = Callable[[str, str], None]  # (collection, source): raises when another run works on that source


@dataclass(frozen=True, slots=True)
class _Source:
    """A file to ingest: where its bytes are, what it is called, and the document that stands for it, if any."""

    path: Path
    name: str
    file_id: str | None
    size: int
    modified_ns: int
    sha256: str
    known: Document | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A loaded and split document, ready to be embedded."""

    document: Document
    loaded: LoadedDocument
    chunks: list[Chunk]


class Ingestor:
    """The write side over an open index; it owns the child processes that load files."""

    def __init__(self, settings: Settings, index: Index, embedding: Embedding) -> None:
        self.suffixes = SUPPORTED_SUFFIXES
        self._settings = settings
        self._index = index
        self._embedding = embedding
        self._sandbox = Sandbox(settings.ingest, workers=2)  # an upload need not wait for a folder's long file
        self._in_progress: set[tuple[str, str]] = set()
        self._mutex = threading.Lock()
        parts = (LOADER_VERSION, SPLITTER_VERSION, str(settings.ingest.chunk_tokens), embedding.fingerprint)
        self._fingerprint = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        # A failure is remembered until the file, the loaders or a limit changes: the limit may have been the reason.
        limits = settings.ingest.model_dump_json()
        self._failure_fingerprint = hashlib.sha256((self._fingerprint + limits).encode()).hexdigest()[:16]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    # ------------------------------------------------------------------------------------------------- what it does

    def add_paths(self, paths: Sequence[Path], collection: str) -> Iterator[IngestProgress]:
        """Ingest files and folders; blocking, one report a file. Raises NotFound for a path that is not there."""
        files = discover(paths)
        collection = self._index.catalog.create_collection(collection).name
        yield IngestProgress(0, len(files), 0)
        yield from self._run([(path, source_name(path), None) for path in files], collection)

    def add_upload(self, path: Path, name: str, collection: str) -> FileReport:
        """Ingest one uploaded file, which is copied into the storage folder; blocking."""
        collection = self._index.catalog.create_collection(collection).name
        stored, sha256, size = self._keep(path)
        name = self._free_name(printable(os.path.basename(name)) or "unnamed", sha256, collection)  # noqa: PTH119
        file_id = self._index.catalog.add_file(name, sha256, size)
        reports = [progress.report for progress in self._run([(stored, name, file_id)], collection)]
        report = next(report for report in reports if report is not None)
        if report.outcome == "failed" and report.document_id:  # told at once; nothing of it needs to be kept
            self._index.remove_document(report.document_id)
        self._discard_unused(stored)
        return report

    def documents(self, collection: str | None = None) -> list[Document]:
        """All documents, or those of one collection (name or id). Raises NotFound."""
        return self._index.catalog.documents(collection)

    def remove(self, document_id: str) -> FileReport:
        """Remove a document everywhere, with its stored upload; blocking. Raises NotFound."""
        document = self._index.catalog.document(document_id)
        self._index.remove_document(document_id)
        self._discard_unused(document.content)
        return FileReport(document.source, "removed", document.id, document.pages, document.chunks)

    # --------------------------------------------------------------------------------------------------- the stages

    def _run(self, files: Sequence[tuple[Path, str, str | None]], collection: str) -> Iterator[IngestProgress]:
        done = embedded = 0
        group: list[_Prepared] = []
        for position, outcome in enumerate(self._prepare_all(files, collection), start=1):
            if isinstance(outcome, FileReport):
                done += 1
                yield IngestProgress(done, len(files), embedded, outcome)
            else:
                group.append(outcome)
            full = sum(len(p.chunks) for p in group) >= _GROUP_CHUNKS or len(group) >= _GROUP_DOCUMENTS
            if group and (full or position == len(files)):
                vectors = self._empty_vectors(sum(len(p.chunks) for p in group))
                for newly in self._embed(group, vectors):
                    embedded += newly
                    yield IngestProgress(done, len(files), embedded)
                for report in self._store(group, vectors):
                    done += 1
                    yield IngestProgress(done, len(files), embedded, report)
                group = []

    def _prepare_all(
        self, files: Sequence[tuple[Path, str, str | None]], collection: str
    ) -> Iterator[FileReport | _Prepared]:
        """Decide, load and split every file in order, a few files ahead of the consumer.

        A file stays claimed until the consumer asks for the one after it has been stored."""
        ahead: deque[Future[FileReport | _Prepared]] = deque()
        remaining = iter(files)
        with self._claims() as claim, ThreadPoolExecutor(1, "load") as pool:
            try:
                for path, source, file_id in remaining:
                    ahead.append(pool.submit(self._prepare, path, source, file_id, collection, claim))
                    if len(ahead) > _LOAD_AHEAD:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _prepare(
        self, path: Path, name: str, file_id: str | None, collection: str, claim: _Claim
    ) -> FileReport | _Prepared:
        name = printable(name)
        try:
            claim(collection, name)
            decided = self._decide(path, name, file_id, collection)
        except DocumentError as error:
            return _failure(name, error)
        if isinstance(decided, FileReport):
            return decided
        try:
            loaded = self._sandbox.load(decided.path, decided.name)
        except DocumentError as error:
            return self._remember_failure(decided, collection, error)
        return self._split(decided, loaded, collection)

    def _decide(self, path: Path, name: str, file_id: str | None, collection: str) -> FileReport | _Source:
        """Skip a file that has not changed: by size and time, else by its hash."""
        catalog = self._index.catalog
        known = catalog.document_of_source(catalog.collection(collection).id, name)
        expected = self._failure_fingerprint if known and known.status == "failed" else self._fingerprint
        up_to_date = known if known is not None and known.fingerprint == expected else None
        try:
            status = path.stat()
            if up_to_date and (up_to_date.size, up_to_date.modified_ns) == (status.st_size, status.st_mtime_ns):
                return _unchanged(up_to_date)
            sha256 = _sha256(path)
        except OSError as error:
            raise UnreadableDocument(
                f"{name} cannot be read: {error.strerror}.",
                hint="Check that the file is there and readable.",
                source=name,
            ) from error
        if up_to_date and up_to_date.sha256 == sha256:
            same = replace(up_to_date, size=status.st_size, modified_ns=status.st_mtime_ns, content=path)
            catalog.put_record(same)
            return _unchanged(same)
        return _Source(path, name, file_id, status.st_size, status.st_mtime_ns, sha256, known)

    def _split(self, source: _Source, loaded: LoadedDocument, collection: str) -> _Prepared:
        known = source.known
        document_id = known.id if known else new_id("doc")
        version = known.version + 1 if known else 1
        limit = self._settings.ingest.chunk_tokens
        title = fitting_title(loaded.title, self._embedding, limit)
        chunks = split(document_id, version, title, loaded.sections, self._embedding, limit)
        without_text = f"No text on {_page_numbers(loaded.empty_pages)}." if loaded.empty_pages else ""
        document = replace(
            self._record(source, collection),
            id=document_id,
            title=title,
            version=version,
            status="partial" if loaded.empty_pages else "ready",
            pages=loaded.pages,
            chunks=len(chunks),
            error=without_text,
            hint="These pages seem to be scans; only pages with text can be searched." if without_text else "",
        )
        return _Prepared(document, loaded, chunks)

    def _embed(self, group: Sequence[_Prepared], vectors: Vector) -> Iterator[int]:
        """Fill `vectors` with the group's, in order; yields how many were just embedded.

        Texts go in by length, so that a batch holds little padding, whichever files they come from.
        """
        texts = [contextual_text(p.document.title, c.heading, c.text) for p in group for c in p.chunks]
        by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(by_length), _EMBED_SLICE):
            places = by_length[start : start + _EMBED_SLICE]
            vectors[places] = self._embedding.embed_passages([texts[place] for place in places])
            yield len(places)

    def _empty_vectors(self, count: int) -> Vector:
        import numpy as np

        return np.zeros((count, self._embedding.dimension), dtype=np.float32)

    def _store(self, group: Sequence[_Prepared], vectors: Vector) -> Iterator[FileReport]:
        versions = []
        start = 0
        for prepared in group:
            end = start + len(prepared.chunks)
            pages = pages_of(prepared.loaded.sections)
            versions.append(DocumentVersion(prepared.document, pages, prepared.chunks, vectors[start:end]))
            start = end
        self._index.replace_documents(versions)
        for prepared in group:
            document = prepared.document
            notice = " ".join(part for part in (document.error, prepared.loaded.notice) if part)
            outcome: FileOutcome = "updated" if document.version > 1 else "added"
            yield FileReport(document.source, outcome, document.id, document.pages, document.chunks, notice=notice)

    # --------------------------------------------------------------------------------------------------- the records

    def _record(self, source: _Source, collection: str) -> Document:
        """What is known of the source before it is read; of an earlier version, its text stays."""
        fresh = Document(
            id=new_id("doc"),
            collection=collection,
            owner_id=LOCAL_PRINCIPAL,
            file_id=None,
            source=source.name,
            title=Path(source.name).stem,
            content=source.path,
            media_type="",
            sha256="",
            size=0,
            modified_ns=0,
            fingerprint="",
            version=0,
            status="failed",
            pages=0,
            chunks=0,
            error="",
            hint="",
            created_at=now(),
            updated_at="",
        )
        return replace(
            source.known or fresh,
            file_id=source.file_id,
            content=source.path,
            media_type=mimetypes.guess_type(source.name)[0] or "application/octet-stream",
            sha256=source.sha256,
            size=source.size,
            modified_ns=source.modified_ns,
            fingerprint=self._fingerprint,
            updated_at=now(),
        )

    def _remember_failure(self, source: _Source, collection: str, error: DocumentError) -> FileReport:
        record = replace(
            self._record(source, collection),
            fingerprint=self._failure_fingerprint,
            status="failed",
            error=error.message,
            hint=error.hint,
        )
        self._index.catalog.put_record(record)
        return replace(_failure(source.name, error), document_id=record.id)

    # --------------------------------------------------------------------------------------------------- stored files

    def _keep(self, path: Path) -> tuple[Path, str, int]:
        """Copy an upload into the storage folder under its hash; (stored path, SHA-256, size in bytes)."""
        sha256 = _sha256(path)
        stored = (self._settings.storage.dir / "files" / sha256[:2] / sha256).absolute()
        if not stored.exists():
            stored.parent.mkdir(parents=True, exist_ok=True)
            partial = stored.with_name(f"{sha256}.{new_id('part')}")
            shutil.copyfile(path, partial)
            partial.replace(stored)
        return stored, sha256, stored.stat().st_size

    def _free_name(self, name: str, sha256: str, collection: str) -> str:
        """`name`, or `name (2)` where another file of that name was uploaded before: neither may replace the other."""
        catalog = self._index.catalog
        collection_id = catalog.collection(collection).id
        stem, suffix = os.path.splitext(name)  # noqa: PTH122  (a name, not a path)
        candidate = name
        for number in itertools.count(2):
            known = catalog.document_of_source(collection_id, candidate)
            if known is None or known.sha256 == sha256:
                break
            candidate = f"{stem} ({number}){suffix}"
        return candidate

    def _discard_unused(self, content: Path) -> None:
        """Delete a stored upload that no document needs any more; never a file of the user's own folders."""
        inside = content.is_relative_to((self._settings.storage.dir / "files").absolute())
        if inside and not any(document.content == content for document in self._index.catalog.documents()):
            content.unlink(missing_ok=True)

    @contextmanager
    def _claims(self) -> Iterator[_Claim]:
        """Hand out sources to this run alone; two runs that write one document at a time would mix it up."""
        mine: set[tuple[str, str]] = set()

        def claim(collection: str, source: str) -> None:
            with self._mutex:
                if (collection, source) in self._in_progress:
                    raise UnreadableDocument(
                        f"{source} is being ingested already.", hint="Wait until that is done.", source=source
                    )
                self._in_progress.add((collection, source))
                mine.add((collection, source))

        try:
            yield claim
        finally:
            with self._mutex:
                self._in_progress -= mine


def _failure(source: str, error: DocumentError) -> FileReport:
    return FileReport(source, "failed", error=error.message, hint=error.hint)


def _unchanged(document: Document) -> FileReport:
    """The report on a file that is as it was; a failure is told again, without reading the same bytes again."""
    outcome: FileOutcome = "failed" if document.status == "failed" else "unchanged"
    return FileReport(
        document.source,
        outcome,
        document.id,
        document.pages,
        document.chunks,
        error=document.error if document.status == "failed" else "",
        hint=document.hint if document.status == "failed" else "",
        notice=document.error if document.status == "partial" else "",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _page_numbers(indices: Sequence[int]) -> str:
    """0-based page indices as a reader counts: `3–17 and 20`, with the word "page" or "pages" before it."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    words = [str(run[0] + 1) if len(run) == 1 else f"{run[0] + 1}–{run[-1] + 1}" for run in runs]
    listed = " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
    return f"page {listed}" if len(indices) == 1 else f"pages {listed}"
