"""The stages of an ingest: decide → load → split → embed across files → store, one report a file.

Files are loaded ahead in child processes while the embedding model works, and one group of documents is stored while
the next is embedded, each document whole. A file counts as done only when its chunks can be found. A file that cannot
be read is reported and passed over, and remembered by its hash, so that the next run does not try the same bytes again.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ingest.change_detection import Fingerprints, IncomingFile, Source, decide, record_of
from ingest.loaders import LoadedDocument, can_recognise_text
from ingest.loaders.base import MEGABYTE, page_numbers, readable_stem
from ingest.sandbox import Sandbox
from ingest.splitting import ChunkLimit, chunks_of, limit_of
from rag.errors import DocumentChanged, DocumentError, UnreadableDocument, WorkerLost
from rag.index.dense import vector_id
from rag.index.index import DocumentVersion, Index
from rag.settings import IngestSettings
from rag.text.analysis import contextual_text
from rag.types.documents import ChunkId, Document, DocumentStatus
from rag.types.ingest import FileOutcome, FileReport, IngestOptions, IngestProgress

if TYPE_CHECKING:
    from ingest.ray.cluster import RayCluster
    from rag.types.documents import Vector

_GROUP_CHUNKS = 256  # documents are embedded and stored together until they have so many chunks …
_GROUP_DOCUMENTS = 64  # … or are so many
_GROUP_CHUNKS_OF_UPLOADS = 32  # somebody waits for each of them
_EMBED_SLICE = 64  # chunks between two signs of life
_LOAD_AHEAD = 4
_READS = 3  # of a file that changes meanwhile
_UPLOADS_AT_ONCE = 2  # read side by side, so that one that takes long does not hold up those behind it
_PATIENCE = 0.5  # seconds: what is ready is embedded and stored when the next file takes longer
_WITHOUT_TEXT_HINT = (
    "Nothing could be recognised on them."
    if can_recognise_text()
    else "They may be scans: `make setup EXTRAS=ocr` installs text recognition, which reads them."
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A document that is ready to be embedded; the vectors of its version are those that are at hand already."""

    file: IncomingFile
    outcome: FileOutcome
    version: DocumentVersion
    notice: str = ""

    @property
    def document(self) -> Document:
        return self.version.document


@dataclass(slots=True)
class _Group:
    """Documents that are embedded and stored together, and the size of their files in bytes."""

    most_chunks: int
    members: list[_Prepared] = field(default_factory=list)
    size: int = 0
    stored: Future[None] | None = None  # when that has begun

    @property
    def is_full(self) -> bool:
        chunks = sum(len(prepared.version.chunks) for prepared in self.members)
        return chunks >= self.most_chunks or len(self.members) >= _GROUP_DOCUMENTS


class _Tally:
    """What has been done so far of a run; counted from several threads."""

    def __init__(self, files: int, size: int) -> None:
        self._state = IngestProgress(0, files, bytes_total=size)
        self._mutex = threading.Lock()

    def add(self, **amounts: Any) -> None:
        """So much more of it, such as `chunks`, is done."""
        with self._mutex:
            self._state = replace(self._state, **{n: getattr(self._state, n) + more for n, more in amounts.items()})

    def progress(self, report: FileReport | None = None) -> IngestProgress:
        return replace(self._state, report=report)


