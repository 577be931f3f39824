"""Whom a collection is shared with: nobody, some users, or everybody who may come in."""

from __future__ import annotations

from collections.abc import Iterable

from rag.storage import schema
from rag.storage.catalog import Catalog
from rag.storage.rows import upsert
from rag.types.documents import Collection


def share(
    catalog: Catalog,
    collection_id: str,
    *,
    add: Iterable[str] = (),
    delete: Iterable[str] = (),
    public: bool | None = None,
) -> Collection:
    """Add and delete readers (ids of principals), and say whether everybody may read; None leaves that as it is.
    Blocking, milliseconds. Raises NotFound."""
    with catalog.database.transaction() as connection:
        connection.executemany(
            upsert(schema.shares), [{"collection_id": collection_id, "principal_id": reader} for reader in add]
        )
        connection.executemany(
            "DELETE FROM shares WHERE collection_id = :collection AND principal_id = :reader",
            [{"collection": collection_id, "reader": reader} for reader in delete],
        )
        if public is not None:
            connection.execute(
                "UPDATE collections SET is_public = :public WHERE id = :id", public=public, id=collection_id
            )
    return catalog.collection(collection_id)
