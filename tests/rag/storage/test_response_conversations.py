"""Conversations of responses, and uploads, are kept in either database, and what rests on a document goes with it."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.errors import Conflict, NotFound
from rag.storage.catalog import Catalog
from rag.storage.files import FileRecords
from rag.storage.ids import new_id
from rag.storage.paging import Cursor
from rag.storage.response_conversations import ResponseConversations, delete_of_document
from rag.storage.uploads import MOST_PENDING, Uploads
from rag.types.documents import LOCAL_PRINCIPAL, Owned

pytestmark = pytest.mark.databases

OWNED = Owned(LOCAL_PRINCIPAL, "key_1")


@pytest.fixture
def database(database):
    with closing(Catalog(database)) as catalog:  # it knows this machine's principal
        yield catalog.database


def item(text):
    return {"id": new_id("msg"), "text": text}


@pytest.fixture
def conversations(database):
    return ResponseConversations(database)


def texts(conversations, conversation_id):
    return [item["text"] for item in conversations.items(conversation_id)]


def test_items_keep_their_order_and_their_conversation(conversations):
    first = conversations.create(OWNED, {"a": "ä"}, [item("1")])
    second = conversations.create(OWNED, {})
    for conversation_id, text in ((second, "x"), (first, "2"), (second, "y"), (first, "3")):
        conversations.append(conversation_id, [item(text)])
    assert (conversations.get(first).metadata, conversations.get(first).owned) == ({"a": "ä"}, OWNED)
    assert (texts(conversations, first), texts(conversations, second)) == (["1", "2", "3"], ["x", "y"])
    page = conversations.page(first, Cursor(limit=2))
    assert ([item["text"] for item in page.items], page.has_more) == (["3", "2"], True)
    with pytest.raises(NotFound):
        conversations.page(second, Cursor(after=page.items[-1]["id"]))
    conversations.delete(first)
    assert texts(conversations, first) == []
    with pytest.raises(NotFound):
        conversations.append(first, [item("4")])


def test_a_turn_that_rests_on_a_document_goes_with_it_and_with_what_followed(conversations, database):
    first, second = conversations.create(OWNED, {}, [item("1")]), conversations.create(OWNED, {}, [item("x")])
    conversations.append(first, [item("2"), item("3")], ["doc_b", "doc_a"])
    conversations.append(first, [item("4")])
    conversations.append(second, [item("y")], ["doc_b"])
    assert conversations.documents(first) == {"doc_a", "doc_b"}
    with database.transaction() as connection:
        delete_of_document(connection, "doc_a")
    assert (texts(conversations, first), texts(conversations, second)) == (["1"], ["x", "y"])
    with database.transaction() as connection:
        delete_of_document(connection, "doc_none")
    assert texts(conversations, second) == ["x", "y"]


def test_an_upload_is_known_until_it_is_over(database):
    uploads, files = Uploads(database), FileRecords(database)
    upload = uploads.get(uploads.create("a.pdf", "assistants", 3, OWNED, None))
    assert (upload.name, upload.size, upload.file_seconds, upload.owned) == ("a.pdf", 3, None, OWNED)
    part = files.add("a.pdf", "0" * 64, 3, OWNED, upload.id, upload.expires_at)
    assert [record.id for record in files.of_purpose(upload.id)] == [part]
    assert not files.page(LOCAL_PRINCIPAL, None, Cursor(), None).items
    database.write("UPDATE uploads SET expires_at = '2020-01-01T00:00:00+00:00'")
    with pytest.raises(NotFound):
        uploads.get(upload.id)
    uploads.create("b.pdf", "assistants", 3, OWNED, None)
    assert [row.name for row in database.read("SELECT name FROM uploads")] == ["b.pdf"]


def test_only_so_many_uploads_of_one_owner_go_on(database):
    uploads = Uploads(database)
    ids = [uploads.create("a.md", "assistants", 10, OWNED, None) for _ in range(MOST_PENDING)]
    with pytest.raises(Conflict, match="pending"):
        uploads.create("a.md", "assistants", 10, OWNED, None)
    uploads.delete(ids[0])
    assert uploads.get(uploads.create("b.md", "assistants", 10, OWNED, None)).name == "b.md"


def test_the_oldest_of_very_many_items_go(conversations):
    conversation_id = conversations.create(OWNED, {})
    for start in range(0, 10_050, 1_005):
        conversations.append(conversation_id, [item(str(number)) for number in range(start, start + 1_005)])
    kept = texts(conversations, conversation_id)
    assert (len(kept), kept[0], kept[-1]) == (10_000, "50", "10049")
