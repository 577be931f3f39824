"""OpenAI's own client: upload, attach and poll, search, batches, pages of lists, delete."""

from __future__ import annotations

import hashlib
import io
import time

import openai
import pytest

from rag.api.openai.vector_store_files import store_file_object
from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import TooManyOpenFiles, words_for_everybody
from rag.storage.vector_stores import StoreFile
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

NOTES = {
    "oil.md": "# Oil\n\nThe pump needs oil every ninety days.",
    "hotel.md": "# Hotels\n\nA hotel night costs 185 EUR at most.",
    "fox.md": "# Fox\n\nThe orange fox sleeps in hall seven.",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of its own: these tests write."""
    folder = tmp_path_factory.mktemp("stores")
    with serving(api_settings(folder), [write_documents(folder / "documents")]) as served:
        yield served


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def upload(client, name, text=None):
    content = (text or NOTES[name]).encode()
    return client.files.create(file=(name, io.BytesIO(content)), purpose="assistants")


def test_upload_attach_and_poll_search_delete(client):
    store = client.vector_stores.create(name="Notes", metadata={"team": "pumps"})
    assert (store.status, store.file_counts.total, store.metadata) == ("completed", 0, {"team": "pumps"})
    file = upload(client, "oil.md")
    assert (file.filename, file.bytes, file.status) == ("oil.md", len(NOTES["oil.md"]), "processed")
    attached = client.vector_stores.files.create_and_poll(
        file.id, vector_store_id=store.id, attributes={"year": 2021, "final": True}, poll_interval_ms=50
    )
    assert (attached.status, attached.last_error) == ("completed", None)
    assert attached.attributes == {"year": 2021, "final": True}
    store = client.vector_stores.retrieve(store.id)
    assert (store.file_counts.completed, store.file_counts.total) == (1, 1)
    assert store.usage_bytes == len(NOTES["oil.md"])

    (hit,) = client.vector_stores.search(store.id, query="How often does the pump need oil?").data
    assert (hit.file_id, hit.filename) == (file.id, "oil.md")
    assert "ninety days" in hit.content[0].text
    assert 0 < hit.score <= 1
    assert hit.attributes["year"] == 2021
    found = client.vector_stores.search(
        store.id, query=["pump", "oil"], filters={"type": "lt", "key": "year", "value": 2021}
    )
    assert (found.search_query, found.data) == (["pump", "oil"], [])

    parts = client.vector_stores.files.content(file.id, vector_store_id=store.id).data
    assert "ninety days" in "".join(part.text for part in parts)
    changed = client.vector_stores.files.update(file.id, vector_store_id=store.id, attributes={"year": 2022})
    assert changed.attributes == {"year": 2022}
    assert client.vector_stores.files.delete(file.id, vector_store_id=store.id).deleted
    assert not client.vector_stores.search(store.id, query="pump oil").data
    assert client.files.content(file.id).read().decode() == NOTES["oil.md"], "the file stays"
    assert client.vector_stores.delete(store.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.retrieve(store.id)
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.content(file.id)


def test_deleting_a_file_takes_it_out_of_every_store(client):
    file = upload(client, "fox.md")
    stores = [client.vector_stores.create(file_ids=[file.id]) for _ in range(2)]
    for store in stores:
        wait(client, store.id)
        assert client.vector_stores.search(store.id, query="orange fox").data
    client.files.delete(file.id)
    for store in stores:
        assert client.vector_stores.retrieve(store.id).file_counts.total == 0
        assert not client.vector_stores.search(store.id, query="orange fox").data
        client.vector_stores.delete(store.id)


def test_a_batch_counts_right_from_the_first_answer_and_names_what_failed(client):
    store = client.vector_stores.create()
    files = [upload(client, name) for name in NOTES]
    broken = upload(client, "broken.pdf", "%PDF-1.4 nothing")
    batch = client.vector_stores.file_batches.create(
        store.id,
        files=[{"file_id": file.id, "attributes": {"place": n}} for n, file in enumerate([*files, broken])],
    )
    counts = batch.file_counts
    assert counts.total == 4
    assert counts.in_progress + counts.completed + counts.failed == 4
    batch = client.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id, poll_interval_ms=50)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 3, 1)
    (failed,) = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="failed")
    assert (failed.id, failed.last_error.code) == (broken.id, "invalid_file")
    assert failed.last_error.message
    listed = client.vector_stores.files.list(store.id, order="asc", limit=2)
    assert [file.id for file in listed] == [*[file.id for file in files], broken.id], "the client pages by itself"
    (last,) = client.vector_stores.files.list(store.id, order="asc", before=files[1].id).data
    assert last.id == files[0].id
    client.vector_stores.delete(store.id)


def test_a_folders_collection_is_a_store(client, served):
    store = client.vector_stores.retrieve("default")
    assert store.file_counts.completed == 3
    (manual,) = [
        file for file in client.vector_stores.files.list(store.id) if file.id == served.document_id("manual.pdf")
    ]
    assert manual.status == "completed"
    best = client.vector_stores.search(store.id, query="pump oil").data[0]
    assert (best.filename, best.attributes["page"]) == ("manual.pdf", 2)
    with pytest.raises(openai.ConflictError):
        client.vector_stores.delete(store.id)


def test_lists_of_files_and_stores_go_on_behind_a_cursor(client):
    files = [upload(client, f"{number}.txt", f"Text number {number}.") for number in range(5)]
    first = client.files.list(limit=2, order="asc")
    assert len(first.data) == 2
    assert first.has_more
    ids = [file.id for file in client.files.list(limit=2)]
    assert ids[:5] == [file.id for file in reversed(files)]
    stores = [client.vector_stores.create(name="Twice") for _ in range(3)]
    assert [store.name for store in stores] == ["Twice"] * 3
    listed = [store.id for store in client.vector_stores.list(limit=2)]
    assert listed[:3] == [store.id for store in reversed(stores)]
    before = client.vector_stores.list(before=stores[0].id, limit=1)
    assert [store.id for store in before.data] == [stores[1].id], "the one next to it"
    assert before.has_more
    before = client.vector_stores.list(before=stores[2].id, limit=1, order="asc")
    assert [store.id for store in before.data] == [stores[1].id]
    renamed = client.vector_stores.update(
        stores[0].id, name="Once", expires_after={"anchor": "last_active_at", "days": 7}
    )
    assert renamed.name == "Once"
    assert renamed.expires_at == pytest.approx(time.time() + 7 * 24 * 3600, abs=60)
    for file in files:
        client.files.delete(file.id)
    for store in stores:
        client.vector_stores.delete(store.id)


def test_the_same_bytes_are_stored_once_and_deleted_one_by_one(client, served):
    first, second = upload(client, "twin.txt", "The same."), upload(client, "twin.txt", "The same.")
    assert first.id != second.id
    store = client.vector_stores.create(file_ids=[first.id, second.id])
    wait(client, store.id)
    assert client.vector_stores.retrieve(store.id).file_counts.completed == 2
    client.files.delete(first.id)
    assert client.files.content(second.id).read() == b"The same."
    (left,) = client.vector_stores.files.list(store.id)
    assert left.id == second.id
    client.vector_stores.delete(store.id)
    client.files.delete(second.id)
    stored = served.services.settings.storage.dir / "files"
    digest = hashlib.sha256(b"The same.").hexdigest()
    assert not (stored / digest[:2] / digest).exists()


def test_a_chats_document_outlives_an_api_file_of_its_name_and_bytes(client, served, tmp_path):
    (tmp_path / "shared.txt").write_text("A walrus came to the office.")
    ingest = served.services.ingest
    job = ingest.wait(ingest.submit(tmp_path / "shared.txt", "shared.txt", "default", OF_THIS_MACHINE).id, 30)
    client.files.delete(upload(client, "shared.txt", "A walrus came to the office.").id)
    assert client.vector_stores.search("default", query="walrus").data[0].filename == "shared.txt"
    ingest.delete(job.report.document_id)
    with pytest.raises(openai.NotFoundError):
        client.files.content(job.file_id)


def test_a_stores_name_is_never_taken_for_another_ones_id(client):
    first = client.vector_stores.create(name="First")
    second = client.vector_stores.create(name=first.id)
    client.vector_stores.files.create_and_poll(
        upload(client, "fox.md").id, vector_store_id=second.id, poll_interval_ms=50
    )
    counts = [client.vector_stores.retrieve(store.id).file_counts.completed for store in (first, second)]
    assert counts == [0, 1]
    for store in (first, second):
        client.vector_stores.delete(store.id)


def test_attached_twice_and_taken_out_at_once_it_stays_out(client):
    store, file = client.vector_stores.create(), upload(client, "oil.md")
    for year in (2021, 2022):
        client.vector_stores.files.create(store.id, file_id=file.id, attributes={"year": year})
    client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    time.sleep(1)
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    assert not client.vector_stores.search(store.id, query="pump oil").data
    client.vector_stores.delete(store.id)


def test_the_attributes_of_the_last_attach_hold(client):
    store, file = client.vector_stores.create(), upload(client, "oil.md")
    client.vector_stores.files.create(store.id, file_id=file.id)
    client.vector_stores.files.create(store.id, file_id=file.id, attributes={"year": 2022})
    wait(client, store.id)
    assert client.vector_stores.files.retrieve(file.id, vector_store_id=store.id).attributes == {"year": 2022}
    client.vector_stores.delete(store.id)


def test_a_batch_can_be_followed_whatever_becomes_of_its_files(client):
    store, file = client.vector_stores.create(), upload(client, "oil.md")
    batches = [client.vector_stores.file_batches.create(store.id, file_ids=[file.id]) for _ in range(2)]
    wait(client, store.id)
    client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    for batch in batches:
        found = client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
        assert (found.status, found.file_counts.total) == ("completed", 1)
    cancelled = client.vector_stores.file_batches.cancel(batches[0].id, vector_store_id=store.id)
    assert cancelled.status == "completed", "it was over"
    client.vector_stores.delete(store.id)


def test_an_expired_store_answers_nobody(client, served):
    store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 1})
    with served.services.catalog.database.transaction() as connection:
        connection.execute("UPDATE collections SET active_at = '2020-01-01T00:00:00+00:00' WHERE id = :id", id=store.id)
    assert client.vector_stores.retrieve(store.id).status == "expired"
    tool = {"type": "file_search", "vector_store_ids": [store.id]}
    for ask in (
        lambda: client.vector_stores.search(store.id, query="oil"),
        lambda: client.responses.create(model="scripted", input="oil", tools=[tool]),
        lambda: client.vector_stores.files.create(store.id, file_id=upload(client, "oil.md").id),
    ):
        with pytest.raises(openai.BadRequestError, match="expired"):
            ask()
    assert client.vector_stores.retrieve(store.id).status == "expired"
    client.vector_stores.delete(store.id)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_lists_are_paged_while_what_was_shown_is_deleted(client, order):
    """All but the last item of a page, behind which the next one is asked for."""
    name = f"paged {order}"
    files = [upload(client, f"{name} {n}.txt", f"{name} {n}") for n in range(5)]
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=[f.id for f in files], poll_interval_ms=50
    )
    stores = [client.vector_stores.create(name=f"{name} {n}").id for n in range(5)]
    in_store, delete_file = client.vector_stores.files, client.files.delete
    for ids, listed, delete in (
        (
            [file.id for file in files],
            lambda: client.vector_stores.file_batches.list_files(
                batch.id, vector_store_id=store.id, limit=2, order=order
            ),
            lambda file_id: in_store.delete(file_id, vector_store_id=store.id),
        ),
        ([file.id for file in files], lambda: client.files.list(limit=2, order=order), delete_file),
        (stores, lambda: client.vector_stores.list(limit=2, order=order), client.vector_stores.delete),
    ):
        seen = []
        for item in listed():
            if item.id in ids:
                seen.append(item.id)
                if len(seen) > 1:
                    delete(seen[-2])
        assert seen == (ids if order == "asc" else ids[::-1])
        delete(seen[-1])
    client.vector_stores.delete(store.id)


def test_a_cursor_names_what_is_in_the_list(client, served, tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text(f"Folder text {number}.")
    list(served.services.ingest.add_paths([tmp_path], "folder"))
    store = client.vector_stores.retrieve("folder")
    first, second = client.vector_stores.files.list(store.id, limit=2, order="asc").data
    client.vector_stores.files.delete(first.id, vector_store_id=store.id)
    behind = client.vector_stores.files.list(store.id, after=second.id, order="asc")
    assert [file.filename for file in behind] == ["2.txt", "3.txt"]
    for cursor in ({"after": first.id}, {"before": first.id}):
        with pytest.raises(openai.NotFoundError, match="in this list"):
            client.vector_stores.files.list(store.id, **cursor)
    client.vector_stores.delete(store.id)


def test_an_unsupported_file_and_unknown_ids_are_told(client):
    store = client.vector_stores.create()
    file = upload(client, "picture.xyz", "nothing")
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=50)
    assert (attached.status, attached.last_error.code) == ("failed", "unsupported_file")
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.create(store.id, file_id="file_none")
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.list(store.id, after="file_none")
    with pytest.raises(openai.BadRequestError) as raised:
        client.vector_stores.search(store.id, query="x", filters={"type": "near", "key": "a", "value": 1})
    assert raised.value.body["param"] == "filters"
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=("empty.txt", b""), purpose="assistants")
    client.vector_stores.delete(store.id)


def wait(client, store_id):
    for _ in range(200):
        if client.vector_stores.retrieve(store_id).status == "completed":
            return
        time.sleep(0.05)
    raise AssertionError("it was not completed")


def test_what_the_server_lacks_is_no_fault_of_the_file():
    error = " ".join(words_for_everybody(TooManyOpenFiles("Too many files are open.", hint="Let it have more.")))
    file = StoreFile("file_1", "vs_1", None, "a.txt", 1, "2026-01-01T00:00:00+00:00", {}, error, None, None, "failed")
    assert store_file_object(file)["last_error"] == {"code": "server_error", "message": error}
