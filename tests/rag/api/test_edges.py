"""Who may ask what: foreign hosts and pages, large bodies, unknown addresses, the command line's routes, sources."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from rag.operations.control_protocol import request_token
from rag.operations.server_client import RequestTokens, ServerClient
from rag.storage.lock import Owner
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import SECRET, serving, write_documents

QUESTION = {"model": "scripted", "messages": [{"role": "user", "content": "oil?"}]}


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def test_health(http):
    assert http.get("/healthz").json() == {"status": "ok"}
    parts = {"catalog": "ok", "index": "ok", "model": "ok"}
    assert http.get("/readyz").json() == {"status": "ok", "model": "scripted", "documents": 3, "parts": parts}


def test_readiness_names_the_part_that_is_broken(tmp_path):
    with serving(api_settings(tmp_path), [write_documents(tmp_path / "documents")]) as served:
        served.services.index._vectors.close()
        response = httpx.get(f"{served.url}/readyz", trust_env=False)
        assert response.status_code == 503
        parts = response.json()["parts"]
        assert (parts["catalog"], parts["model"]) == ("ok", "ok")
        assert parts["index"] != "ok"


def test_readiness_names_what_is_incomplete(tmp_path):
    with serving(api_settings(tmp_path), [write_documents(tmp_path / "documents")]) as served:
        served.services.index.note_failure("words")
        response = httpx.get(f"{served.url}/readyz", trust_env=False)
        assert (response.status_code, response.json()["incomplete"]) == (200, ["words"])
        assert ServerClient(Owner(0, served.url, SECRET)).impaired() == ["words"]
        served.services.index.note_success("words")
        assert "incomplete" not in httpx.get(f"{served.url}/readyz", trust_env=False).json()


def test_every_answer_has_an_id_that_no_client_chooses(http):
    chosen = "6f1d9c0a3b5e4d2f8a7c6b5d4e3f2a1b"
    answers = [http.get(path, headers={"X-Request-ID": chosen}) for path in ("/healthz", "/v1/models", "/v1/nothing")]
    answers.append(http.get("/healthz", headers={"Host": "evil.example"}))
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 4
    assert all(name.startswith("req_") and len(name) == 28 for name in ids)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/", "/v1/chat", "/v1/a/b/c?d=e"])
def test_unknown_addresses_under_v1_are_json(http, method, path):
    response = http.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_unknown_addresses_elsewhere_are_json_too(http):
    assert http.get("/nothing").status_code == 404
    assert http.get("/nothing").json()["error"]["message"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "192.168.0.7"])
@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/local/documents"])
def test_a_foreign_host_is_refused(http, host, path):
    response = http.get(path, headers={"Host": host, "Authorization": f"Bearer {SECRET}"})
    assert response.status_code == 403
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "x", "["])
def test_a_foreign_origin_is_refused(http, origin):
    assert http.post("/v1/chat/completions", json=QUESTION, headers={"Origin": origin}).status_code == 403
    assert http.get("/v1/models", headers={"Origin": origin}).status_code == 403


def test_our_own_names_and_pages_are_let_in(http, served):
    port = urlsplit(served.url).port
    for name in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        headers = {"Host": name, "Origin": f"http://{name}"}
        assert http.get("/healthz", headers=headers).status_code == 200


def test_names_and_origins_that_are_set_are_let_in(tmp_path):
    settings = api_settings(tmp_path)
    names = {"allowed_hosts": ("footnote.example",), "allowed_origins": ("https://intranet.example",)}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=names)})
    with serving(settings, []) as served, httpx.Client(base_url=served.url, trust_env=False) as http:
        assert http.get("/v1/models", headers={"Host": "footnote.example"}).status_code == 200
        assert http.get("/v1/models", headers={"Host": "other.example"}).status_code == 403
        page = {"Origin": "https://intranet.example"}
        allowed = http.get("/v1/models", headers=page)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, page["Origin"])
        preflight = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        assert http.options("/v1/chat/completions", headers=preflight).status_code == 200
        assert http.get("/v1/models", headers={"Origin": "https://other.example"}).status_code == 403


def test_a_large_body_is_refused_by_its_declared_length(http):
    body = {**QUESTION, "padding": "x" * 20_000}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 413
    assert "16 KB" in response.json()["error"]["message"]


def test_only_uploads_may_be_large_whatever_a_request_calls_itself(http):
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = http.post("/v1/chat/completions", content=b"x" * 20_000, headers=headers)
    assert response.status_code == 413


def test_a_large_body_is_refused_while_it_comes(http):
    def pieces():
        yield b'{"padding": "'
        for _ in range(40):
            yield b"x" * 1000

    response = http.post("/v1/chat/completions", content=pieces(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999"])
def test_a_lying_length_does_no_harm(served, length):
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n{{}}"
        connection.sendall(head.encode())
        assert connection.recv(100).split()[1] in (b"400", b"413")
    assert httpx.get(f"{served.url}/healthz").status_code == 200


def test_half_an_upload_leaves_nothing_behind(served):
    address, folder = urlsplit(served.url), served.services.settings.storage.dir / "files"
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = (
            "POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
            '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        )
        connection.sendall(head.encode() + b"x" * 2000)
    assert httpx.get(f"{served.url}/v1/files").json()["data"] == []
    assert not folder.exists() or not [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "body", [b"", b"--b", b"\xff\xfe", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n']
)
def test_a_broken_upload_is_refused(http, body):
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = http.post("/v1/files", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/local/ingest"),
        ("GET", "/local/documents"),
        ("DELETE", "/local/documents/doc_x"),
        ("POST", "/local/search"),
        ("POST", "/local/ask"),
    ],
)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", SECRET, "Bearer tökén"])
def test_the_command_lines_routes_want_the_token(http, method, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    body = {"paths": ["/etc/hostname"], "collection": "default", "question": "x", "limit": 1, "messages": []}
    options = {"json": body} if method == "POST" else {}
    response = http.request(method, path, headers=headers, **options)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "forbidden"


def test_with_the_token_they_answer(http):
    http.auth = RequestTokens(SECRET)
    assert len(http.get("/local/documents").json()) == 3
    body = {"question": "pump oil", "collection": "default", "limit": 1}
    (hit,) = http.post("/local/search", json=body).json()
    assert hit["chunk"]["page_index"] == 1
    assert http.get("/local/documents?collection=nobody").status_code == 404
    assert http.delete("/local/documents/nobody").status_code == 404


def test_a_token_opens_the_one_request_it_was_made_for(http):
    """As a log on the way has it, or another process that has got the port of a server that died."""
    body = {"question": "pump oil", "collection": "default", "limit": 1}
    sent = http.build_request("POST", "/local/search", json=body)
    seen = next(RequestTokens(SECRET).auth_flow(sent)).headers["Authorization"]
    assert SECRET not in seen
    headers = {"Authorization": seen, "Content-Type": "application/json"}
    assert http.post("/local/search", content=sent.content, headers=headers).status_code == 200
    others = [
        http.post("/local/search", json={**body, "limit": 2}, headers=headers),
        http.post("/local/search?x=1", content=sent.content, headers=headers),
        http.post("/local/ask", content=sent.content, headers=headers),
        http.get("/local/documents", headers=headers),
        http.post("/local/ingest", json={"paths": ["/etc/hostname"], "collection": "default"}, headers=headers),
        http.delete(f"/local/documents/{'0' * 24}", headers=headers),
    ]
    assert [response.status_code for response in others] == [403] * len(others)
    for expires in (int(time.time()) - 1, int(time.time()) + 3600):  # over, and for longer than any command needs
        token = request_token(SECRET, "GET", b"/local/documents", b"", expires)
        assert http.get("/local/documents", headers={"Authorization": f"Bearer {token}"}).status_code == 403


# ---------------------------------------------------------------------------------------------------------- sources


def test_a_pdf_opens_in_the_browser(http, served):
    response = http.get(f"/documents/{served.document_id('manual.pdf')}/source")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"].startswith("inline")
    assert response.content.startswith(b"%PDF")


def test_a_page_of_html_is_shown_as_text_and_runs_nothing(http, served):
    response = http.get(f"/documents/{served.document_id('page.html')}/source")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<script>" in response.text


def test_a_name_that_is_no_ascii(http, served):
    response = http.get(f"/documents/{served.document_id('note with ä and 🦊.md')}/source")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert "The fox is orange." in response.text


@pytest.mark.parametrize("document_id", ["nobody", "..%2F..%2Fetc%2Fpasswd", "doc_"])
def test_an_unknown_document_is_not_found(http, document_id):
    response = http.get(f"/documents/{document_id}/source")
    assert response.status_code == 404
    assert response.json()["error"]["message"]


def test_a_file_that_is_gone_is_not_found_but_still_answers(tmp_path):
    folder = write_documents(tmp_path / "documents")
    with serving(api_settings(tmp_path), [folder]) as served:
        document_id = served.document_id("manual.pdf")
        (folder / "manual.pdf").unlink()
        response = httpx.get(f"{served.url}/documents/{document_id}/source")
        assert response.status_code == 404
        assert "manual.pdf" in response.json()["error"]["message"]
        assert httpx.post(f"{served.url}/v1/chat/completions", json=QUESTION).status_code == 200
