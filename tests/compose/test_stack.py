"""A stack from its first start to its last, in order: what README.md says, and what happens when a container dies."""

from __future__ import annotations

import json
import re
import subprocess
import time

import httpx
import pytest

from tests.compose.load import QUESTION, Load
from tests.compose.stack import PASSWORD, RECOVERY
from tests.e2e.chat_page import ChatPage

SERVICES = ["app", "chroma", "db", "model"]


def containers(stack, *services):
    for service in services:
        yield service, json.loads(subprocess.check_output(["docker", "inspect", stack.container(service)]))[0]


def assert_answers(stack):
    """A whole answer, found by meaning and by words, with its footnote."""
    answered = stack.ask(QUESTION)
    assert answered.status_code == 200, answered.text
    assert answered.json()["choices"][0]["message"]["content"].startswith("The documents say so [1]")
    assert "handbook" in answered.json()["citations"][0]["title"].lower()


def test_it_refuses_to_start_without_a_password(stack):
    environment = stack.folder / ".env"
    text = environment.read_text()
    environment.write_text(re.sub("^POSTGRES_PASSWORD=.*$", "POSTGRES_PASSWORD=", text, flags=re.MULTILINE))
    try:
        with pytest.raises(AssertionError, match="Write POSTGRES_PASSWORD into"):
            stack.compose("config")
    finally:
        environment.write_text(text)


def test_the_first_start(stack):
    stack.run("rag", "users", "add", "anna", "--admin", input=PASSWORD)
    stack.key = stack.run("rag", "keys", "create", "--user", "anna").stdout.strip()
    stack.up()


def test_an_ingest_beside_the_running_stack(stack):
    stack.run("ingest", "/data/sample")
    assert len(stack.documents()) > 3
    assert_answers(stack)


def test_only_the_port_of_the_app_is_published(stack):
    published = {}
    for service, told in containers(stack, *SERVICES):
        published[service] = [place for places in told["NetworkSettings"]["Ports"].values() for place in places or []]
    assert published.pop("app") == [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]
    assert not any(published.values())
    assert httpx.get(f"{stack.url}/v1/models", trust_env=False).status_code == 401


def test_containers_may_do_little(stack):
    for service, told in containers(stack, *SERVICES):
        host = told["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert any("no-new-privileges" in option for option in host["SecurityOpt"]), service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        if service != "model":
            assert host["Memory"], service
            assert host["NanoCpus"], service
    assert stack.compose("exec", "-T", "app", "id", "-u").stdout.strip() == "10001"
    touch = ["sh", "-c", "touch /app/x /etc/x /data/x; touch /tmp/x /var/lib/footnote/x /backups/x && echo written"]
    ran = stack.compose("exec", "-T", "app", *touch)
    assert ran.stdout.strip() == "written"
    assert ran.stderr.count("Read-only file system") == 3


def test_storage_services_reach_nothing_but_each_other(stack):
    networks = {service: told["NetworkSettings"]["Networks"].keys() for service, told in containers(stack, *SERVICES)}
    assert networks["chroma"] == networks["db"]
    [inner] = networks["chroma"]
    assert json.loads(subprocess.check_output(["docker", "network", "inspect", inner]))[0]["Internal"]
    assert inner in networks["app"]
    assert inner not in networks["model"]


def test_the_doctor_finds_nothing(stack):
    said = stack.run("rag", "doctor").stdout
    assert "Chroma: a server at http://chroma:8000" in said
    assert "problem" not in said


def test_the_chat_in_a_browser(stack, browser):
    page = browser.new_context().new_page()
    chat = ChatPage.log_in(page, stack.url, "anna", PASSWORD)
    answer = chat.ask(QUESTION)
    assert "The documents say so" in answer.inner_text()
    assert chat.sources(answer)
    page.context.close()


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_dies_under_load(stack, service):
    before = {document["id"]: document["chunks"] for document in stack.documents()}
    with Load(stack) as load:
        stack.wait(lambda: load.whole > 0, 60, "an answer before")
        stack.crash(service)
        crashed = time.monotonic()
        stack.wait(lambda: load.last > crashed, RECOVERY, f"an answer after the end of {service}")
    print(f"{service}: answers after {load.last - crashed:.0f} s; told: {sorted(set(load.told))}; cut: {load.cut}")
    assert load.unclear == []
    if service != "app":
        assert load.cut == 0
    assert {document["id"]: document["chunks"] for document in stack.documents()} == before
    assert_answers(stack)
    assert "Traceback" not in stack.logs("app")


@pytest.mark.parametrize("service", ["chroma", "app"])
def test_an_upload_outlives_the_end_of_a_container(stack, service):
    text = f"The {service} lantern is green.\n\n" + "\n\n".join(
        f"Lantern {service} number {n} is old." for n in range(300)
    )
    with stack.client() as client:
        name = f"{service}.txt"
        uploaded = client.post("/v1/files", files={"file": (name, text)}, data={"purpose": "assistants"}).json()
        store = client.post("/v1/vector_stores", json={"name": f"of {service}", "file_ids": [uploaded["id"]]}).json()
    stack.crash(service)
    stack.wait(stack.is_ready, RECOVERY, f"recovery from the end of {service}")

    def is_done():
        with stack.client() as client:
            counts = client.get(f"/v1/vector_stores/{store['id']}").json()["file_counts"]
        assert counts["failed"] == 0, counts
        return counts["completed"] == 1

    stack.wait(is_done, 120, "the upload is taken in")
    with stack.client() as client:
        found = client.post(f"/v1/vector_stores/{store['id']}/search", json={"query": f"the {service} lantern"}).json()
    assert "lantern is green" in json.dumps(found)


def test_the_doctor_names_the_one_thing_that_is_wrong(stack):
    for service, subject in (("chroma", "Chroma"), ("db", "Database"), ("model", "Language model")):
        stack.compose("stop", service)
        try:
            said = stack.compose("run", "--rm", "-T", "--no-deps", "app", "rag", "doctor", code=1).stdout
        finally:
            stack.compose("start", service)
        problems = [line for line in said.splitlines() if line.startswith("problem")]
        assert len(problems) == 1, said
        assert subject in problems[0]
    stack.wait(stack.is_ready, RECOVERY, "all is well again")


def test_a_new_start_has_all_that_was_there(stack):
    before = {document["id"]: document["chunks"] for document in stack.documents()}
    stack.compose("down")
    stack.up()
    assert {document["id"]: document["chunks"] for document in stack.documents()} == before
    assert_answers(stack)


def test_a_backup_and_its_return(stack):
    before = sorted(document["source"] for document in stack.documents())
    stack.compose("exec", "-T", "app", "rag", "backup", "/backups/all.backup")
    for document in stack.documents()[:2]:
        stack.run("ingest", "rm", document["id"])
    stack.compose("stop", "app")
    stack.run("rag", "restore", "/backups/all.backup", "--overwrite")
    stack.up()
    assert sorted(document["source"] for document in stack.documents()) == before
    assert_answers(stack)


def test_it_goes_without_a_trace(stack):
    stack.compose("down", "--volumes")
    left = subprocess.check_output(["docker", "volume", "ls", "-q", "--filter", f"name={stack.project}"], text=True)
    assert left.split() == []
