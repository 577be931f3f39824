"""Taking in an archive: its documents become documents beside those that are here, with the vectors they bring.

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
from rag.operations.archive.format import ArchivedCollection, ArchiveProgress
from rag.operations.archive.reader import Archive
from rag.storage.attributes import set_attributes
from rag.storage.blobs import StoredFiles
from rag.storage.catalog import Catalog
from rag.storage.file_hash import hash_of
from rag.storage.files import FileRecords
from rag.storage.ids import new_id
from rag.types.documents import LOCAL_PRINCIPAL, Collection, Document

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
    known = [collection.name for collection in present]
    for name in sorted(set(collections) - set(known)):
        raise NotFound(f"The archive has no collection {name!r}.", hint=f"It has: {', '.join(known)}.")
    chosen = {number: c for number, c in enumerate(present) if not collections or c.name in collections}
    importing = _Import(index, archive, StoredFiles(storage))
    total, done = sum(collection.documents for collection in chosen.values()), 0
    yield ArchiveProgress("Importing", 0, total)
    for number, archived in chosen.items():
        collection = _collection_of(index.catalog, archived)
        for version in archive.documents(number):
            importing.add(version, collection)
            done += 1
            yield ArchiveProgress("Importing", done, total)
        importing.store()
    count = importing.count
    yield ImportResult(*(count[name] for name in ("added", "replaced", "unchanged", "chunks", "without_file")))


def _collection_of(catalog: Catalog, archived: ArchivedCollection) -> Collection:
    """The collection to put the documents into, made if need be. One that is named by its id, as users' are, gets that
    name only where it was: elsewhere nobody is there to own it."""
    is_id = archived.name.startswith("vs_")
    for known in catalog.collections_called(archived.name) if is_id else ():
        if known.name == archived.name:
            return known
    label = archived.label or "a vector store"
    return catalog.create_collection(f"from {label} ({archived.name})" if is_id else archived.name)


class _Import:
    """An import on its way."""

    def __init__(self, index: Index, archive: Archive, files: StoredFiles) -> None:
        self._index = index
        self._archive = archive
        self._files = files
        self._group: list[DocumentVersion] = []
        self.count: Counter[str] = Counter()

    def add(self, version: DocumentVersion, collection: Collection) -> None:
        """Take in a document, unless it is there."""
        catalog, archived = self._index.catalog, version.document
        known = catalog.document_of_source(collection.id, archived.source)
        if known is not None and _is_same(known, archived):
            self.count["unchanged"] += 1
            if not known.content.is_file():
                catalog.put_record(self._with_content(known))
            return
        self.count["added" if known is None else "replaced"] += 1
        document_id, number = archived.id, archived.version
        if known is not None:  # it keeps its id
            document_id, number = known.id, known.version + 1 if archived.version else 0
        elif catalog.live_versions([archived.id]):
            document_id = new_id("doc")
        document = replace(archived, id=document_id, collection=collection.name, owner_id=LOCAL_PRINCIPAL)
        document = self._with_content(replace(document, version=number))
        self.count["chunks"] += document.chunks
        if document.version == 0:
            catalog.put_record(document)
            return
        chunks = [
            replace(chunk, id=f"{document_id}:{number}:{chunk.number}", document_id=document_id)
            for chunk in version.chunks
        ]
        self._group.append(replace(version, document=document, chunks=chunks))
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
            with self._archive.open(f"files/{document.sha256}") as file:
                self._files.put(file, document.sha256)
        else:
            self.count["without_file"] += 1
        document = replace(document, content=self._files.path_of(document.sha256), file_id=None)
        if source.is_absolute() and not has_file:  # a path it stays: its folder may be ingested here, too
            return document
        records = FileRecords(self._index.catalog.database)
        file_id = records.add(source.name, document.sha256, document.size, OF_THIS_MACHINE)
        return replace(document, file_id=file_id)


def _is_same(known: Document, archived: Document) -> bool:
    """Whether the document here was made of the same bytes by the same program, or is at least readable."""
    if archived.version == 0 and known.version > 0:
        return True
    mine, other = ((d.sha256, d.fingerprint, d.status, d.version == 0, d.chunking) for d in (known, archived))
    return mine == other


def _has_bytes(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and hash_of(path) == sha256
    except OSError:
        return False
