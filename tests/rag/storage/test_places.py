"""Places of what was deleted: exact, and not kept for ever."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.errors import NotFound
from rag.storage.catalog import Catalog
from rag.storage.places import Place, find_place
from rag.storage.vector_stores import Cursor, VectorStores
from rag.types.documents import LOCAL_PRINCIPAL

pytestmark = pytest.mark.databases


@pytest.fixture
def catalog(database):
    with closing(Catalog(database)) as catalog:
        yield catalog


def test_what_came_after_a_deleted_store_is_behind_it_though_it_has_its_row(catalog):
    stores = VectorStores(catalog.database)
    first, last = (stores.create(LOCAL_PRINCIPAL, name) for name in ("first", "last"))
    catalog.remove_collection(last.id)
    new = stores.create(LOCAL_PRINCIPAL, "new")

    def everything():
        return [collection.id for collection in catalog.collections()]

    def names(**cursor):
        return [store.name for store in stores.page(Cursor(**cursor), everything()).items]

    assert names(after=last.id, newest_first=False) == ["new"]
    assert names(after=last.id) == ["first", "default"]
    assert names(before=last.id) == ["new"]
    assert names(before=last.id, newest_first=False) == ["default", "first"]
    assert names(after=new.id) == ["first", "default"]
    assert names(after=first.id, newest_first=False) == ["new"]


def test_the_last_ones_are_kept(catalog):
    with catalog.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO former_places VALUES ('files', ?, ?)", [(f"f{n}", n) for n in range(10_100)]
        )

    def place(item_id):
        return find_place(catalog.database, item_id, "SELECT rowid FROM files WHERE id = ?", (item_id,), "files")

    assert place("f10099") == Place(10_099, is_former=True)
    assert place("f100") == Place(100, is_former=True)
    for item_id in ("f99", "f0", "nothing"):
        with pytest.raises(NotFound):
            place(item_id)
