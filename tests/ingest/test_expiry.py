"""What has expired goes without anybody's asking, and no more than that."""

from __future__ import annotations

import io
import threading
import time
from contextlib import closing

import pytest

from ingest.expiry import Expiry
from ingest.ingestor import Ingestor
from rag.auth.principals import OF_THIS_MACHINE
from rag.index.index import Index
from rag.storage.connect import open_database
from rag.storage.paging import Cursor
from rag.storage.vector_stores import VectorStores
from rag.types.documents import LOCAL_PRINCIPAL
from tests.ingest.test_jobs import Gate, stored

pytestmark = pytest.mark.databases

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def index(settings, bag_of_words):
    with closing(Index(settings.storage.dir, bag_of_words, open_database(settings.storage))) as index:
        yield index


@pytest.fixture
def ingestor(settings, index):
    with Ingestor(settings, index) as ingestor:
        yield ingestor


@pytest.fixture
def stores(index):
    return VectorStores(index.catalog.database)


def keep(ingestor, name, expires_at=None):
    return ingestor.keep(io.BytesIO(f"The text of {name}.".encode()), name, "assistants", OF_THIS_MACHINE, expires_at)


def attach(ingestor, stores, store, *file_ids):
    ingestor.attach({file_id: {} for file_id in file_ids}, store.id)
    while stores.get(store.id).counts["in_progress"]:
        time.sleep(0.02)


def let_expire(index, store):
    with index.catalog.database.transaction() as connection:
        connection.execute("UPDATE collections SET active_at = :time WHERE id = :id", time=LONG_AGO, id=store.id)


def test_a_file_goes_with_its_documents_when_its_time_is_over(settings, ingestor, index, stores):
    store = stores.create(LOCAL_PRINCIPAL, "store")
    old, young = keep(ingestor, "old.txt", "2999-01-01T00:00:00+00:00"), keep(ingestor, "young.txt")
    attach(ingestor, stores, store, old, young)
    ingestor.sweep_expired()
    assert len(index.catalog.documents()) == 2
    with index.catalog.database.transaction() as connection:
        connection.execute("UPDATE files SET expires_at = :time WHERE id = :id", time=LONG_AGO, id=old)
    ingestor.sweep_expired()
    assert [document.file_id for document in index.catalog.documents()] == [young]
    assert [file.id for file in stores.files(store.id, Cursor()).items] == [young]
    assert len(stored(settings)) == 1


def test_an_expired_store_keeps_its_list_and_frees_its_text(ingestor, index, stores):
    kept, store = (stores.create(LOCAL_PRINCIPAL, name, expires_days=1) for name in ("kept", "store"))
    files = [keep(ingestor, f"{n}.txt") for n in range(3)]
    for each in (kept, store):
        attach(ingestor, stores, each, *files)
    let_expire(index, store)
    ingestor.sweep_expired()
    assert {document.collection for document in index.catalog.documents()} == {"kept"}
    found = stores.get(store.id)
    assert (found.is_expired, found.usage_bytes, found.counts["cancelled"], sum(found.counts.values())) == (
        *(True, 0, 3, 3),
    )
    listed = stores.files(store.id, Cursor(newest_first=False)).items
    assert [(file.id, file.status) for file in listed] == [(file_id, "cancelled") for file_id in files]
    assert stores.expired() == [], "there is nothing left to free"
    attach(ingestor, stores, stores.create(LOCAL_PRINCIPAL, "new"), *(file.id for file in listed))
    assert len([document for document in index.catalog.documents() if document.collection == "new"]) == 3


def test_what_is_on_its_way_into_an_expired_store_is_stopped(settings, bag_of_words):
    gate = Gate(bag_of_words)
    with (
        closing(Index(settings.storage.dir, gate, open_database(settings.storage))) as index,
        Ingestor(settings, index) as ingestor,
    ):
        stores = VectorStores(index.catalog.database)
        store = stores.create(LOCAL_PRINCIPAL, "store", expires_days=1)
        file_id = keep(ingestor, "a.txt")
        ingestor.attach({file_id: {}}, store.id)
        assert gate.reached.wait(30)
        let_expire(index, store)
        threading.Timer(0.2, gate.open.set).start()
        ingestor.sweep_expired()
        (file,) = stores.files(store.id, Cursor()).items
        assert file.status == "cancelled"
        assert index.catalog.documents() == []


def test_it_is_looked_again_and_again_also_after_a_fault():
    calls, again = [], threading.Event()

    def sweep():
        calls.append(len(calls))
        if len(calls) == 1:
            raise OSError("disk full")
        if len(calls) == 3:
            again.set()

    with Expiry(sweep, 0.01):
        assert again.wait(10)
    count = len(calls)
    time.sleep(0.05)
    assert len(calls) == count, "closed"
