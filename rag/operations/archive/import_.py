"""Taking in an archive: its documents become documents here, with the vectors they bring.

The archive is checked whole before anything is written. Documents are stored in groups, each document whole; an import
that was interrupted is run again, and finds what it did before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import NotFound
from rag.index.index import DocumentVersion, Index
from rag.operations.archive.format import ArchivedDocument, ArchiveProgress
from rag.operations.archive.reader import Archive
from rag.storage.blobs import StoredFiles, hash_of
from rag.storage.document_attributes import set_attributes
from rag.storage.files import FileRecords
from rag.storage.ids import new_id
from rag.types.documents import LOCAL_PRINCIPAL, Document

if TYPE_CHECKING:
    from rag.types.documents import Vector

_GROUP_CHUNKS = 2_000  # documents are stored together until they have so many chunks …
_GROUP_DOCUMENTS = 64  # … or are so many


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. Documents `without_file` can be asked, but their footnotes open no page."""

    added: int
    replaced: int
    unchanged: int
    chunks: int
    without_file: int


def import_archive(
    index: Index, archive: Archive, storage: Path, collections: Sequence[str] = ()
) -> Iterator[ArchiveProgress | ImportResult]:
    """Write the documents of a verified archive, or of some of its collections; last comes what was done.

    Blocking; nobody else may write into the storage folder meanwhile. Raises NotFound for a collection that the archive
    does not have.
    """
    present = archive.manifest.collections
    chosen = [collection for collection in present if not collections or collection.name in collections]
    for name in sorted(set(collections) - {collection.name for collection in chosen}):
        known = ", ".join(collection.name for collection in present)
        raise NotFound(f"The archive has no collection {name!r}.", hint=f"It has: {known}.")
    importing = _Importing(index, archive, StoredFiles(storage))
    total, done = sum(collection.documents for collection in chosen), 0
    yield ArchiveProgress("Importing", 0, total)
    for collection in chosen:
        place = index.catalog.create_collection(collection.name)
        for document, vectors in archive.documents(collection):
            importing.add(document, vectors, place.name, place.id)
            done += 1
            yield ArchiveProgress("Importing", done, total)
        importing.store()
    yield importing.report()


class _Importing:
    """An import on its way."""

    def __init__(self, index: Index, archive: Archive, files: StoredFiles) -> None:
        self._index = index
        self._archive = archive
        self._files = files
        self._group: list[DocumentVersion] = []
        self._count: Counter[str] = Counter()

    def report(self) -> ImportResult:
        count = self._count
        return ImportResult(*(count[name] for name in ("added", "replaced", "unchanged", "chunks", "without_file")))

    def add(self, archived: ArchivedDocument, vectors: Vector, collection: str, collection_id: str) -> None:
        """Take in a document, unless it is there."""
        catalog = self._index.catalog
        known = catalog.document_of_source(collection_id, archived.source)
        if known is not None and _is_same(known, archived):
            self._count["unchanged"] += 1
            if not known.content.is_file():
                catalog.put_record(self._with_content(known))
            return
        self._count["added" if known is None else "replaced"] += 1
        document = self._with_content(_record(archived, collection, known, bool(catalog.live_versions([archived.id]))))
        self._count["chunks"] += document.chunks
        if document.version == 0:
            catalog.put_record(document)
            return
        chunks = archived.chunks_of(document.id, document.version)
        vector_ids = [chunk.vector_id for chunk in archived.chunks]
        rows = dict(zip(archived.vector_ids(), vectors, strict=True))
        self._group.append(DocumentVersion(document, archived.sections, chunks, vector_ids, rows))
        if len(self._group) >= _GROUP_DOCUMENTS or sum(len(v.chunks) for v in self._group) >= _GROUP_CHUNKS:
            self.store()

    def store(self) -> None:
        """Make the documents of the group live."""
        group, self._group = self._group, []
        if group:
            self._index.replace_documents([replace(v, vectors=self._lacking(v)) for v in group])
        for document in (version.document for version in group):
            if document.attributes:  # one that was here kept its own
                set_attributes(self._index.catalog, document.id, document.attributes)

    def _lacking(self, version: DocumentVersion) -> Mapping[str, Vector]:
        """The vectors to add: one that is there is never written over."""
        lacking = self._index.lacking_vectors(version.document.collection, version.vector_ids)
        return {vector_id: version.vectors[vector_id] for vector_id in lacking}

    def _with_content(self, document: Document) -> Document:
        """The document with a place for its file: its own path where that holds the same bytes, else the storage
        folder, like an upload.

        A file that is neither here nor in the archive gets the latter place, too: what stands at the path would be
        shown as the source of words it does not say."""
        source = Path(document.source)
        if source.is_absolute() and _has_bytes(source, document.sha256):
            return replace(document, content=source, file_id=None)
        has_file = self._archive.has_file(document.sha256)
        if has_file:
            with self._archive.file(document.sha256) as file:
                self._files.put(file, document.sha256)
        else:
            self._count["without_file"] += 1
        document = replace(document, content=self._files.path_of(document.sha256), file_id=None)
        if source.is_absolute() and not has_file:  # a path it stays: its folder may be ingested here, too
            return document
        records = FileRecords(self._index.catalog.database)
        file_id = records.add(source.name, document.sha256, document.size, OF_THIS_MACHINE)
        return replace(document, file_id=file_id)


def _is_same(known: Document, archived: ArchivedDocument) -> bool:
    """Whether the document here was made of the same bytes by the same program, or is at least readable."""
    if archived.version == 0 and known.version > 0:
        return True
    mine, other = ((d.sha256, d.fingerprint, d.status, d.version == 0, d.chunking) for d in (known, archived))
    return mine == other


def _record(archived: ArchivedDocument, collection: str, known: Document | None, id_is_taken: bool) -> Document:
    """The document as it is to be here. It keeps its id where that is free, else that of the document it replaces."""
    if known is not None:
        document_id, version = known.id, known.version + 1
    else:
        document_id, version = new_id("doc") if id_is_taken else archived.id, archived.version
    return Document(
        id=document_id,
        collection=collection,
        owner_id=LOCAL_PRINCIPAL,
        file_id=None,
        source=archived.source,
        title=archived.title,
        content=Path(),
        media_type=archived.media_type,
        sha256=archived.sha256,
        size=archived.size,
        modified_ns=archived.modified_ns,
        fingerprint=archived.fingerprint,
        version=version if archived.version else 0,
        status=archived.status,
        pages=archived.pages,
        chunks=len(archived.chunks),
        error=archived.error,
        hint=archived.hint,
        created_at=archived.created_at,
        updated_at=archived.updated_at,
        attributes=archived.attributes,
        chunking=archived.chunking,
    )


def _has_bytes(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and hash_of(path) == sha256
    except OSError:
        return False
