"""Makes documents for an index, as the write side would hand them over: a chunk a line of every page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.index.dense import vector_id
from rag.index.index import DocumentVersion
from rag.storage.catalog import Catalog, VersionedChunks
from rag.text.analysis import contextual_text
from rag.types.documents import LOCAL_PRINCIPAL, Chunk, Document, Section
from rag.types.models import Embedding


def make_version(
    document_id: str,
    pages: Sequence[str],
    embedding: Embedding,
    *,
    version: int = 1,
    collection: str = "default",
    heading: str = "",
    title: str = "",
    source: str = "",
) -> DocumentVersion:
    chunks: list[Chunk] = []
    for index, text in enumerate(pages):
        start = 0
        for line in text.splitlines():
            number = len(chunks)
            place = (index, str(index + 1), heading, None, start, start + len(line), line)
            chunks.append(Chunk(f"{document_id}:{version}:{number}", document_id, number, *place))
            start += len(line) + 1
    title = title or f"Title {document_id}"
    source = source or f"/documents/{document_id}.txt"
    document = Document(
        id=document_id,
        collection=collection,
        owner_id=LOCAL_PRINCIPAL,
        file_id=None,
        source=source,
        title=title,
        content=Path(source),
        media_type="text/plain",
        sha256=f"{version:064d}",
        size=sum(map(len, pages)),
        modified_ns=version,
        fingerprint="fingerprint",
        version=version,
        status="ready",
        pages=len(pages),
        chunks=len(chunks),
        error="",
        hint="",
        created_at="2026-01-01T00:00:00+00:00",
        updated_at="2026-01-01T00:00:00+00:00",
    )
    contexts = [contextual_text(title, heading, chunk.text) for chunk in chunks]
    vector_ids = [vector_id(text) for text in contexts]
    sections = [Section(text, i, str(i + 1), heading) for i, text in enumerate(pages)]
    vectors = dict(zip(vector_ids, embedding.embed_passages(contexts), strict=True))
    return DocumentVersion(document, sections, chunks, vector_ids, vectors)


def commit(catalog: Catalog, version: DocumentVersion) -> DocumentVersion:
    """Write the version into the catalog alone."""
    document = version.document
    catalog.begin([VersionedChunks(document.id, document.version, catalog.collection(document.collection).id)], {})
    catalog.commit_document(document, version.sections, version.chunks, version.vector_ids)
    return version
