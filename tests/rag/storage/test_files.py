"""Uploaded files as the catalog's database knows them."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import NotFound
from rag.storage.catalog import Catalog
from rag.storage.files import FileRecords
from rag.storage.paging import Cursor
from rag.types.documents import LOCAL_PRINCIPAL

pytestmark = pytest.mark.databases


@pytest.fixture
def records(database):
    with closing(Catalog(database)) as catalog:
        yield FileRecords(catalog.database)


def test_an_upload_of_a_chat_is_one_file_and_one_for_its_own_sake_another(records):
    first = records.add("a.txt", "00", 1, OF_THIS_MACHINE)
    assert records.add("a.txt", "00", 1, OF_THIS_MACHINE) == first
    assert records.add("b.txt", "00", 1, OF_THIS_MACHINE) != first
    kept = records.add("a.txt", "00", 1, OF_THIS_MACHINE, "assistants", "2020-01-01T00:00:00+00:00")
    assert kept not in (first, records.add("a.txt", "00", 1, OF_THIS_MACHINE, "assistants"))
    assert records.find(first).expires_at is None


def test_bytes_are_needed_for_their_own_sake_or_by_a_document(records):
    records.add("a.txt", "00", 1, OF_THIS_MACHINE)
    assert not records.is_needed("00"), "no document was made of it"
    kept = records.add("a.txt", "00", 1, OF_THIS_MACHINE, "assistants")
    assert records.is_needed("00")
    assert records.needed() == {"00"}
    records.delete(kept)
    assert not records.is_needed("00")


def test_a_chats_file_can_be_had_as_long_as_its_document_is_there(records):
    file_id = records.add("a.txt", "00", 1, OF_THIS_MACHINE)
    with pytest.raises(NotFound):
        records.get(file_id)


def test_pages_go_on_behind_a_file_in_both_orders(records):
    def page(cursor, purpose=None, owner=LOCAL_PRINCIPAL, key=None):
        return [record.id for record in records.page(owner, key, cursor, purpose).items]

    ids = [records.add(f"{number}.txt", f"{number:02}", 1, OF_THIS_MACHINE, "assistants") for number in range(5)]
    records.add("chat.txt", "99", 1, OF_THIS_MACHINE)
    assert page(Cursor(ids[1], limit=2, newest_first=False)) == ids[2:4]
    assert page(Cursor(ids[3]), "assistants") == ids[2::-1]
    assert page(Cursor(), "vision") == []
    for cursor, whose in (
        (Cursor("file_none"), {}),
        (Cursor(ids[1]), {"owner": "prn_other"}),
        (Cursor(ids[1]), {"key": "key_other"}),
    ):
        with pytest.raises(NotFound):
            page(cursor, **whose)


def test_a_file_whose_time_is_over_is_not_found(records):
    file_id = records.add("a.txt", "00", 1, OF_THIS_MACHINE, "assistants", "2020-01-01T00:00:00+00:00")
    with pytest.raises(NotFound):
        records.get(file_id)
    assert records.find(file_id).name == "a.txt"
    assert [record.id for record in records.expired()] == [file_id]
    assert records.page(LOCAL_PRINCIPAL, None, Cursor(), None).items == []
    records.delete(file_id)
    assert records.find(file_id) is None
