"""Whoever may write to a folder of documents gets nothing out of the server that was not ingested."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from rag.errors import Conflict, NotFound
from rag.operations.archive.writer import export
from rag.storage.source_files import SourceFiles
from rag.ui import library
from tests.ingest.loaders.documents import make_pdf
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

SECRET = "zanzibar"
NAMES = ("manual.pdf", "page.html", "note with ä and 🦊.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def folder(place):
    return write_documents(place / "documents")


@pytest.fixture(scope="module")
def secrets(place):
    """Files that whoever writes to the documents' folder may not read, and the server may."""
    folder = place / "secrets"
    folder.mkdir()
    make_pdf(folder / "manual.pdf", [[f"The code word is {SECRET}."]])
    for name in NAMES[1:]:
        (folder / name).write_text(f"# {SECRET}\n\nThe code word is {SECRET}.", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def attacked(place, folder):
    with serving(api_settings(place), [folder], library.router) as served:
        yield served


@pytest.fixture
def http(attacked):
    with httpx.Client(base_url=attacked.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def replaced(folder):
    """Puts something in the place of a file of the folder, until the test is over."""
    kept = []

    def replace(name):
        path = folder / name
        kept.append((path, path.with_name(f"kept-{len(kept)}")))
        path.rename(kept[-1][1])
        return path

    yield replace
    for path, aside in reversed(kept):
        if path.is_symlink() or path.exists():
            path.unlink()
        aside.rename(path)


def assert_told_and_not_shown(response):
    assert response.status_code == 409, response.text
    assert "has changed since it was read" in response.json()["error"]["message"]
    assert "`ingest` it again" in response.json()["error"]["hint"]
    assert SECRET not in response.text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["link", "hard link", "chain of links", "other words"])
def test_what_took_the_place_of_a_file_is_not_served(http, attacked, secrets, replaced, name, way):
    address = f"/documents/{attacked.document_id(name)}/source"
    before = http.get(address)
    assert before.status_code == 200
    path = replaced(name)
    if way == "link":
        path.symlink_to(secrets / name)
    elif way == "hard link":
        path.hardlink_to(secrets / name)
    elif way == "chain of links":
        path.with_name("link").unlink(missing_ok=True)
        path.with_name("link").symlink_to(secrets / name)
        path.symlink_to(path.with_name("link"))
    else:
        path.write_bytes((secrets / name).read_bytes())
    assert_told_and_not_shown(http.get(address))
    assert_told_and_not_shown(http.get(address, headers={"Range": "bytes=0-20"}))
    path.unlink()
    path.write_bytes(before.content)
    assert http.get(address).content == before.content, "the same bytes again are what was ingested"


def test_words_that_are_written_into_the_file_itself_are_not_served(http, attacked, folder):
    path, address = folder / "page.html", f"/documents/{attacked.document_id('page.html')}/source"
    words, times = path.read_bytes(), path.stat()
    assert http.get(address).content == words
    path.write_bytes(b"x" * len(words))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # of the same length and time
    assert_told_and_not_shown(http.get(address))
    path.write_bytes(words)
    assert http.get(address).content == words


def test_a_folder_or_a_pipe_in_its_place_holds_nobody_up(http, attacked, replaced):
    address = f"/documents/{attacked.document_id('page.html')}/source"
    path = replaced("page.html")
    os.mkfifo(path)
    assert_told_and_not_shown(http.get(address, timeout=5))
    path.unlink()
    path.symlink_to("/dev/zero")
    assert_told_and_not_shown(http.get(address, timeout=5))
    path.unlink()
    path.symlink_to(path.parent)
    assert http.get(address).status_code in (404, 409)


def test_a_page_of_another_file_is_not_drawn(http, attacked, secrets, replaced):
    replaced("manual.pdf").symlink_to(secrets / "manual.pdf")
    document = attacked.document_id("manual.pdf")
    assert_told_and_not_shown(http.get(f"/documents/{document}/pages/1"))
    assert_told_and_not_shown(http.get(f"/documents/{document}/pages/1.png"))


@pytest.mark.parametrize("name", NAMES)
def test_a_link_out_of_the_folder_is_not_read_again(http, attacked, secrets, replaced, name):
    replaced(name).symlink_to(secrets / name)
    document = attacked.document_id(name)
    assert_told_and_not_shown(http.post(f"/library/documents/{document}/again"))
    assert SECRET not in attacked.services.catalog.page_text(document, None)


def test_a_folder_that_a_link_has_replaced_is_not_read_again(place, tmp_path, secrets):
    folder = write_documents(tmp_path / "documents" / "inner")
    with (
        serving(api_settings(tmp_path), [folder.parent], library.router) as served,
        httpx.Client(base_url=served.url, trust_env=False, timeout=30) as http,
    ):
        document = served.document_id("page.html")
        assert http.post(f"/library/documents/{document}/again").json()["outcome"] == "unchanged"
        served.services.catalog.database.write("UPDATE documents SET updated_at = '2020-01-01T00:00:00+00:00'")
        folder.rename(tmp_path / "aside")
        folder.symlink_to(secrets)
        assert_told_and_not_shown(http.post(f"/library/documents/{document}/again"))
        folder.unlink()
        (tmp_path / "aside").rename(folder)
        assert http.post(f"/library/documents/{document}/again").json()["outcome"] == "unchanged"


def test_an_export_has_nothing_of_what_took_the_place_of_a_file(attacked, secrets, replaced, tmp_path):
    replaced("page.html").symlink_to(secrets / "page.html")
    *_, written = export(attacked.services.index, tmp_path / "some.archive")
    assert [Path(name).name for name in written.left_out] == ["page.html"]
    with zipfile.ZipFile(tmp_path / "some.archive") as archive:
        assert not any(SECRET.encode() in archive.read(name) for name in archive.namelist())


def test_a_browser_gets_a_file_in_parts_and_none_stays_open(http, attacked, folder):
    address, whole = f"/documents/{attacked.document_id('manual.pdf')}/source", (folder / "manual.pdf").read_bytes()
    for start in range(0, len(whole), max(1, len(whole) // 20)):
        part = http.get(address, headers={"Range": f"bytes={start}-{start + 9}"})
        assert (part.status_code, part.content) == (206, whole[start : start + 10])
    with http.stream("GET", address):
        pass  # who leaves early
    assert http.get(address).content == whole
    for _ in range(100):  # until the last answer is done with
        open_files = [place.readlink() for place in Path("/proc/self/fd").iterdir() if place.is_symlink()]
        if folder / "manual.pdf" not in open_files:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the file stays open")


def test_the_one_that_was_opened_is_read_whatever_is_there_meanwhile(attacked, secrets, replaced):
    document = attacked.services.catalog.document(attacked.document_id("page.html"))
    words = document.content.read_bytes()
    with SourceFiles().open(document) as file:
        replaced("page.html").symlink_to(secrets / "page.html")
        assert file.read() == words
    with pytest.raises(Conflict):
        SourceFiles().open(document)
    document.content.unlink()
    with pytest.raises(NotFound):
        SourceFiles().open(document)