class Claims:
    """Who works on which source: two runs that write one document at a time would mix it up."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], object] = {}
        self._mutex = threading.Lock()

    def take(self, owner: object, collection: str, source: str) -> bool:
        """Claim a source; False when it is taken."""
        with self._mutex:
            is_free = (collection, source) not in self._owners
            self._owners.setdefault((collection, source), owner)
            return is_free

    def give_back(self, owner: object, claims: Iterable[tuple[str, str]] | None = None) -> None:
        """Let others have what of these (collection, source) the owner has claimed; by default all that it has."""
        with self._mutex:
            for claim in list(self._owners) if claims is None else claims:
                if self._owners.get(claim) is owner:
                    del self._owners[claim]


class PipelineRun:
    """One pass over some files of one collection. Setting a file's `stop`, or closing `over`, ends it within seconds;
    the documents that were not stored yet stay as they were."""

    def __init__(
        self,
        settings: IngestSettings,
        index: Index,
        sandbox: Sandbox,
        claims: Claims,
        collection: str,
        cluster: RayCluster | None = None,
    ) -> None:
        """`cluster`: where files are read and embedded, instead of in the sandbox and in this process."""
        self._cluster = cluster
        self._files_at_once = cluster.files_at_once if cluster else 1
        self._tally = _Tally(0, 0)
        self._largest_file = settings.max_file_mb * MEGABYTE
        self._is_over = False
        self._index = index
        self._embedding = index.embedding  # the same from the first file to the last
        self._sandbox = sandbox
        self._claims = claims
        self._collection = collection
        self._fingerprints = Fingerprints.of(settings, self._embedding)
        self._chunk_tokens = settings.chunk_tokens

    def over(self, files: Sequence[IncomingFile], options: IngestOptions = IngestOptions()) -> Iterator[IngestProgress]:
        """Take the files in, those of folders in order; the first and the last sign of progress come in any case."""
        sizes = [_size(file) for file in files]
        tally = self._tally = _Tally(len(files), sum(sizes))
        yield tally.progress()
        are_uploads = all(file.file_id is not None for file in files)
        most_chunks = _GROUP_CHUNKS_OF_UPLOADS if are_uploads else _GROUP_CHUNKS
        group, storing = _Group(most_chunks), _Group(0)
        threads = _UPLOADS_AT_ONCE if are_uploads else self._files_at_once
        with closing(self._prepared(files, options, threads)) as outcomes, ThreadPoolExecutor(1, "store") as pool:
            for number, outcome in outcomes:
                if isinstance(outcome, FileReport):
                    tally.add(files_done=1, bytes_done=sizes[number])
                    yield tally.progress(outcome)
                    if outcome.outcome != "failed":  # it may have failed as another file of that name has the claim
                        self._give_back([outcome.source])
                else:
                    if outcome is not None:
                        group.members.append(outcome)
                        group.size += sizes[number]
                        tally.add(pages=outcome.document.pages)
                    yield tally.progress()  # a cluster embeds meanwhile
                if group.is_full or (group.members and outcome is None):
                    versions = yield from self._embedded(group, storing)
                    yield from self._finish(storing)
                    # stored while the next group is embedded
                    group.stored = pool.submit(self._index.replace_documents, versions, self._embedding.fingerprint)
                    storing, group = group, _Group(most_chunks)
                elif outcome is None:
                    yield from self._finish(storing)
            yield from self._finish(storing)

    def _finish(self, group: _Group) -> Iterator[IngestProgress]:
        """Once all of a group are stored, a report each, and each once. Raises what the storing raised."""
        if group.stored is None:
            return
        group.stored.result()
        members, size = group.members, group.size
        group.members, group.size, group.stored = [], 0, None
        self._tally.add(bytes_done=size)
        for prepared in members:
            self._tally.add(files_done=1)
            document = prepared.document
            notice = " ".join(part for part in (document.error, document.hint, prepared.notice) if part)
            pages, chunks = document.pages, document.chunks
            yield self._tally.progress(
                FileReport(document.source, prepared.outcome, document.id, pages, chunks, notice=notice)
            )
        self._give_back([prepared.document.source for prepared in members])

    # ------------------------------------------------------------------------------------------- decide, load, split

    def _prepared(
        self, files: Sequence[IncomingFile], options: IngestOptions, threads: int
    ) -> Generator[tuple[int, FileReport | _Prepared | None]]:
        """Every file decided on, loaded and split, with its number, a few files ahead of the consumer; None whenever
        the next one takes long, and at the end. To be closed."""
        ahead: dict[Future[FileReport | _Prepared], int] = {}
        coming = iter(enumerate(files))
        pool = ThreadPoolExecutor(threads, "load")
        try:
            while True:
                for number, file in itertools.islice(coming, _LOAD_AHEAD + threads - len(ahead)):
                    ahead[pool.submit(self._prepare, file, options)] = number
                if not ahead:
                    break
                done = wait(ahead, _PATIENCE, FIRST_COMPLETED).done
                if not done:
                    yield -1, None
                for future in sorted(done, key=ahead.__getitem__):
                    yield ahead.pop(future), future.result()
            yield -1, None
        finally:
            self._is_over = True
            pool.shutdown(wait=True, cancel_futures=True)
            self._claims.give_back(self)

    def _prepare(self, file: IncomingFile, options: IngestOptions) -> FileReport | _Prepared:
        if self._is_unwanted(file):
            return _stopped(file.name)
        try:
            if not self._claim(file.name):
                raise UnreadableDocument(
                    f"{file.name} is being ingested already.", hint="Wait until that is done.", source=file.name
                )
            for _ in range(_READS - 1):
                with contextlib.suppress(DocumentChanged):
                    return self._decide_and_read(file, options)
            return self._decide_and_read(file, options)
        except DocumentError as error:
            return _failure(file.name, error)

    def _decide_and_read(self, file: IncomingFile, options: IngestOptions) -> FileReport | _Prepared:
        """Raises DocumentError; DocumentChanged when it is to be done anew."""
        source = decide(self._index.catalog, self._fingerprints, file, self._collection, options)
        if isinstance(source, FileReport):
            return source
        if source.has_moved and source.twin and not self._claim(source.twin.source):
            source = replace(source, has_moved=False)
        if options.dry_run:
            stands_for = source.twin if source.has_moved else source.known
            return FileReport(file.name, _outcome(source), stands_for.id if stands_for else "")
        copied = self._copy(source, source.twin) if source.twin else None
        return copied or self._read(replace(source, has_moved=False))

    def _is_unwanted(self, file: IncomingFile) -> bool:
        """Whether nobody waits any more for what is made of the file."""
        return self._is_over or file.stop.is_set()

    def _claim(self, source: str) -> bool:
        return self._claims.take(self, self._collection, source)

    def _give_back(self, sources: Iterable[str]) -> None:
        self._claims.give_back(self, ((self._collection, source) for source in sources))

    def _read(self, source: Source) -> FileReport | _Prepared:
        file = source.file
        limit = limit_of(self._embedding, self._chunk_tokens, file.chunking)
        try:
            loaded = self._load(source, limit, lambda: self._is_unwanted(file))
        except (DocumentChanged, WorkerLost):  # the next try, or run, may read it
            raise
        except DocumentError as error:
            is_kept = file.file_id is None or (source.known is not None and source.known.version > 0)
            if self._is_unwanted(file) or not is_kept:  # the stop killed the child, or an upload that never had a text
                return _failure(source.name, error)
            return self._remember_failure(source, error)
        before = record_of(source)
        version = before.version + 1
        chunks = chunks_of(before.id, version, loaded.sections, loaded.pieces)
        status: DocumentStatus = "partial" if loaded.empty_pages else "ready"
        without_text = f"No text on {page_numbers(loaded.empty_pages)}." if loaded.empty_pages else ""
        document = replace(
            before,
            title=loaded.title,
            version=version,
            fingerprint=self._fingerprints.expected(status, source.name),
            status=status,
            pages=loaded.pages,
            chunks=len(chunks),
            error=without_text,
            hint=_WITHOUT_TEXT_HINT if without_text else "",
        )
        vector_ids = [vector_id(contextual_text(loaded.title, chunk.heading, chunk.text)) for chunk in chunks]
        read = DocumentVersion(document, loaded.sections, chunks, vector_ids, {})
        prepared = _Prepared(file, _outcome(source), read, loaded.notice)
        try:
            return prepared if self._cluster is None else self._embedded_by(self._cluster, prepared)
        except DocumentError as error:
            return _failure(source.name, error)

    def _load(self, source: Source, limit: ChunkLimit, is_unwanted: Callable[[], bool]) -> LoadedDocument:
        if self._cluster is None or source.state.size > self._largest_file:  # refused without being sent anywhere
            return self._sandbox.load(source.file.path, source.name, limit, is_unwanted, source.state)
        return self._cluster.load(source.file.path, source.name, source.sha256, limit, is_unwanted)

    def _embedded_by(self, cluster: RayCluster, prepared: _Prepared) -> _Prepared:
        """With the vectors that the collection lacks. Raises DocumentError."""
        texts = self._lacking_texts([prepared])
        batches = _batches(texts, _EMBED_SLICE)
        vectors: dict[str, Vector] = {}
        contents = [[texts[vector] for vector in ids] for ids in batches]
        answers = cluster.embed(prepared.document.source, contents, lambda: self._is_unwanted(prepared.file))
        for ids, embedded in zip(batches, answers, strict=True):
            vectors |= zip(ids, embedded, strict=True)
            self._tally.add(chunks=len(ids))
        return replace(prepared, version=replace(prepared.version, vectors=vectors))

    def _copy(self, source: Source, twin: Document) -> _Prepared | None:
        """The twin's text and vectors under this name; None when the twin changed meanwhile."""
        catalog = self._index.catalog
        sections = catalog.sections(twin.id)
        before = record_of(source)
        version = before.version + 1
        chunks = [
            replace(chunk, id=ChunkId.of(before.id, version, chunk.number), document_id=before.id)
            for chunk in catalog.chunks_of(twin.id)
        ]
        vector_ids = catalog.vector_ids(twin.id)
        vectors = {} if twin.collection == self._collection else self._index.vectors_of(twin)
        if [v.version for v in catalog.live_versions([twin.id])] != [twin.version]:
            return None
        document = replace(
            before,
            title=readable_stem(source.name) if twin.title == readable_stem(twin.source) else twin.title,
            version=version,
            fingerprint=twin.fingerprint,
            status=twin.status,
            pages=twin.pages,
            chunks=len(chunks),
            error=twin.error,
            hint=twin.hint,
        )
        copied = DocumentVersion(document, sections, chunks, vector_ids, vectors)
        return _Prepared(source.file, _outcome(source), copied)

    def _remember_failure(self, source: Source, error: DocumentError) -> FileReport:
        failed = self._fingerprints.expected("failed", source.name)
        record = replace(record_of(source), fingerprint=failed, status="failed", error=error.message, hint=error.hint)
        self._index.catalog.put_record(record)
        return replace(_failure(source.name, error), document_id=record.id)

    # -------------------------------------------------------------------------------------------------- embed, store

    def _embedded(self, group: _Group, storing: _Group) -> Generator[IngestProgress, None, list[DocumentVersion]]:
        """Embed a group of documents while another is being stored; returns them ready to be stored. Those that were
        stopped leave the group."""
        vectors: dict[str, Vector] = {}
        yield from self._release_stopped(group)
        texts = self._lacking_texts(group.members)
        for ids in _batches(texts, max(_EMBED_SLICE, self._embedding.passages_at_once)):
            vectors |= zip(ids, self._embedding.embed_passages([texts[vector] for vector in ids]), strict=True)
            self._tally.add(chunks=len(ids))
            yield self._tally.progress()
            if storing.stored is not None and storing.stored.done():
                yield from self._finish(storing)
        yield from self._release_stopped(group)
        versions = [prepared.version for prepared in group.members]
        new = [{vector: vectors[vector] for vector in v.vector_ids if vector in vectors} for v in versions]
        return [replace(v, vectors={**given, **v.vectors}) for v, given in zip(versions, new, strict=True)]

    def _release_stopped(self, group: _Group) -> Iterator[IngestProgress]:
        """Let go of what nobody wants any more, with a report each."""
        members, group.members = group.members, []
        for prepared in members:
            if self._is_unwanted(prepared.file):
                self._tally.add(files_done=1)
                yield self._tally.progress(_stopped(prepared.document.source))
            else:
                group.members.append(prepared)

    def _lacking_texts(self, group: Sequence[_Prepared]) -> dict[str, str]:
        """Vector id → text of all that has to be embedded: what changed, and of equal texts one."""
        texts = {
            vector: contextual_text(v.document.title, chunk.heading, chunk.text)
            for v in (prepared.version for prepared in group)
            for vector, chunk in zip(v.vector_ids, v.chunks, strict=True)
            if vector not in v.vectors
        }
        return {vector: texts[vector] for vector in self._index.lacking_vectors(self._collection, list(texts))}


def _batches(texts: Mapping[str, str], size: int) -> list[list[str]]:
    """The ids of texts that are embedded together; by length, so that a batch holds little padding, whichever files it
    is from."""
    by_length = sorted(texts, key=lambda vector: len(texts[vector]))
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]


def _size(file: IncomingFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:  # it went away: the report on it will say so
        return 0


def _outcome(source: Source) -> FileOutcome:
    if source.has_moved:
        return "renamed"
    return "updated" if source.known is not None and source.known.version else "added"


def _failure(source: str, error: DocumentError) -> FileReport:
    return FileReport(source, "failed", error=error.message, hint=error.hint, code=error.code)


def _stopped(source: str) -> FileReport:
    return FileReport(source, "failed", error=f"{source} was stopped.")
