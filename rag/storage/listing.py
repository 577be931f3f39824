"""The documents of a collection a page at a time, found by what their title or file name contains."""

from __future__ import annotations

from rag.storage.catalog import Catalog
from rag.storage.rows import document_of, select_documents
from rag.types.documents import Document


def list_documents(
    catalog: Catalog, collection_id: str, containing: str, limit: int, offset: int
) -> tuple[list[Document], int]:
    """Up to `limit` documents, those changed last first, and how many there are in all; blocking, milliseconds."""
    where = "d.collection_id = ? AND (d.title LIKE ? ESCAPE '\\' OR d.source LIKE ? ESCAPE '\\')"
    pattern = "%" + containing.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    values = (collection_id, pattern, pattern)
    rows = catalog.database.read(
        f"{select_documents()} AND {where} ORDER BY d.updated_at DESC, d.rowid DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    total = catalog.database.read(f"SELECT count(*) FROM documents d WHERE {where}", values)[0][0]
    return [document_of(row) for row in rows], int(total)
