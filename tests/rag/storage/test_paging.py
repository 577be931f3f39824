"""Pages of lists: nothing is skipped or seen twice though others come and go, and a cursor names what is there."""

from __future__ import annotations

from contextlib import closing

import pytest

from ingest.jobs import JobStore
from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import InvalidRequest, NotFound
from rag.storage.catalog import Catalog
from rag.storage.files import FileRecords
from rag.storage.paging import Cursor
from rag.storage.vector_stores import VectorStores
from rag.types.documents import LOCAL_PRINCIPAL
from tests.rag.versions import commit, make_version

pytestmark = pytest.mark.databases


@pytest.fixture
def catalog(database):
    with closing(Catalog(database)) as catalog:
        yield catalog


class Files:
    """Uploaded files, as a list that items are added to and deleted from."""

    def __init__(self, catalog):
        self.records = FileRecords(catalog.database)

    def add(self, name):
        return self.records.add(name, name, 1, OF_THIS_MACHINE, "assistants")

    def delete(self, item_id):
        self.records.delete(item_id)

    def page(self, cursor):
        return self.records.page(LOCAL_PRINCIPAL, None, cursor, None)


class Stores:
    """Vector stores; the default one is not among them."""

    def __init__(self, catalog):
        self.catalog, self.stores = catalog, VectorStores(catalog.database)

    def add(self, name):
        return self.stores.create(LOCAL_PRINCIPAL, name).id

    def delete(self, item_id):
        assert self.catalog.delete_collection(item_id)

    def page(self, cursor):
        ids = [collection.id for collection in self.catalog.collections() if collection.name != "default"]
        return self.stores.page(cursor, ids)


class StoreFiles(Files):
    """Files of a store."""

    def __init__(self, catalog):
        super().__init__(catalog)
        self.stores, self.jobs = VectorStores(catalog.database), JobStore(catalog.database)
        self.store = catalog.collection(self.stores.create(LOCAL_PRINCIPAL, "all").id)

    def add(self, name):
        file_id = super().add(name)
        self.jobs.attach(self.store, {file_id: {}}, None, {})
        return file_id

    def delete(self, item_id):
        self.stores.detach(self.store.id, item_id)

    def page(self, cursor):
        return self.stores.files(self.store.id, cursor)


@pytest.fixture(params=[Files, Stores, StoreFiles])
def items(request, catalog):
    return request.param(catalog)


def ids(page):
    return [item.id for item in page.items]


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_follow_each_other_though_others_come_and_go(items, newest_first):
    all_ids = [items.add(f"item {number}") for number in range(7)]
    order = all_ids[::-1] if newest_first else all_ids
    first = items.page(Cursor(limit=3, newest_first=newest_first))
    assert (ids(first), first.has_more) == (order[:3], True)
    items.delete(order[0])
    items.delete(order[3])
    new = items.add("new")
    second = items.page(Cursor(after=order[2], limit=3, newest_first=newest_first))
    assert ids(second) == order[4:7]
    assert second.has_more != newest_first, "what is new is at the end of the oldest, at the beginning of the newest"
    before = items.page(Cursor(before=order[4], limit=3, newest_first=newest_first))
    assert ids(before) == ([new] if newest_first else []) + order[1:3]


def test_a_cursor_names_an_item_of_the_list(items):
    first, last = (items.add(name) for name in ("first", "last"))
    items.delete(last)
    for cursor in (Cursor(after=last), Cursor(before=last), Cursor(after="nothing")):
        with pytest.raises(NotFound, match="in this list"):
            items.page(cursor)
    with pytest.raises(InvalidRequest):
        items.page(Cursor(after=first, before=first))


def test_documents_of_a_folder_come_behind_the_files_of_a_store(catalog, bag_of_words):
    """Both have row numbers of their own, which may be the same."""
    items = StoreFiles(catalog)
    attached = [items.add(f"item {number}") for number in range(3)]
    documents = [f"doc_{number}" for number in range(3)]
    for document_id in documents:
        commit(catalog, make_version(document_id, ["text"], bag_of_words, collection=items.store.id))
    for limit in (1, 2, 4):
        seen, after = [], None
        while page := ids(items.page(Cursor(after=after, limit=limit, newest_first=False))):
            seen += page
            after = page[-1]
        assert seen == [*attached, *documents]
