"""A part of the documents, asked through the API and through the command line's way to the server."""

from __future__ import annotations

import httpx
import openai
import pytest

from rag.errors import InvalidRequest, NotFound
from rag.operations.control_protocol import AskRequest, SearchRequest
from rag.operations.server_client import ServerClient
from rag.storage.attributes import set_attributes
from rag.storage.lock import Owner
from rag.storage.selection import Selection
from rag.types.documents import AnswerCompleted, Message
from tests.rag.api.serving import SECRET

QUESTION = "How often does the pump need oil, and where is the crate kept?"
YEAR = {"type": "gte", "key": "year", "value": 2021}


@pytest.fixture
def tagged(served):
    document_id = served.document_id("page.html")
    set_attributes(served.services.catalog, document_id, {"year": 2021})
    yield served
    set_attributes(served.services.catalog, document_id, {})


@pytest.fixture
def remote(tagged):
    return ServerClient(Owner(0, tagged.url, SECRET))


def asked(served, **footnote):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="footnote/default",
            messages=[{"role": "user", "content": QUESTION}],
            extra_body={"footnote": footnote},
        )
        return {(citation["source"].rpartition("/")[2], citation["page_index"]) for citation in answer.citations}


def test_the_chat_keeps_to_the_part_that_is_asked(tagged):
    assert asked(tagged) == asked(tagged, documents=None, filters=None, pages=None) >= {("manual.pdf", 1)}
    assert asked(tagged, pages=[3, 9]) == {("manual.pdf", 2)}
    assert asked(tagged, documents=[tagged.document_id("manual.pdf")], pages=[3, 3]) == {("manual.pdf", 2)}
    assert {source for source, _ in asked(tagged, filters=YEAR)} <= {"page.html"}
    assert asked(tagged, documents=[]) == asked(tagged, filters={**YEAR, "value": 2022}) == set()


@pytest.mark.parametrize(
    ("footnote", "param"),
    [
        ({"filters": {"type": "like", "key": "a", "value": 1}}, "filters"),
        ({"filters": []}, "footnote"),
        ({"filter": YEAR}, "footnote"),
        ({"pages": [3, 1]}, "pages"),
        ({"pages": [3]}, "footnote"),
        ({"pages": "3-7"}, "footnote"),
        ({"documents": "manual.pdf"}, "footnote"),
        ("everything", "footnote"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_understood_never_means_everything(served, footnote, param, stream):
    body = {"model": "footnote/default", "messages": [{"role": "user", "content": "oil"}], "stream": stream}
    response = httpx.post(f"{served.url}/v1/chat/completions", json={**body, "footnote": footnote})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


def test_a_document_that_is_not_there_is_not_found(served):
    with pytest.raises(openai.NotFoundError, match="no document"):
        asked(served, documents=["nothing.pdf"])


async def test_the_command_line_asks_a_part_of_the_server(remote, tagged):
    async def search(**selection):
        return await remote.search(SearchRequest(question=QUESTION, limit=10, selection=Selection(**selection)))

    async def sources(**selection):
        return {hit.source.rpartition("/")[2] for hit in await search(**selection)}

    assert len(await sources()) > 1
    assert await sources(documents=("manual.pdf",)) == {"manual.pdf"}
    assert await sources(filters=YEAR) == {"page.html"}
    assert {hit.chunk.page_index for hit in await search(pages=(2, 3))} == {1, 2}
    request = AskRequest(messages=[Message("user", QUESTION)], selection=Selection(pages=(3, 3)))
    events = [event async for event in remote.ask(request)]
    assert isinstance(events[-1], AnswerCompleted)
    assert {passage.page_index for passage in events[-1].answer.passages} == {2}
    with pytest.raises(InvalidRequest, match="no range") as raised:
        await search(pages=(0, 3))
    assert raised.value.hint
    assert raised.value.hint not in raised.value.message
    with pytest.raises(NotFound):
        await search(documents=("nothing.pdf",))


def test_attributes_are_given_through_the_server(remote, tagged):
    document_id = tagged.document_id("page.html")
    assert remote.tag(document_id, {"year": None, "draft": True, "x": 1, "y": 1.5}).attributes == {
        "draft": True,
        "x": 1,
        "y": 1.5,
    }
    (listed,) = [document for document in remote.documents() if document.id == document_id]
    assert [type(value) for value in listed.attributes.values()] == [bool, int, float]
    with pytest.raises(InvalidRequest):
        remote.tag(document_id, {"x" * 65: 1})
    with pytest.raises(NotFound):
        remote.tag("doc_nothing", {"x": 1})
    assert httpx.patch(f"{tagged.url}/local/documents/{document_id}", json={"attributes": {}}).status_code == 403
