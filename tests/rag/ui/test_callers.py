"""Every route of the application, asked by everybody: who may come in, what they may do, and what they see of others.

The routes are the application's own: one that is added is asked, too, or fails here until the tables below say how.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing, contextmanager
from datetime import timedelta

import httpx
import pytest
import websockets.sync.client
from websockets.exceptions import InvalidStatus

from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.commands import ROOT, Commands
from tests.ingest.loaders.documents import make_pdf
from tests.rag.api.test_route_policy import ADMINS, CHAT_ALONE, CHAT_OF_EVERYBODY, READS
from tests.rag.models.model_server import free_port
from tests.rag.ui.chat_client import PASSWORD, Chat, browser, logged_in

pytestmark = pytest.mark.slow
SECRET = "The heron nests in the third willow."
STATIC = {"/public/{filename:path}", "/assets/{filename:path}", "/copilot/{filename:path}", "/{full_path:path}"}
ENDS_SESSIONS = {"DELETE /library/me/sessions", "POST /logout"}

# What stands in a path; ids are those of the owner's things, or of none.
IN_PATHS = {
    **{name: f"{{{name}}}" for name in ("response_id", "file_id", "store_id", "batch_id", "document_id", "job_id")},
    **{name: f"{{{name}}}" for name in ("thread_id", "element_id", "item_id", "upload_id")},
    "conversation_id": "{thread_id}",
    "collection_id": "{store_id}",
    "number": "1",
    "path": "nothing",
    "provider_id": "generic",
    "avatar_id": "none",
}
IN_PATHS_OF = {
    "/v1/models/{name:path}": "footnote/{store_id}",
    "/docs/{name}": "favicon.png",
    "/library/users/{name}": "{user}",
    "/project/file/{file_id}": "{chat_file_id}",
}
_ASK = {"model": "footnote/{store_id}", "messages": [{"role": "user", "content": "Where does the heron nest?"}]}
_UPLOAD = {"files": {"file": ("note.txt", b"Nothing much.")}}
# What a route wants besides its path.
ARGUMENTS = {
    "POST /v1/chat/completions": {"json": _ASK},
    "POST /v1/completions": {"json": {"model": "footnote/{store_id}", "prompt": "Where does the heron nest?"}},
    "POST /v1/responses": {
        "json": {"model": "footnote/{store_id}", "input": "And then?", "previous_response_id": "{response_id}"}
    },
    "POST /v1/embeddings": {"json": {"model": "bag-of-words", "input": "heron"}},
    "POST /v1/files": {**_UPLOAD, "data": {"purpose": "assistants"}},
    "POST /v1/vector_stores": {"json": {"file_ids": ["{file_id}"]}},
    "POST /v1/vector_stores/{store_id}": {"json": {"name": "mine"}},
    "POST /v1/vector_stores/{store_id}/search": {"json": {"query": "heron"}},
    "POST /v1/vector_stores/{store_id}/files": {"json": {"file_id": "{file_id}"}},
    "POST /v1/vector_stores/{store_id}/files/{file_id}": {"json": {"attributes": {"mine": True}}},
    "POST /v1/vector_stores/{store_id}/file_batches": {"json": {"file_ids": ["{file_id}"]}},
    "PATCH /local/documents/{document_id}": {"json": {"tags": {}}},
    "POST /local/search": {"json": {"query": "heron"}},
    "POST /local/ask": {"json": {"question": "heron"}},
    "POST /local/ingest": {"json": {"paths": ["/"]}},
    "POST /local/reindex": {"json": {}},
    "POST /local/export": {"json": {"path": "/tmp/none"}},
    "POST /local/backup": {"json": {"path": "/tmp/none"}},
    "POST /mcp": {
        "json": {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "search", "arguments": {"query": "heron", "collection": "{store_id}"}},
        },
        "headers": {"Accept": "application/json, text/event-stream"},
    },
    **{f"POST /api/v1/{name}": {"json": {"prompt": "heron"}} for name in ("chat", "chat_vllm", "chat_llama_cpp")},
    "POST /v1/conversations": {"json": {}},
    "POST /v1/conversations/{conversation_id}": {"json": {"metadata": {"mine": "yes"}}},
    "POST /v1/conversations/{conversation_id}/items": {"json": {"items": [{"role": "user", "content": "mine"}]}},
    "POST /v1/uploads": {"json": {"filename": "note.txt", "purpose": "assistants", "bytes": 4}},
    "POST /v1/uploads/{upload_id}/parts": {"files": {"data": ("part", b"Nothing")}},
    "POST /v1/uploads/{upload_id}/complete": {"json": {"part_ids": ["{file_id}"]}},
    "POST /api/show": {"json": {"model": "footnote/{store_id}"}},
    "POST /api/chat": {"json": _ASK},
    "POST /api/generate": {"json": {"model": "footnote/{store_id}", "prompt": "Where does the heron nest?"}},
    "POST /api/embed": {"json": {"model": "bag-of-words", "input": "heron"}},
    "POST /api/embeddings": {"json": {"model": "bag-of-words", "prompt": "heron"}},
    **{
        f"POST {path}": {"json": {"model": "footnote/{store_id}", "inputs": "Where does the heron nest?"}}
        for path in ("/", "/generate", "/generate_stream")
    },
    "POST /api/v1/generate": {"data": {"model": "scripted", "inputs": "heron"}},
    "GET /view/{document_id}/search": {"params": {"containing": "heron"}},
    "POST /library/collections": {"json": {"title": "another"}},
    "PATCH /library/collections/{collection_id}": {"json": {"title": "mine", "public": True}},
    "POST /library/collections/{collection_id}/files": _UPLOAD,
    "POST /library/users": {"json": {"name": "{user}", "is_admin": True}},
    "PATCH /library/users/{name}": {"json": {"password": "eight words"}},
    "PUT /feedback": {"json": {"feedback": {"forId": "{step_id}", "value": 0}}},
    "DELETE /feedback": {"json": {"feedbackId": "{feedback_id}"}},
    "POST /project/action": {"json": {"action": {"name": "copy", "payload": {}}, "sessionId": "{session_id}"}},
    "POST /project/file": {**_UPLOAD, "params": {"session_id": "{session_id}"}},
    "GET /project/file/{file_id}": {"params": {"session_id": "{session_id}"}},
    "POST /project/threads": {"json": {"pagination": {"first": 20}, "filter": {"userId": "{user_id}"}}},
    "PUT /project/thread": {"json": {"threadId": "{thread_id}", "name": "mine"}},
    "PUT /project/thread/share": {"json": {"threadId": "{thread_id}", "isShared": True}},
    "DELETE /project/thread": {"json": {"threadId": "{thread_id}"}},
    "POST /set-session-cookie": {"json": {"session_id": "{session_id}"}},
    "POST /login": {"data": {"username": "{user}", "password": "another than hers"}},
    "POST /auth/oauth/azure-ad-hybrid/callback": {"data": {"error": "none"}},
    "GET /ws/socket.io": {"params": {"EIO": "4", "transport": "polling"}},
}


def filled(value, ids):
    """The value with the ids in the places that their names mark."""
    return json.loads(re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], match[0]), json.dumps(value)))


class Route:
    """A route, and how it is asked."""

    def __init__(self, method, path, access, wants):
        self.method, self.path, self.wants = method, path, wants
        self.name = f"{method} {path}"
        self.access = "chat" if self.name in CHAT_ALONE else access
        if self.name in CHAT_OF_EVERYBODY:
            self.access = "public"

    @property
    def is_static(self):
        return self.path in STATIC

    def request(self, ids):
        """The arguments of an httpx request. Raises KeyError for a path or a body that no table has."""
        if self.wants and self.name not in ARGUMENTS:
            raise KeyError(f"{self.name} wants a query or a body: ARGUMENTS has to say which")
        parameters = re.findall(r"\{(\w+)(?::\w+)?\}", self.path)
        names = dict(IN_PATHS)
        if self.path.startswith("/v1/"):
            names["conversation_id"] = "{response_conversation_id}"
        if lacking := [n for n in parameters if n not in names and self.path not in IN_PATHS_OF]:
            raise KeyError(f"{self.name} has {lacking} in its path: IN_PATHS has to say what that may be")
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: IN_PATHS_OF.get(self.path) or names[m[1]], self.path)
        arguments = dict(ARGUMENTS.get(self.name, {}))
        files = {"files": arguments.pop("files")} if "files" in arguments else {}
        return {"method": self.method, **filled({"url": path, **arguments}, ids), **files}

    def concerns(self, ids):
        """Whether the request names something of the owner's."""
        return any(value in json.dumps(self.request(ids), default=str) for value in ids.values())


