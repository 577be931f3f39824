"""All routes × all principals: nobody reaches what is not theirs, and nobody learns that it is there."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from datetime import timedelta

import httpx
import openai
import pytest
from fastapi.routing import APIWebSocketRoute, iter_route_contexts

from rag.api.app import create_api
from rag.auth.access import share
from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from rag.ui import library, reader
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

SECRET = "The code word of the vault is zanzibar."
WORDS = ("zanzibar", "vault-plan")
PASSWORD = "four words in a row"
UNKNOWN = {
    "store": "vs_" + "0" * 24,
    "file": "file_" + "0" * 24,
    "document": "doc_" + "0" * 24,
    "batch": "vsfb_" + "0" * 24,
    "response": "resp_" + "0" * 24,
    "conversation": "conv_" + "0" * 24,
    "item": "msg_" + "0" * 24,
    "upload": "upload_" + "0" * 24,
}
OPEN = {"/healthz", "/readyz", "/library", "/view/{document_id}"}  # the last two are pages without anything on them


def question(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "What is the code word of the vault?"}], **more}


def recipes(i, own):
    """Every route of the API → requests that name the things `i` (or nothing), from somebody whose own file and store
    are `own`. A request is (method, path, body)."""
    collection = f"footnote/{i['store']}"
    store, files = f"/v1/vector_stores/{i['store']}", f"/v1/vector_stores/{i['store']}/files"
    search = {"type": "file_search", "vector_store_ids": [i["store"]]}
    part = {"collection": i["store"]}
    here = {"collection": own["store"], "documents": [i["document"]]}
    talk, upload = f"/v1/conversations/{i['conversation']}", f"/v1/uploads/{i['upload']}"
    turn = {"role": "user", "content": "Good morning."}
    batch, shelf = f"{store}/file_batches", f"/library/collections/{i['store']}"
    return {
        "GET /metrics": [("GET", "/metrics", None)],
        "GET /v1/models": [("GET", "/v1/models", None)],
        "GET /v1/models/{name:path}": [("GET", f"/v1/models/{collection}", None)],
        "POST /v1/chat/completions": [
            ("POST", "/v1/chat/completions", question(collection)),
            ("POST", "/v1/chat/completions", question("scripted", footnote=part)),
            ("POST", "/v1/chat/completions", question("scripted", footnote=part, stream=True)),
            ("POST", "/v1/chat/completions", question("scripted", footnote=here)),
            ("POST", "/v1/chat/completions", question("scripted", vector_store_ids=[i["store"]])),
            ("POST", "/v1/chat/completions", question("scripted", vector_store_ids=[own["store"], i["store"]])),
        ],
        "POST /v1/completions": [
            ("POST", "/v1/completions", {"model": collection, "prompt": "The code word?"}),
            ("POST", "/v1/completions", {"model": "scripted", "prompt": "?", "vector_store_ids": [i["store"]]}),
        ],
        "POST /v1/responses": [
            ("POST", "/v1/responses", {"model": "scripted", "input": "The code word?", "tools": [search]}),
            ("POST", "/v1/responses", {"model": collection, "input": "The code word?"}),
            ("POST", "/v1/responses", {"model": "scripted", "input": "And?", "previous_response_id": i["response"]}),
            ("POST", "/v1/responses", {"model": "scripted", "input": "And?", "conversation": i["conversation"]}),
        ],
        "GET /v1/responses/{response_id}": [("GET", f"/v1/responses/{i['response']}", None)],
        "DELETE /v1/responses/{response_id}": [("DELETE", f"/v1/responses/{i['response']}", None)],
        "POST /v1/responses/{response_id}/cancel": [("POST", f"/v1/responses/{i['response']}/cancel", None)],
        "GET /v1/responses/{response_id}/input_items": [("GET", f"/v1/responses/{i['response']}/input_items", None)],
        "POST /v1/conversations": [],  # names nothing
        "GET /v1/conversations/{conversation_id}": [("GET", talk, None)],
        "POST /v1/conversations/{conversation_id}": [("POST", talk, {"metadata": {"a": "b"}})],
        "DELETE /v1/conversations/{conversation_id}": [("DELETE", talk, None)],
        "GET /v1/conversations/{conversation_id}/items": [("GET", f"{talk}/items", None)],
        "POST /v1/conversations/{conversation_id}/items": [("POST", f"{talk}/items", {"items": [turn]})],
        "GET /v1/conversations/{conversation_id}/items/{item_id}": [("GET", f"{talk}/items/{i['item']}", None)],
        "DELETE /v1/conversations/{conversation_id}/items/{item_id}": [("DELETE", f"{talk}/items/{i['item']}", None)],
        "POST /v1/uploads": [],  # names nothing
        "POST /v1/uploads/{upload_id}/parts": [],  # see test_uploads.py
        "POST /v1/uploads/{upload_id}/complete": [("POST", f"{upload}/complete", {"part_ids": [own["file"]]})],
        "POST /v1/uploads/{upload_id}/cancel": [("POST", f"{upload}/cancel", None)],
        "POST /v1/embeddings": [("POST", "/v1/embeddings", {"model": "bag-of-words", "input": "oil"})],
        "POST /v1/files": [],  # names nothing
        "GET /v1/files": [("GET", "/v1/files", None), ("GET", f"/v1/files?after={i['file']}", None)],
        "GET /v1/files/{file_id}": [("GET", f"/v1/files/{i['file']}", None)],
        "DELETE /v1/files/{file_id}": [("DELETE", f"/v1/files/{i['file']}", None)],
        "GET /v1/files/{file_id}/content": [("GET", f"/v1/files/{i['file']}/content", None)],
        "POST /v1/vector_stores": [("POST", "/v1/vector_stores", {"file_ids": [i["file"]]})],
        "GET /v1/vector_stores": [
            ("GET", "/v1/vector_stores", None),
            ("GET", f"/v1/vector_stores?after={i['store']}", None),
        ],
        "GET /v1/vector_stores/{store_id}": [("GET", store, None)],
        "POST /v1/vector_stores/{store_id}": [("POST", store, {"name": "Mine now"})],
        "DELETE /v1/vector_stores/{store_id}": [("DELETE", store, None)],
        "POST /v1/vector_stores/{store_id}/search": [("POST", f"{store}/search", {"query": "code word vault"})],
        "POST /v1/vector_stores/{store_id}/files": [
            ("POST", files, {"file_id": own["file"]}),
            ("POST", f"/v1/vector_stores/{own['store']}/files", {"file_id": i["file"]}),
        ],
        "GET /v1/vector_stores/{store_id}/files": [("GET", files, None)],
        "GET /v1/vector_stores/{store_id}/files/{file_id}": [
            ("GET", f"{files}/{i['file']}", None),
            ("GET", f"/v1/vector_stores/{own['store']}/files/{i['file']}", None),
        ],
        "POST /v1/vector_stores/{store_id}/files/{file_id}": [
            ("POST", f"{files}/{i['file']}", {"attributes": {"seen": True}}),
            ("POST", f"/v1/vector_stores/{own['store']}/files/{i['file']}", {"attributes": {"seen": True}}),
        ],
        "DELETE /v1/vector_stores/{store_id}/files/{file_id}": [
            ("DELETE", f"{files}/{i['file']}", None),
            ("DELETE", f"/v1/vector_stores/{own['store']}/files/{i['file']}", None),
        ],
        "GET /v1/vector_stores/{store_id}/files/{file_id}/content": [("GET", f"{files}/{i['file']}/content", None)],
        "POST /v1/vector_stores/{store_id}/file_batches": [
            ("POST", batch, {"file_ids": [own["file"]]}),
            ("POST", f"/v1/vector_stores/{own['store']}/file_batches", {"file_ids": [i["file"]]}),
        ],
        "GET /v1/vector_stores/{store_id}/file_batches/{batch_id}": [
            ("GET", f"{batch}/{i['batch']}", None),
            ("GET", f"/v1/vector_stores/{own['store']}/file_batches/{i['batch']}", None),
        ],
        "POST /v1/vector_stores/{store_id}/file_batches/{batch_id}/cancel": [
            ("POST", f"{batch}/{i['batch']}/cancel", None)
        ],
        "GET /v1/vector_stores/{store_id}/file_batches/{batch_id}/files": [
            ("GET", f"{batch}/{i['batch']}/files", None)
        ],
        "GET /documents/{document_id}/source": [("GET", f"/documents/{i['document']}/source", None)],
        "GET /documents/{document_id}/pages/{number}": [("GET", f"/documents/{i['document']}/pages/1", None)],
        "GET /documents/{document_id}/pages/{number}.png": [("GET", f"/documents/{i['document']}/pages/1.png", None)],
        "GET /view/{document_id}/contents": [("GET", f"/view/{i['document']}/contents", None)],
        "GET /view/{document_id}/search": [("GET", f"/view/{i['document']}/search?containing=vault", None)],
        "GET /docs": [("GET", "/docs", None)],
        "GET /redoc": [("GET", "/redoc", None)],
        "GET /docs/{name}": [("GET", "/docs/redoc.standalone.js", None)],
        "GET /openapi.json": [("GET", "/openapi.json", None)],
        "POST /api/v1/chat": [("POST", "/api/v1/chat", {"prompt": "What is the code word of the vault?"})],
        "POST /api/v1/chat_vllm": [("POST", "/api/v1/chat_vllm", {"prompt": "The code word of the vault?"})],
        "POST /api/v1/chat_llama_cpp": [("POST", "/api/v1/chat_llama_cpp", {"prompt": "The code word of the vault?"})],
        "POST /api/v1/generate": [("POST", "/api/v1/generate", {"inputs": "What is the code word of the vault?"})],
        "GET /api/version": [("GET", "/api/version", None)],
        "GET /api/tags": [("GET", "/api/tags", None)],
        "GET /api/ps": [("GET", "/api/ps", None)],
        "POST /api/show": [("POST", "/api/show", {"model": collection})],
        "POST /api/chat": [
            ("POST", "/api/chat", {"model": collection, "messages": [{"role": "user", "content": "The code word?"}]})
        ],
        "POST /api/generate": [
            ("POST", "/api/generate", {"model": collection, "prompt": "The code word?", "stream": False}),
            ("POST", "/api/generate", {"model": "scripted", "prompt": "?", "vector_store_ids": [i["store"]]}),
        ],
        "POST /api/embed": [("POST", "/api/embed", {"model": "bag-of-words", "input": "oil"})],
        "POST /api/embeddings": [("POST", "/api/embeddings", {"model": "bag-of-words", "prompt": "oil"})],
        "GET /info": [("GET", "/info", None)],
        "POST /": [("POST", "/", {"inputs": "?", "model": collection})],
        "POST /generate": [("POST", "/generate", {"inputs": "?", "model": collection})],
        "POST /generate_stream": [("POST", "/generate_stream", {"inputs": "?", "vector_store_ids": [i["store"]]})],
        "GET /library/me": [("GET", "/library/me", None)],
        "DELETE /library/me/sessions": [],  # names nothing
        "GET /library/collections": [("GET", "/library/collections", None)],
        "POST /library/collections": [],  # names nothing
        "PATCH /library/collections/{collection_id}": [("PATCH", shelf, {"public": True})],
        "DELETE /library/collections/{collection_id}": [("DELETE", shelf, None)],
        "GET /library/collections/{collection_id}/documents": [("GET", f"{shelf}/documents", None)],
        "POST /library/collections/{collection_id}/files": [],  # see below
        "GET /library/collections/{collection_id}/jobs": [("GET", f"{shelf}/jobs", None)],
        "DELETE /library/collections/{collection_id}/jobs/{job_id}": [("DELETE", f"{shelf}/jobs/job_0", None)],
        "DELETE /library/documents/{document_id}": [("DELETE", f"/library/documents/{i['document']}", None)],
        "POST /library/documents/{document_id}/again": [("POST", f"/library/documents/{i['document']}/again", None)],
        "GET /library/users": [("GET", "/library/users", None)],
        "POST /library/users": [("POST", "/library/users", {"name": "mallory", "password": PASSWORD})],
        "PATCH /library/users/{name}": [("PATCH", "/library/users/anna", {"is_admin": True})],
        "DELETE /library/users/{name}": [("DELETE", "/library/users/anna", None)],
        "POST /mcp": [
            mcp("search", query="code word vault"),
            mcp("search", query="code word vault", collection=i["store"]),
            mcp("read_page", document_id=i["document"]),
            mcp("list_documents", collection=i["store"]),
            mcp("list_documents"),
            mcp("list_collections"),
        ],
    }


# Routes that answer everybody who may come in with what is theirs: that nothing of others is in it is all to be seen.
OF_ONES_OWN = {
    *("GET /v1/models", "GET /v1/files", "GET /v1/vector_stores", "POST /v1/embeddings", "POST /mcp"),
    *("GET /docs", "GET /redoc", "GET /docs/{name}", "GET /openapi.json"),
    *("GET /library/me", "GET /library/collections", "GET /info"),
    *(f"GET /api/{name}" for name in ("version", "tags", "ps")),
    *(f"POST /api/{name}" for name in ("embed", "embeddings")),
    *(f"POST /api/v1/{name}" for name in ("chat", "chat_vllm", "chat_llama_cpp", "generate")),
}


def mcp(tool, **arguments):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    return "POST", "/mcp", call


@dataclass(frozen=True)
class World:
    url: str
    client: httpx.Client
    services: object
    keys: dict[str, str]
    annas: dict[str, str]
    own: dict[str, dict[str, str]]  # of each principal: a file and a store

    def send(self, who, method, path, body):
        headers = {"Accept": "application/json, text/event-stream"}
        if who in self.keys:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        return self.client.request(method, path, json=body, headers=headers)


def have(url, key, name, text):
    """A store with one file of that text, for the owner of a key."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        file = client.files.create(file=(f"{name}.md", io.BytesIO(text.encode())), purpose="assistants")
        store = client.vector_stores.create(name=name)
        batch = client.vector_stores.file_batches.create_and_poll(store.id, file_ids=[file.id], poll_interval_ms=50)
        assert batch.file_counts.completed == 1
        kept = client.responses.create(model=f"footnote/{name}", input="What is the code word?")
        talk = client.conversations.create(items=[{"role": "user", "content": text}])
        item = client.conversations.items.list(talk.id).data[0]
        upload = client.uploads.create(bytes=1, filename="a.md", mime_type="text/markdown", purpose="assistants")
        ids = {"file": file.id, "store": store.id, "batch": batch.id, "response": kept.id}
        return {**ids, "conversation": talk.id, "item": item.id, "upload": upload.id}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("who")
    settings = api_settings(folder)
    auth = settings.auth.model_copy(update={"required": True, "requests_per_minute": 0, "attempts_per_minute": 100_000})
    settings = settings.model_copy(update={"auth": auth})
    with serving(settings, [write_documents(folder / "documents")], library.router, reader.router) as served:
        database = served.services.catalog.database
        users, api_keys = Users(database), ApiKeys(database)
        ids = {name: users.add(name, PASSWORD).id for name in ("anna", "ben", "carol")}
        ids["dora"] = users.add("dora", PASSWORD, is_admin=True).id
        keys = {name: api_keys.create(user_id) for name, user_id in ids.items()}
        own = {name: have(served.url, keys[name], f"{name}-notes", f"A note of {name}.") for name in ids}
        annas = have(served.url, keys["anna"], "vault-plan", SECRET)
        annas["document"] = served.services.catalog.documents_of_file(annas["file"])[0].id
        share(served.services.catalog, annas["store"], add=[ids["carol"]])
        keys["read only"] = api_keys.create(ids["anna"], read_only=True)
        keys["limited"] = api_keys.create(ids["anna"], collections=[own["anna"]["store"]])
        keys["to the vault"] = api_keys.create(ids["anna"], collections=[annas["store"]])
        keys["expired"] = api_keys.create(ids["anna"], lifetime=timedelta(seconds=-1))
        keys["revoked"] = api_keys.create(ids["anna"])
        api_keys.revoke(keys["revoked"][:9])
        keys["made up"] = "fn-" + "A" * 43
        for who in ("read only", "limited", "to the vault"):
            own[who] = own["anna"]
        with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
            yield World(served.url, client, served.services, keys, annas, own)


