"""Two apps behind nginx, over one database and one Chroma server: either does everything, and one of them may die."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.compose.load import QUESTION, Load
from tests.compose.stack import PASSWORD, RECOVERY, ROOT, Stack
from tests.e2e.chat_page import ChatPage


@pytest.fixture(scope="module")
def stack(image, model_image, tmp_path_factory):
    files = [ROOT / "docker-compose.scale.yml", Path(__file__).parent / "model.yml"]
    first, proxy = two_ports_and_one()
    ports = {"FOOTNOTE_PORT": f"{first}-{first + 1}", "FOOTNOTE_PROXY_PORT": str(proxy)}
    stack = Stack(tmp_path_factory.mktemp("scale"), image, files, MODEL_IMAGE=model_image, **ports)
    stack.url, stack.port = f"http://127.0.0.1:{proxy}", first
    with stack.removed_at_the_end():
        stack.run("rag", "users", "add", "anna", "--admin", input=PASSWORD)
        stack.key = stack.run("rag", "keys", "create", "--user", "anna").stdout.strip()
        stack.up()
        stack.run("ingest", "/data/sample")
        yield stack


def two_ports_and_one():
    """The first of two free ports that follow each other, and another one."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as other:
            first.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            number = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", number + 1))
            except OSError:
                continue
            return number, other.getsockname()[1]


def client(stack, number):
    """A client of one app, past nginx."""
    headers = {"Authorization": f"Bearer {stack.key}"}
    return httpx.Client(
        base_url=f"http://127.0.0.1:{stack.port + number}", headers=headers, timeout=60, trust_env=False
    )


def test_what_one_takes_in_the_other_finds(stack):
    with client(stack, 0) as one, client(stack, 1) as other:
        text = ("beacon.txt", "The northern beacon is violet.")
        uploaded = one.post("/v1/files", files={"file": text}, data={"purpose": "assistants"}).json()
        store = one.post("/v1/vector_stores", json={"name": "beacons", "file_ids": [uploaded["id"]]}).json()["id"]
        stack.wait(
            lambda: other.get(f"/v1/vector_stores/{store}").json()["file_counts"]["completed"] == 1, 60, "taken in"
        )
        for each in (one, other):
            found = each.post(f"/v1/vector_stores/{store}/search", json={"query": "which beacon is violet"})
            assert "northern beacon" in found.text
        assert other.delete(f"/v1/vector_stores/{store}/files/{uploaded['id']}").status_code == 200
        assert one.post(f"/v1/vector_stores/{store}/search", json={"query": "violet beacon"}).json()["data"] == []


def test_a_browser_stays_with_one(stack):
    with httpx.Client(base_url=stack.url, trust_env=False) as browser:
        assert "footnote_route" in browser.get("/login").cookies
        assert "set-cookie" not in browser.get("/login").headers


def test_the_chat_through_nginx(stack, browser):
    page = browser.new_context().new_page()
    chat = ChatPage.log_in(page, stack.url, "anna", PASSWORD)
    for _ in range(2):
        assert "The documents say so" in chat.ask(QUESTION).inner_text()
    page.context.close()


def test_one_dies_under_load_and_nothing_is_lost_or_doubled(stack):
    accepted = []
    with stack.client() as http:
        store = http.post("/v1/vector_stores", json={"name": "under load"}).json()["id"]

    def upload():
        for number in range(30):
            text = (f"note-{number}.txt", f"Note {number} says that lamp {number} is lit.")
            try:
                with stack.client() as http:
                    sent = http.post("/v1/files", files={"file": text}, data={"purpose": "assistants"})
                    if sent.status_code != 200:
                        continue
                    attached = http.post(f"/v1/vector_stores/{store}/files", json={"file_id": sent.json()["id"]})
                    if attached.status_code == 200:
                        accepted.append(sent.json()["id"])
            except httpx.TransportError:
                continue

    uploading = threading.Thread(target=upload)
    with Load(stack) as load:
        stack.wait(lambda: load.whole > 0, 60, "an answer before")
        uploading.start()
        stack.wait(lambda: len(accepted) > 5, 60, "some uploads")
        stack.crash("app", 1)
        uploading.join()
    print(f"accepted: {len(accepted)} of 30; whole: {load.whole}; told: {Counter(load.told)}; cut: {load.cut}")
    assert load.unclear == []
    assert len(accepted) > 20
    stack.wait(stack.is_ready, RECOVERY, "recovery")

    def files():
        with stack.client() as http:
            return http.get(f"/v1/vector_stores/{store}/files", params={"limit": 100}).json()["data"]

    stack.wait(lambda: all(file["status"] != "in_progress" for file in files()), 120, "all are taken in")
    listed = Counter(file["id"] for file in files())
    assert set(listed.values()) == {1}
    assert set(accepted) <= listed.keys()
    assert {file["status"] for file in files()} == {"completed"}
    for number in range(2):

        def answers(number=number):
            try:
                with client(stack, number) as http:
                    found = http.post(f"/v1/vector_stores/{store}/search", json={"query": "note lamp lit"})
            except httpx.TransportError:
                return False
            return found.status_code == 200 and len(found.json()["data"]) > 3

        stack.wait(answers, RECOVERY, f"app {number} finds them")
    assert "Traceback" not in stack.logs("app")
