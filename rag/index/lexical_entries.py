"""What is indexed of the catalog's chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rag.index.lexical import LexicalEntry
from rag.storage.catalog import Catalog
from rag.types.documents import Chunk


def lexical_entries(title: str, collection_id: str, chunks: Iterable[Chunk]) -> Iterator[LexicalEntry]:
    """The chunks of a document of that title."""
    for chunk in chunks:
        yield LexicalEntry(chunk.id, collection_id, title, chunk.heading, chunk.text, chunk.page_index)


def live_entries(catalog: Catalog, version: str) -> list[LexicalEntry]:
    """The chunks of a version (`{document}:{version}`); none where it is not the live one, or not any more."""
    document_id = version.rpartition(":")[0]
    document = catalog.find_document(document_id)
    entries = [
        entry
        for live in catalog.live_versions([document_id])
        if document is not None
        for entry in lexical_entries(document.title, live.collection_id, catalog.chunks_of(document_id))
    ]
    return entries if all(entry.version == version for entry in entries) else []
