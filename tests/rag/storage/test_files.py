"""Uploaded files as the catalog's database knows them."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import NotFound
from rag.storage.catalog import Catalog
from rag.storage.files import FileRecords
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
    records.remove(kept)
    assert not records.is_needed("00")


def test_a_chats_file_can_be_had_as_long_as_its_document_is_there(records):
    file_id = records.add("a.txt", "00", 1, OF_THIS_MACHINE)
    with pytest.raises(NotFound):
        records.get(file_id)


def test_pages_go_on_behind_a_file_in_both_orders(records):
    ids = [records.add(f"{number}.txt", f"{number:02}", 1, OF_THIS_MACHINE, "assistants") for number in range(5)]
    records.add("chat.txt", "99", 1, OF_THIS_MACHINE)
    forward = records.page(LOCAL_PRINCIPAL, None, ids[1], 2, newest_first=False, purpose=None)
    assert [record.id for record in forward] == ids[2:4]
    backward = records.page(LOCAL_PRINCIPAL, None, ids[3], 9, newest_first=True, purpose="assistants")
    assert [record.id for record in backward] == ids[2::-1]
    assert records.page(LOCAL_PRINCIPAL, None, None, 9, newest_first=True, purpose="vision") == []
    with pytest.raises(NotFound):
        records.page(LOCAL_PRINCIPAL, None, "file_none", 2, newest_first=True, purpose=None)
    with pytest.raises(NotFound):
        records.page("prn_other", None, ids[1], 2, newest_first=True, purpose=None)
    with pytest.raises(NotFound):
        records.page(LOCAL_PRINCIPAL, "key_other", ids[1], 2, newest_first=True, purpose=None)


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_list_can_be_deleted_page_by_page(records, newest_first):
    ids = [records.add(f"{number}.txt", f"{number:02}", 1, OF_THIS_MACHINE, "assistants") for number in range(7)]
    order = ids[::-1] if newest_first else ids
    seen, after = [], None
    while page := records.page(LOCAL_PRINCIPAL, None, after, 2, newest_first=newest_first, purpose=None):
        for record in page:
            seen.append(record.id)
            records.remove(record.id)
        after = page[-1].id
    assert seen == order


def test_what_came_after_a_deleted_file_is_behind_it_though_it_has_its_row(records):
    first, last = (records.add(name, name, 1, OF_THIS_MACHINE, "assistants") for name in ("first", "last"))
    records.remove(last)
    new = records.add("new", "new", 1, OF_THIS_MACHINE, "assistants")
    assert [record.id for record in records.page(LOCAL_PRINCIPAL, None, last, 9, newest_first=False, purpose=None)] == [
        new
    ]
    assert [record.id for record in records.page(LOCAL_PRINCIPAL, None, last, 9, newest_first=True, purpose=None)] == [
        first
    ]


def test_a_file_whose_time_is_over_is_not_found(records):
    file_id = records.add("a.txt", "00", 1, OF_THIS_MACHINE, "assistants", "2020-01-01T00:00:00+00:00")
    with pytest.raises(NotFound):
        records.get(file_id)
    assert records.find(file_id).name == "a.txt"
    assert [record.id for record in records.expired()] == [file_id]
    assert records.page(LOCAL_PRINCIPAL, None, None, 9, newest_first=True, purpose=None) == []
    records.remove(file_id)
    assert records.find(file_id) is None
