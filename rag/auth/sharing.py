"""Whom a collection is shared with: nobody, some users, or everybody who may come in."""

from __future__ import annotations

from collections.abc import Iterable

from rag.storage.catalog import Catalog
from rag.types.documents import Collection


def share(
    catalog: Catalog,
    collection_id: str,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    public: bool | None = None,
) -> Collection:
    """Add and remove readers (ids of principals), and say whether everybody may read; None leaves that as it is.
    Blocking, milliseconds. Raises NotFound."""
    with catalog.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO shares (collection_id, principal_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(collection_id, reader) for reader in add],
        )
        connection.executemany(
            "DELETE FROM shares WHERE collection_id = ? AND principal_id = ?",
            [(collection_id, reader) for reader in remove],
        )
        if public is not None:
            connection.execute("UPDATE collections SET is_public = ? WHERE id = ?", (public, collection_id))
    return catalog.collection(collection_id)
