"""Uploads in parts by OpenAI's own client."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import openai
import pytest

from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving

CONTENT = b"# Crates\n\n" + b"The crate is kept dry.\n" * 2000


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with serving(api_settings(tmp_path_factory.mktemp("uploads")), []) as served:
        yield served


@pytest.fixture
def client(stored):
    with openai.OpenAI(base_url=f"{stored.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def begin(client, **more):
    options = {"bytes": len(CONTENT), "filename": "crates.md", "mime_type": "text/markdown", "purpose": "assistants"}
    return client.uploads.create(**{**options, **more})


def test_a_file_in_parts_is_a_file_and_its_parts_are_gone(client, stored):
    upload = client.uploads.upload_file_chunked(
        file=CONTENT,
        filename="crates.md",
        bytes=len(CONTENT),
        mime_type="text/markdown",
        purpose="assistants",
        part_size=10_000,
        md5=hashlib.md5(CONTENT).hexdigest(),
    )
    assert (upload.status, upload.file.filename, upload.file.bytes) == ("completed", "crates.md", len(CONTENT))
    assert client.files.content(upload.file.id).read() == CONTENT
    assert [file.id for file in client.files.list()] == [upload.file.id]
    assert len(stored.services.catalog.database.read("SELECT 1 FROM files")) == 1
    store = client.vector_stores.create()
    attached = client.vector_stores.files.create_and_poll(upload.file.id, vector_store_id=store.id)
    assert attached.status == "completed"
    client.files.delete(upload.file.id)


def test_parts_are_put_together_in_the_order_that_is_named(client):
    upload = begin(client, expires_after={"anchor": "created_at", "seconds": 3600})
    assert (upload.status, upload.expires_at - upload.created_at) == ("pending", 3600)
    second, first = (client.uploads.parts.create(upload.id, data=data) for data in (CONTENT[100:], CONTENT[:100]))
    assert not list(client.files.list())
    done = client.uploads.complete(upload.id, part_ids=[first.id, second.id])
    assert client.files.content(done.file.id).read() == CONTENT
    assert done.file.expires_at > done.file.created_at
    client.files.delete(done.file.id)
    with pytest.raises(openai.NotFoundError, match="no upload"):
        client.uploads.complete(upload.id, part_ids=[first.id, second.id])


def test_what_is_cancelled_leaves_nothing(client, stored):
    upload = begin(client)
    client.uploads.parts.create(upload.id, data=CONTENT)
    assert client.uploads.cancel(upload.id).status == "cancelled"
    assert not stored.services.catalog.database.read("SELECT 1 FROM files UNION ALL SELECT 1 FROM uploads")
    with pytest.raises(openai.NotFoundError):
        client.uploads.parts.create(upload.id, data=CONTENT)


def test_what_is_wrong_is_said(client, stored):
    with pytest.raises(openai.BadRequestError) as raised:
        begin(client, bytes=stored.services.settings.server.max_upload_mb * 2**20 + 1)
    assert raised.value.body["param"] == "bytes"
    upload, other = begin(client), begin(client)
    part = client.uploads.parts.create(upload.id, data=CONTENT[:-1])
    foreign = client.uploads.parts.create(other.id, data=CONTENT)
    complete = client.uploads.parts.create(upload.id, data=CONTENT)
    for part_ids, param in (([part.id], "part_ids"), ([foreign.id], "part_ids"), ([complete.id], "md5")):
        with pytest.raises(openai.BadRequestError) as raised:
            client.uploads.complete(upload.id, part_ids=part_ids, md5="0" * 32)
        assert raised.value.body["param"] == param
    assert client.uploads.complete(upload.id, part_ids=[complete.id]).status == "completed"
    assert client.uploads.cancel(other.id).status == "cancelled"


def test_more_than_was_announced_is_not_kept(client, stored):
    before = stored.services.catalog.database.read("SELECT id FROM files")
    upload = begin(client, bytes=100)
    for _ in range(2):
        client.uploads.parts.create(upload.id, data=b"x" * 100)
    with pytest.raises(openai.BadRequestError, match="were announced"):
        client.uploads.parts.create(upload.id, data=b"x")
    client.uploads.cancel(upload.id)
    assert stored.services.catalog.database.read("SELECT id FROM files") == before


def test_an_upload_is_its_owners(tmp_path):
    settings = api_settings(tmp_path)
    settings = settings.model_copy(update={"auth": settings.auth.model_copy(update={"required": True})})
    with serving(settings, []) as served, ExitStack() as stack:
        database = served.services.catalog.database
        keys = [ApiKeys(database).create(Users(database).add(name).id) for name in ("anna", "ben")]
        anna, ben = (
            stack.enter_context(openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0)) for key in keys
        )
        upload = begin(anna)
        with pytest.raises(openai.NotFoundError):
            ben.uploads.parts.create(upload.id, data=CONTENT)
        part = anna.uploads.parts.create(upload.id, data=CONTENT)
        with pytest.raises(openai.NotFoundError):
            ben.uploads.complete(begin(ben).id, part_ids=[part.id])
        assert anna.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"


def test_an_upload_that_is_completed_many_times_at_once_is_one_file(client):
    half = CONTENT * 200  # so that it takes a while
    upload = begin(client, bytes=2 * len(half))
    parts = [client.uploads.parts.create(upload.id, data=("part", half)).id for _ in range(2)]
    before = {file.id for file in client.files.list()}

    def complete(_):
        try:
            return client.uploads.complete(upload.id, part_ids=parts).status
        except openai.APIStatusError as error:
            return error.status_code

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(complete, range(8)))
    assert sorted(map(str, outcomes)) == ["404"] * 7 + ["completed"]
    (file_id,) = {file.id for file in client.files.list()} - before
    assert client.files.content(file_id).read() == 2 * half
