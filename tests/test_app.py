"""`python app.py` as a user starts it: one port for chat and API, and plain words when it cannot start."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import openai
import pytest

from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.lock import read_owner
from rag.storage.sqlite import SqliteDatabase
from tests.commands import Commands
from tests.rag.models.model_server import free_port


@pytest.fixture
def commands(tmp_path):
    return Commands(tmp_path)


def client_of(url):
    return httpx.Client(base_url=url, trust_env=False, timeout=60)


def test_it_ingests_serves_and_ends(commands):
    (commands.folder / "note.txt").write_text("The pump needs oil every 90 days.")
    port = free_port()
    with commands.server(port, "note.txt") as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            answer = client.chat.completions.create(
                model="footnote/default", messages=[{"role": "user", "content": "How often does the pump need oil?"}]
            )
        assert answer.choices[0].message.content.startswith("The documents say so [1].")
        assert answer.model_dump()["citations"][0]["quote"] == "The pump needs oil every 90 days."
        with client_of(url) as http:
            assert http.get("/readyz").json()["documents"] == 1
            page = http.get("/")
            assert page.status_code == 200
            assert "text/html" in page.headers["content-type"]
            assert http.get("/v1/nothing").json()["error"]["code"] == "not_found"
            assert http.get("/", headers={"Host": "evil.example"}).status_code == 403
        owner = read_owner(commands.storage)
        assert owner is not None
        assert owner.url == url
        assert owner.secret
    assert read_owner(commands.storage) is None


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_what_it_says_and_how_it_ends(commands, ending):
    port = free_port()
    with commands.server(port):
        owner = read_owner(commands.storage)
        assert owner is not None
        os.kill(owner.pid, ending)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the server still listens")
    (commands.folder / "note.txt").write_text("The pump needs oil.")
    commands.run("ingest", "note.txt")  # the folder is free again, whatever the note says


@pytest.mark.slow
def test_wrong_settings_are_told_before_anything_slow(commands):
    assert "rag users add" in commands.refused("app", RAG_SERVER__HOST="0.0.0.0", RAG_SERVER__PORT=str(free_port()))
    assert "nobody has" in commands.refused("app", RAG_AUTH__REQUIRED="true", RAG_SERVER__PORT=str(free_port()))
    known = {"RAG_STORAGE__DATABASE_URL": "postgresql://footnote:change-me@db/footnote", "RAG_AUTH__REQUIRED": "true"}
    assert "a password that everybody knows" in commands.refused("app", **known)
    assert "RAG_SERVER__PORT" in commands.refused("app", RAG_SERVER__PORT="70000")
    assert "RAG_SERVER__PORT" in commands.refused("app", RAG_SERVER__PROT="8000")


@pytest.mark.slow
def test_on_an_address_of_the_network_a_key_or_a_log_in_is_asked_for(commands):
    key = commands.run("rag", "keys", "create", "--user", "anna").stdout.strip()
    users = Users(SqliteDatabase(commands.storage / CATALOG_NAME))
    users.set_password("anna", "four words in a row")
    port = free_port()
    with (
        commands.server(port, RAG_SERVER__HOST="0.0.0.0") as url,
        client_of(url) as http,
    ):
        assert http.get("/v1/models").status_code == 401
        named = {"Host": "footnote.example", "Authorization": f"Bearer {key}"}
        assert http.get("/v1/models", headers=named).json()["data"][0]["id"] == "scripted"
        commands.run("ingest", "ls")  # the command line needs no key
        document = "/documents/doc_none/source"
        for_browsers = ("/docs", "/redoc", "/openapi.json", "/docs/redoc.standalone.js", "/library/me")
        for path in (document, *for_browsers, "/conversations/none/transcript.md", "/metrics"):
            assert http.get(path).status_code == 401, path
        upload = {"file": ("note.txt", b"text")}
        assert http.post("/project/file?session_id=none", files=upload).status_code == 401
        for path in ("/healthz", "/library", "/login", "/public/library.js"):
            assert http.get(path).status_code == 200, path
        told = {"username": "anna", "password": "wrong words in a row"}
        assert http.post("/login", data=told).status_code == 401
        assert http.get("/user").status_code == 401
        assert http.post("/login", data={**told, "password": "four words in a row"}).status_code == 200
        assert http.get("/user").json()["display_name"] == "anna"
        assert http.get(document).status_code == 404
        assert {http.get(path).status_code for path in for_browsers} == {200}
        assert http.get("/conversations/none/transcript.md").status_code == 404
        assert http.post("/project/file?session_id=none", files=upload).status_code == 404
        assert http.get("/v1/models").status_code == 401, "the chat's cookie opens no route of the API"
        assert http.post("/auth/jwt").status_code == 404, "a session is not made longer"
        users.set_password("anna", "other words in a row")
        assert http.get(document).status_code == 401, "a new password ends the sessions"
        users.delete("anna")
        assert http.get("/v1/models", headers=named).status_code == 401
        asked = {"pagination": {"first": 20}, "filter": {}}
        assert http.post("/project/threads", json=asked).status_code == 401, "a page that is still open"


@pytest.mark.slow
def test_guessing_passwords_is_slowed_down(commands):
    commands.run("rag", "keys", "create", "--user", "anna")
    wrong = {"username": "anna", "password": "wrong words in a row"}
    limits = {"RAG_AUTH__REQUIRED": "true", "RAG_AUTH__ATTEMPTS_PER_MINUTE": "3"}
    with commands.server(free_port(), **limits) as url, client_of(url) as http:
        assert [http.post("/login", data=wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert int(http.post("/login", data=wrong).headers["retry-after"]) <= 61


@pytest.mark.slow
def test_a_forged_address_counts_for_nothing_unless_a_proxy_is_declared(commands):
    Users(SqliteDatabase(commands.storage / CATALOG_NAME)).add("anna", "four words in a row")
    wrong = {"username": "anna", "password": "wrong words in a row"}
    limits = {"RAG_AUTH__REQUIRED": "true", "RAG_AUTH__ATTEMPTS_PER_MINUTE": "3"}

    def log_ins(url, count, form=wrong):
        with client_of(url) as http:
            for number in range(count):
                forged = {
                    "X-Forwarded-For": f"10.0.{number // 250}.{number % 250}",
                    "Forwarded": f"for=10.1.0.{number}",
                }
                forged |= {"X-Real-IP": f"10.2.0.{number}"}
                yield http.post("/login", data=form, headers=forged).status_code

    with commands.server(free_port(), FORWARDED_ALLOW_IPS="*", **limits) as url:
        assert [*log_ins(url, 5)] == [401, 401, 401, 429, 429]
    proxy = {"RAG_SERVER__TRUSTED_PROXIES": '["127.0.0.0/8"]'}
    with commands.server(free_port(), **proxy, **limits) as url:
        right = {**wrong, "password": "four words in a row"}
        assert [*log_ins(url, 1, right)] == [200]
        assert [*log_ins(url, 29)] == [401] * 29
        assert [*log_ins(url, 1, right)] == [401], "from many addresses the user is guarded"
    with commands.server(free_port(), RAG_SERVER__TRUSTED_PROXIES='["10.9.9.9"]', **limits) as url:
        assert [*log_ins(url, 4)][-1] == 429, "another one is declared"


def through_proxy(url, address="127.0.0.2"):
    """Somebody who comes from that address of this machine."""
    return httpx.Client(base_url=url, transport=httpx.HTTPTransport(local_address=address), timeout=60)


@pytest.mark.slow
def test_a_proxy_names_who_is_logged_in(commands):
    Users(SqliteDatabase(commands.storage / CATALOG_NAME)).add("anna")
    settings = {"RAG_AUTH__REQUIRED": "true", "RAG_AUTH__USER_HEADER": "X-Forwarded-User"}
    assert "RAG_SERVER__TRUSTED_PROXIES" in commands.refused("app", RAG_SERVER__PORT=str(free_port()), **settings)
    with (
        commands.server(free_port(), RAG_SERVER__TRUSTED_PROXIES='["127.0.0.2"]', **settings) as url,
        client_of(url) as passer_by,
        through_proxy(url) as http,
    ):
        anna = {"X-Forwarded-User": "anna"}
        for forged in (anna, {**anna, "X-Forwarded-For": "127.0.0.2"}):
            assert passer_by.get("/v1/models", headers=forged).status_code == 401
            assert passer_by.get("/library/me", headers=forged).status_code == 401
            assert passer_by.post("/auth/header", headers=forged).status_code == 401
        assert http.get("/v1/models", headers={**anna, "X-Forwarded-For": "10.1.2.3"}).status_code == 200
        twice = [("X-Forwarded-User", "anna"), ("X-Forwarded-User", "ben")]
        assert http.get("/v1/models", headers=twice).status_code == 401
        for name, status in (("anna", 200), ("ben", 401), ("local", 401), ("", 401)):
            header = {"X-Forwarded-User": name}
            assert http.get("/v1/models", headers=header).status_code == status
            assert http.post("/auth/header", headers=header).status_code == status
        assert http.get("/user", headers={"X-Forwarded-User": "anna"}).status_code == 200
        assert http.get("/user", headers={"X-Forwarded-User": "ben"}).status_code == 401, "the cookie is anna's"
        assert http.get("/library/me", headers={"X-Forwarded-User": "anna", "Host": "evil.example"}).status_code == 403


class Provider(BaseHTTPRequestHandler):
    """An OAuth provider at which everybody is called anna."""

    def answer(self):
        told = {"access_token": "token", "email": "anna"}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815  (the base class's names)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_an_oauth_provider_vouches_for_its_own_users_only(commands):
    users = Users(SqliteDatabase(commands.storage / CATALOG_NAME))
    users.add("anna")
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{provider.server_port}"
        settings = {
            "RAG_AUTH__REQUIRED": "true",
            "OAUTH_GENERIC_CLIENT_ID": "footnote",
            "OAUTH_GENERIC_CLIENT_SECRET": "secret",
            "OAUTH_GENERIC_AUTH_URL": f"{there}/authorize",
            "OAUTH_GENERIC_TOKEN_URL": f"{there}/token",
            "OAUTH_GENERIC_USER_INFO_URL": f"{there}/me",
            "OAUTH_GENERIC_SCOPES": "openid",
        }
        with (
            commands.server(free_port(), **settings) as url,
            client_of(url) as http,
        ):

            def log_in():
                asked = httpx.URL(http.get("/auth/oauth/generic").headers["location"])
                state = {"code": "1", "state": asked.params["state"]}
                return http.get("/auth/oauth/generic/callback", params=state, follow_redirects=True)

            assert "error" in str(log_in().url), "the anna of the provider is not ours"
            assert http.get("/user").status_code == 401
            users.add("generic:anna")
            page = log_in()
            assert (page.status_code, "success" in str(page.url)) == (200, True)
            assert "text/html" in page.headers["content-type"]
            assert http.get("/user").json()["display_name"] == "generic:anna"
        provider.shutdown()