@pytest.fixture(scope="module")
def routes():
    command = [sys.executable, "-m", "tests.rag.ui.route_list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    routes = [Route(**json.loads(line)) for line in listed.stdout.splitlines()]
    first = {route.name: route for route in reversed(routes)}  # as the application takes the first that fits
    return [route for route in first.values() if not route.is_static]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server whose log has no trace at its end, and its catalog."""
    commands = Commands(tmp_path_factory.mktemp("callers"))
    unlimited = {"RAG_AUTH__REQUESTS_PER_MINUTE": "0", "RAG_AUTH__ATTEMPTS_PER_MINUTE": "1000000"}
    settings = {"RAG_AUTH__REQUIRED": "true", **unlimited}
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        for name in ("olga", "ben", "carl", "dora"):
            Users(database).add(name, PASSWORD, is_admin=name == "dora")
        with commands.server(free_port(), **settings) as url:
            yield url, database


@contextmanager
def open_chat(url, cookies):
    """A chat that stays open beside the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    chat = Chat(url, cookies)
    try:
        run(chat.open())
        yield chat, run
    finally:
        run(chat.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def owned_by_api(http, folder):
    """Ids of what the owner has by the API."""

    def made(method, path, **arguments):
        answer = http.request(method, path, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    files = {"file": ("heron.pdf", make_pdf(folder / "heron.pdf", [[SECRET]]).read_bytes())}
    file_id = made("POST", "/v1/files", files=files, data={"purpose": "assistants"})["id"]
    store = made("POST", "/v1/vector_stores", json={"name": "olgas"})["id"]
    batch = made("POST", f"/v1/vector_stores/{store}/file_batches", json={"file_ids": [file_id]})["id"]
    while made("GET", f"/v1/vector_stores/{store}/file_batches/{batch}")["status"] == "in_progress":
        time.sleep(0.05)
    (document,) = made("GET", f"/library/collections/{store}/documents")["documents"]
    answer = made("POST", "/v1/responses", json={"model": f"footnote/{store}", "input": "Where does the heron nest?"})
    own = {"file_id": file_id, "store_id": store, "batch_id": batch, "document_id": document["id"]}
    begun = made("POST", "/v1/conversations", json={"items": [{"role": "user", "content": SECRET}]})["id"]
    (item,) = made("GET", f"/v1/conversations/{begun}/items")["data"]
    upload = made("POST", "/v1/uploads", json={"filename": "heron.txt", "purpose": "assistants", "bytes": 4})["id"]
    own |= {"response_conversation_id": begun, "item_id": item["id"], "upload_id": upload}
    jobs = made("GET", f"/library/collections/{store}/jobs")
    return {**own, "response_id": answer["id"], "job_id": jobs[0]["id"]}


def owned_in_chat(browser, chat, run, store):
    """Ids of what the owner has in the chat."""
    settings = {"mode": "documents", "models": [], "collection": store, "documents": [], "pages": "", "strictness": 0.5}
    settings |= {"passages": 5, "temperature": 0, "top_p": 1, "max_tokens": 100, "instructions": ""}
    run(chat.client.emit("chat_settings_change", settings))
    run(chat.ask("Where does the heron nest?"))
    run(chat.until("task_end"))
    answer = run(chat.until("new_message", "assistant_message"))
    upload = {"params": {"session_id": chat.session_id}, "files": {"file": ("heron.md", SECRET.encode())}}
    chat_file = browser.post("/project/file", **upload).json()["id"]
    feedback = {"feedback": {"forId": answer["id"], "value": 1}}
    while (kept := browser.put("/feedback", json=feedback)).status_code != 200:
        time.sleep(0.05)
    threads = browser.post("/project/threads", json={"pagination": {"first": 20}, "filter": {}}).json()["data"]
    thread = browser.get(f"/project/thread/{threads[0]['id']}").json()
    return {
        "thread_id": thread["id"],
        "step_id": answer["id"],
        "element_id": thread["elements"][0]["id"],
        "feedback_id": kept.json()["feedbackId"],
        "session_id": chat.session_id,
        "chat_file_id": chat_file,
    }


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def owner(served, tmp_path_factory):
    """The ids of all that olga has, while a chat of hers is open."""
    url, database = served
    key = ApiKeys(database).create(Users(database).get("olga").id)
    with (
        httpx.Client(base_url=url, headers=bearer(key), trust_env=False, timeout=60) as http,
        logged_in(url, "olga") as her_browser,
        open_chat(url, her_browser.cookies) as (chat, run),
    ):
        ids = owned_by_api(http, tmp_path_factory.mktemp("owner"))
        user = Users(database).get("olga")
        yield {"user": "olga", "user_id": user.id, **ids, **owned_in_chat(her_browser, chat, run, ids["store_id"])}


@pytest.fixture(scope="module")
def nobodys(owner):
    """Ids of the same shapes, of nothing."""

    def other(value):
        is_uuid = re.fullmatch(r"[0-9a-f-]{36}", value)
        return str(uuid.uuid4()) if is_uuid else re.sub(r"[0-9a-f]{6}$", "000000", value)

    return {name: "nonesuch" if name == "user" else other(value) for name, value in owner.items()}


def session_of(url, name):
    """The headers of somebody who has just logged in."""
    with logged_in(url, name) as client:
        return {"Cookie": "; ".join(f"{cookie}={value}" for cookie, value in client.cookies.items())}


@pytest.fixture(scope="module")
def asking(served, owner):
    url, database = served
    users, keys = Users(database), ApiKeys(database)
    olga, ben, carl, dora = (users.get(name).id for name in ("olga", "ben", "carl", "dora"))
    with httpx.Client(base_url=url, headers=bearer(keys.create(olga)), trust_env=False) as http:
        other_store = http.post("/v1/vector_stores", json={"name": "other"}).json()["id"]
    headers = {
        "nobody": {},
        "an expired key": bearer(keys.create(olga, lifetime=timedelta(seconds=-1))),
        "a revoked key": bearer(keys.create(olga, "revoked")),
        "a deleted user's key": bearer(keys.create(carl)),
        "a deleted user's session": session_of(url, "carl"),
        "an ended session": session_of(url, "olga"),
        "a read-only key": bearer(keys.create(olga, read_only=True)),
        "a key for another collection": bearer(keys.create(olga, collections=[other_store])),
        "another user's key": bearer(keys.create(ben)),
        "an admin's key": bearer(keys.create(dora)),
    }
    keys.revoke(next(key.id for key in keys.all() if key.name == "revoked"))
    users.delete("carl")
    with browser(url) as client:
        assert client.post("/logout", headers=headers["an ended session"]).status_code == 200
        client.cookies.clear()
        yield Asking(client, headers)


SESSIONS = {"another user's session": "ben", "an admin's session": "dora"}
ADMIN = ("an admin's key", "an admin's session")
OTHERS = ("another user's key", "another user's session", "a key for another collection")
DEAD = (
    "nobody",
    "an expired key",
    "a revoked key",
    "a deleted user's key",
    "a deleted user's session",
    "an ended session",
)
READER = "a read-only key"


class Asking:
    """Asks routes for everybody; who is logged out by what was asked logs in again."""

    def __init__(self, client, headers):
        self._client, self._headers = client, headers

    def __call__(self, caller, route, ids):
        """Status and body, in which no id is any more."""
        if caller in SESSIONS and caller not in self._headers:
            self._headers[caller] = session_of(str(self._client.base_url), SESSIONS[caller])
        request = route.request(ids)
        headers = {**self._headers[caller], **request.pop("headers", {})}
        if route.method == "WEBSOCKET":
            return self._of_socket(request["url"], headers)
        answer = self._client.request(**request, headers=headers)
        self._client.cookies.clear()
        if route.name in ENDS_SESSIONS and caller in SESSIONS:
            del self._headers[caller]
        body = answer.text
        for name, value in ids.items():
            body = body.replace(value, f"<{name}>")
        return answer.status_code, body

    def _of_socket(self, path, headers):
        address = str(self._client.base_url).replace("http", "ws") + path
        try:
            with websockets.sync.client.connect(address, additional_headers=headers, proxy=None) as socket:
                socket.send("{}")
                return 200, socket.recv(5)
        except InvalidStatus as refused:
            return {403: 401}.get(refused.response.status_code, 500), ""  # as a socket's refusal is written in HTTP


def lets_in(route, caller):
    """Whether the route is for such a caller at all."""
    if route.access == "public" or caller in DEAD:
        return route.access == "public"
    return route.access in (("chat", "session") if caller in SESSIONS else ("key", "session"))


def changes(route):
    return route.method not in ("GET", "HEAD", "WEBSOCKET") and route.name not in READS


def rows_of(database, ids):
    """All rows with one of these ids, but for when something was last used."""
    tables = [row.name for row in database.read("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {
        (table, *((name, value) for name, value in row._asdict().items() if name not in ("used_at", "last_active_at")))
        for table in tables
        if not table.startswith("sqlite") and table != "sessions"
        for row in database.read(f'SELECT * FROM "{table}"')
    }
    return {row for row in rows if any(value in str(row) for value in ids.values())}


@pytest.fixture(autouse=True)
def nothing_of_the_owner_changes(served, owner):
    before = rows_of(served[1], owner)
    yield
    assert before <= rows_of(served[1], owner)


@pytest.mark.parametrize("caller", [*DEAD, *OTHERS, *ADMIN, READER])
def test_who_may_come_in(routes, asking, nobodys, caller):
    """Asked for what is not there."""
    wrong = []
    for route in routes:
        status, body = asking(caller, route, nobodys)
        if route.path.startswith("/local/"):
            expected = status == 403  # these want a token of their own
        elif not lets_in(route, caller):
            expected = status == 401
        elif route.access == "public":
            expected = status < 500
        elif route.name in ADMINS and caller not in ADMIN:
            expected = status == 403
        else:
            expected = status < 500 and status != 401 and (status != 403 or caller in (READER, OTHERS[2]))
        if not expected:
            wrong.append(f"{route.name}: {status} {body[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("caller", OTHERS)
def test_what_is_anothers_is_as_if_it_were_not_there(routes, asking, owner, nobodys, caller):
    wrong = []
    for route in routes:
        unknown, others = asking(caller, route, nobodys), asking(caller, route, owner)
        if SECRET in others[1] or (route.concerns(owner) and unknown != others):
            wrong.append(f"{route.name}: {unknown[0]} {unknown[1][:200]} / {others[0]} {others[1][:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("caller", DEAD)
def test_nothing_is_told_to_who_may_not_come_in(routes, asking, owner, nobodys, caller):
    for route in routes:
        assert asking(caller, route, owner) == asking(caller, route, nobodys), route.name


def test_a_key_that_can_only_read_reads_its_users_things_and_changes_none(routes, asking, owner):
    wrong, with_secret = [], set()
    for route in routes:
        status, body = asking(READER, route, owner)
        if SECRET in body:
            with_secret.add(route.name)
        expected = (403,) if changes(route) else (200, 400, 403)
        if route.access in ("key", "session") and route.concerns(owner) and status not in expected:
            wrong.append(f"{route.name}: {status} {body[:200]}")
    assert not wrong, "\n".join(wrong)
    assert with_secret >= {
        *("POST /v1/chat/completions", "POST /v1/vector_stores/{store_id}/search", "POST /mcp"),
        *("GET /v1/vector_stores/{store_id}/files/{file_id}/content", "GET /v1/responses/{response_id}"),
        *("GET /documents/{document_id}/pages/{number}", "GET /conversations/{conversation_id}/transcript.md"),
    }


@pytest.mark.parametrize("caller", ADMIN)
def test_an_admin_reads_everybodys_documents(routes, asking, owner, caller):
    for route in routes:
        if (
            not changes(route)
            and lets_in(route, caller)
            and "{store_id}" in route.path + json.dumps(ARGUMENTS.get(route.name), default=str)
        ):
            assert asking(caller, route, owner)[0] == 200, route.name


def test_what_everybody_may_see_of_the_chat_is_there(routes):
    """The tables name no route that is gone."""
    names = {route.name for route in routes}
    assert CHAT_OF_EVERYBODY | CHAT_ALONE | READS | ADMINS | ARGUMENTS.keys() <= names