def test_every_route_has_a_recipe(world):
    app = create_api(world.services, "token")
    app.include_router(library.router)
    app.include_router(reader.router)
    routes = list(iter_route_contexts(app.routes))
    sockets = {route.path for route in routes if isinstance(route.original_route, APIWebSocketRoute)}
    named = {f"{method} {route.path}" for route in routes if route.path not in sockets for method in methods_of(route)}
    named = {name for name in named if name.partition(" ")[2] not in OPEN and "/local" not in name}
    unnamed = {f"{verb} /v1/{{path:path}}" for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")}
    assert named - unnamed == set(recipes(world.annas, world.own["ben"]))
    assert sockets == {"/api/v2/generate"}


def methods_of(route):
    return (route.methods or {"POST"}) - {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("who", ["nobody", "expired", "revoked", "made up"])
def test_who_has_no_key_gets_in_nowhere(world, who):
    for requests in recipes(world.annas, UNKNOWN).values():
        for request in requests:
            response = world.send(who, *request)
            assert response.status_code == 401, request
            assert response.headers["www-authenticate"]
            assert response.json()["error"]["code"] == "invalid_api_key"
    assert world.send(who, "POST", "/v1/files", None).status_code == 401


@pytest.mark.parametrize("who", ["ben", "limited"])
def test_what_is_not_ones_own_is_as_if_it_were_not_there(world, who):
    there = recipes(world.annas, world.own[who])
    nowhere = recipes(UNKNOWN, world.own[who])
    for route, requests in there.items():
        for request, unknown in zip(requests, nowhere[route], strict=True):
            response, expected = world.send(who, *request), world.send(who, *unknown)
            assert not any(word in response.text for word in WORDS), request
            if route in OF_ONES_OWN and "after=" not in request[1]:
                assert response.status_code == 200, request
                assert not any(known in response.text for known in world.annas.values() if known not in str(request)), (
                    request
                )
                continue
            assert response.status_code in (403, 404), (request, response.text)
            text = response.text
            for name, known in world.annas.items():
                text = text.replace(known, UNKNOWN[name])
            assert (response.status_code, text) == (expected.status_code, expected.text), request
    assert_unharmed(world)


def assert_unharmed(world):
    item = "GET /v1/conversations/{conversation_id}/items/{item_id}"
    for route in ("GET /v1/files/{file_id}", "GET /v1/responses/{response_id}", item):
        for request in recipes(world.annas, world.own["anna"])[route]:
            assert world.send("anna", *request).status_code == 200
    store = world.send("anna", "GET", f"/v1/vector_stores/{world.annas['store']}", None).json()
    assert (store["name"], store["file_counts"]["completed"], store["file_counts"]["total"]) == ("vault-plan", 1, 1)


READING = (
    *("GET /v1/models/{name:path}", "POST /v1/chat/completions", "POST /v1/completions"),
    *("GET /v1/vector_stores/{store_id}", "POST /v1/vector_stores/{store_id}/search"),
    *("GET /v1/vector_stores/{store_id}/files", "GET /v1/vector_stores/{store_id}/files/{file_id}/content"),
    *("GET /documents/{document_id}/source", "GET /v1/vector_stores/{store_id}/file_batches/{batch_id}/files"),
)
CHANGING = (
    *("POST /v1/vector_stores/{store_id}", "DELETE /v1/vector_stores/{store_id}"),
    *("POST /v1/vector_stores/{store_id}/files", "POST /v1/vector_stores/{store_id}/files/{file_id}"),
    *("DELETE /v1/vector_stores/{store_id}/files/{file_id}", "POST /v1/vector_stores/{store_id}/file_batches"),
    *("POST /v1/vector_stores/{store_id}/file_batches/{batch_id}/cancel", "DELETE /library/documents/{document_id}"),
    *("PATCH /library/collections/{collection_id}", "DELETE /library/collections/{collection_id}"),
    *("GET /library/collections/{collection_id}/jobs", "POST /library/users"),
)


@pytest.mark.parametrize("who", ["carol", "read only"])
def test_who_may_read_cannot_change(world, who):
    known = recipes(world.annas, world.own[who])
    for route in READING:
        assert world.send(who, *known[route][0]).status_code == 200, route
    for route in CHANGING:
        assert world.send(who, *known[route][0]).status_code == 403, route
    answer = world.send(who, *known["POST /v1/chat/completions"][0]).json()
    assert "zanzibar" in answer["citations"][0]["quote"]
    assert_unharmed(world)


@pytest.mark.parametrize(("who", "status"), [("anna", 200), ("carol", 403), ("read only", 403), ("ben", 404)])
def test_who_may_add_documents_on_the_page(world, who, status):
    store = world.own["anna"]["store"] if who == "anna" else world.annas["store"]  # that one is to stay as it is
    address = f"{world.url}/library/collections/{store}/files"
    headers = {"Authorization": f"Bearer {world.keys[who]}"}
    assert httpx.post(address, files={"file": ("a.md", b"text")}, headers=headers).status_code == status


def test_a_reader_has_no_part_in_uploads_and_answers(world):
    known = recipes(world.annas, world.own["carol"])
    for route in ("GET /v1/files/{file_id}", "GET /v1/files/{file_id}/content", "GET /v1/responses/{response_id}"):
        assert world.send("carol", *known[route][0]).status_code == 404
    assert world.send("carol", *known["POST /v1/responses"][2]).status_code == 404


def test_a_read_only_key_uploads_and_makes_nothing(world):
    files = {"file": ("a.md", b"text"), "purpose": (None, "assistants")}
    headers = {"Authorization": f"Bearer {world.keys['read only']}"}
    assert httpx.post(f"{world.url}/v1/files", files=files, headers=headers).status_code == 403
    assert world.send("read only", "POST", "/v1/vector_stores", {}).status_code == 403
    assert world.send("read only", "DELETE", f"/v1/files/{world.annas['file']}", None).status_code == 403


def test_a_key_for_one_collection_asks_that_one_without_naming_it(world):
    answer = world.send("to the vault", "POST", "/v1/chat/completions", question("scripted")).json()
    assert "zanzibar" in answer["citations"][0]["quote"]
    models = world.send("to the vault", "GET", "/v1/models", None).json()["data"]
    assert [model["id"] for model in models] == ["scripted", "footnote/vault-plan", "chat/scripted", "bag-of-words"]
    assert world.send("to the vault", "POST", "/v1/vector_stores", {}).status_code == 403
    store = f"/v1/vector_stores/{world.annas['store']}"
    assert world.send("to the vault", "DELETE", store, None).status_code == 403
    assert world.send("to the vault", "GET", f"/v1/files/{world.annas['file']}", None).status_code == 404


def test_an_admin_reaches_everything_named_and_asks_nobodys_private_documents_unnamed(world):
    known = recipes(world.annas, world.own["dora"])
    for route in (*READING, "GET /metrics", "GET /v1/files/{file_id}/content", "GET /v1/responses/{response_id}"):
        assert world.send("dora", *known[route][0]).status_code == 200, route
    assert "zanzibar" not in world.send("dora", *known["POST /mcp"][0]).text


def test_everybody_reads_what_is_public_and_only_while_it_is(world):
    request = recipes(world.annas, UNKNOWN)["POST /v1/vector_stores/{store_id}/search"][0]
    share(world.services.catalog, world.annas["store"], public=True)
    assert "zanzibar" in world.send("ben", *request).text
    share(world.services.catalog, world.annas["store"], public=False)
    assert world.send("ben", *request).status_code == 404


def test_the_owner_shares_by_the_api_and_is_the_only_one_who_sees_with_whom(world):
    store = f"/v1/vector_stores/{world.annas['store']}"
    before = world.send("anna", "GET", store, None).json()["sharing"]
    assert before == {"users": ["carol"], "public": False}
    changed = world.send("anna", "POST", store, {"sharing": {"users": ["ben"], "public": False}}).json()
    assert changed["sharing"]["users"] == ["ben"]
    assert "sharing" not in world.send("ben", "GET", store, None).json()
    assert world.send("carol", "GET", store, None).status_code == 404
    assert world.send("ben", "POST", store, {"sharing": {"public": True}}).status_code == 403
    assert world.send("anna", "POST", store, {"sharing": {"users": ["nobody"]}}).status_code == 404
    assert world.send("anna", "POST", store, {"sharing": before}).json()["sharing"] == before


def test_several_collections_of_one_name_are_told_apart(world):
    ours = have(world.url, world.keys["ben"], "vault-plan", "The vault of ben is blue.")
    share(world.services.catalog, ours["store"], public=True)
    for who, word in (("ben", "blue"), ("anna", "zanzibar")):
        answer = world.send(who, "POST", "/v1/chat/completions", question("footnote/vault-plan")).json()
        assert word in answer["citations"][0]["quote"]
    names = [model["id"] for model in world.send("anna", "GET", "/v1/models", None).json()["data"]]
    assert {"footnote/vault-plan", f"footnote/{ours['store']}"} <= set(names)
    share(world.services.catalog, ours["store"], public=False)


def test_name_and_password_or_key_open_the_older_apis(world):
    for secret in (PASSWORD, world.keys["ben"]):
        credentials = base64.b64encode(f"ben:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        body = {"prompt": "What is noted?"}
        assert httpx.post(f"{world.url}/api/v1/chat", json=body, headers=headers).status_code == 200
    for name, secret in (("ben", "wrong password"), ("anna", world.keys["ben"]), ("old", "client-password"), ("x", "")):
        credentials = base64.b64encode(f"{name}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        assert httpx.post(f"{world.url}/api/v1/chat", json=body, headers=headers).status_code == 401


def test_answers_are_for_nobodys_cache(world):
    assert world.send("ben", "GET", "/v1/models", None).headers["cache-control"] == "private, no-store"
