"""OpenAI's chunking strategies: kept to, shown, refused where they are none, and harmless in an answer."""

from __future__ import annotations

import io
import itertools
import re

import openai
import pytest

from rag.answering.modes.request import Request
from rag.storage.selection import scope_of
from rag.types.documents import AnswerCompleted, ChunksRetrieved, Message
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

TEXT = " ".join(f"The valve number {n} opens at {n + 100} bar and closes again." for n in range(120))
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 40}}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chunking")
    settings = api_settings(folder, script="It opens [1]. It closes [2].")
    with serving(settings, [write_documents(folder / "documents")]) as served:
        yield served


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def file(client):
    return client.files.create(file=("valves.txt", io.BytesIO(TEXT.encode())), purpose="assistants")


def attach(client, store, file, **options):
    return client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=50, **options)


def chunks(served, store, file):
    (document,) = [d for d in served.services.catalog.documents(store.id) if d.file_id == file.id]
    return list(served.services.catalog.chunks_of(document.id))


def test_sizes_and_overlap_hold_and_another_strategy_cuts_anew(client, served, file):
    store = client.vector_stores.create()
    attached = attach(client, store, file, chunking_strategy=SMALL)
    assert attached.chunking_strategy.to_dict() == SMALL
    small = chunks(served, store, file)
    assert all(len(chunk.text.split()) <= 100 for chunk in small)
    for before, after in itertools.pairwise(small):
        repeated = TEXT[after.start : before.end]
        assert repeated.startswith("The valve"), "whole sentences"
        assert 20 <= len(re.findall(r"\w+|\S", repeated)) <= 40
    attached = attach(client, store, file, chunking_strategy={"type": "auto"})
    assert attached.chunking_strategy.type == "other"
    own = chunks(served, store, file)
    assert all(after.start >= before.end for before, after in itertools.pairwise(own))
    assert len(own) < len(small)
    attach(client, store, file)
    assert chunks(served, store, file) == own, "unchanged"
    client.vector_stores.delete(store.id)


def test_a_new_store_and_a_batch_take_it_too_and_a_copy_is_of_the_same_kind(client, served, file):
    store = client.vector_stores.create(file_ids=[file.id], chunking_strategy=SMALL)
    other = client.files.create(file=("other.txt", io.BytesIO(TEXT.encode())), purpose="assistants")
    third = client.files.create(file=("third.txt", io.BytesIO(TEXT.encode())), purpose="assistants")
    files = [{"file_id": other.id}, {"file_id": third.id, "chunking_strategy": SMALL}]
    batch = client.vector_stores.file_batches.create(store.id, files=files)
    client.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id, poll_interval_ms=50)
    while client.vector_stores.retrieve(store.id).status != "completed":
        pass
    shown = {f.id: f.chunking_strategy.to_dict() for f in client.vector_stores.files.list(store.id)}
    assert shown == {file.id: SMALL, other.id: {"type": "other"}, third.id: SMALL}
    counts = [len(chunks(served, store, f)) for f in (file, other, third)]
    assert counts[0] == counts[2] > counts[1]
    shared = client.vector_stores.create()
    batch = client.vector_stores.file_batches.create_and_poll(
        shared.id, file_ids=[file.id, other.id], chunking_strategy=SMALL, poll_interval_ms=50
    )
    assert batch.file_counts.completed == 2
    assert [len(chunks(served, shared, f)) for f in (file, other)] == [counts[0]] * 2
    for each in (store, shared):
        client.vector_stores.delete(each.id)


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "static"},
        {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}},
        {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}},
        {"type": "static", "static": {"max_chunk_size_tokens": 4097, "chunk_overlap_tokens": 0}},
        {"type": "round"},
    ],
)
def test_what_is_no_strategy_is_refused(client, file, strategy):
    with pytest.raises(openai.BadRequestError) as raised:
        client.vector_stores.create(file_ids=[file.id], chunking_strategy=strategy)
    assert raised.value.body["param"].startswith("chunking_strategy")


async def test_no_word_is_read_twice_and_footnotes_point_to_their_words(client, served, file):
    store = client.vector_stores.create()
    attach(client, store, file, chunking_strategy=SMALL)
    scope = scope_of(served.services.catalog, store.id)
    asked = Request([Message("user", "At how many bar does the valve number 7 open?")], scope)
    events = [event async for event in served.services.ask(asked)]
    (retrieved,) = [event for event in events if isinstance(event, ChunksRetrieved)]
    (answer,) = [event.answer for event in events if isinstance(event, AnswerCompleted)]
    said = re.findall(r"valve number (\d+) opens", " ".join(passage.text for passage in retrieved.passages))
    assert len(said) == len(set(said)) > 10
    assert answer.citations
    page = served.services.catalog.page_text(answer.citations[0].document_id, None)
    for citation in answer.citations:
        assert page[citation.start : citation.end] == citation.quote
    client.vector_stores.delete(store.id)


def test_max_num_results_bounds_what_the_model_reads(client):
    answers = {}
    for most in (1, 20):
        tool = {"type": "file_search", "vector_store_ids": ["default"], "max_num_results": most}
        question = "How often does the pump need oil, is the crate dry, and is the fox orange?"
        response = client.responses.create(
            model="scripted", input=question, tools=[tool], include=["file_search_call.results"]
        )
        answers[most] = response.output[-1].content[0].annotations
        assert len(response.output[0].results) <= most
    assert (len(answers[1]), len(answers[20])) == (1, 2), "there is no second source to cite"
