"""The reader's routes: what a document holds and how it is shown, and the search in it."""

import httpx
import pytest

from rag.ui import reader
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    documents = write_documents(folder / "documents")
    (documents / "prices.csv").write_text("part,price\nP-200,9\nP-300,12\n")
    (documents / "tool.py").write_text("def answer():\n    return 42\n")
    with serving(api_settings(folder), [documents], reader.router) as served:
        yield served


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url) as client:
        yield client


def contents(http, served, name):
    return http.get(f"/view/{served.document_id(name)}/contents").raise_for_status().json()


def test_the_page_is_the_same_for_every_document_and_loads_nothing_from_elsewhere(http, served):
    page, other = http.get(f"/view/{served.document_id('manual.pdf')}"), http.get("/view/doc_none")
    assert page.status_code == other.status_code == 200
    assert page.text == other.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy


@pytest.mark.parametrize(
    ("name", "view", "pages"),
    [("manual.pdf", "pages", 3), ("prices.csv", "table", 0), ("page.html", "text", 0), ("tool.py", "lines", 0)],
)
def test_each_format_has_its_view(http, served, name, view, pages):
    found = contents(http, served, name)
    assert (found["view"], found["pages"], found["file"], found["has_file"]) == (view, pages, name, True)
    assert any(section["text"] for section in found["sections"]) == (view != "pages")


def test_a_pdf_whose_file_is_gone_is_shown_as_text(tmp_path):
    documents = write_documents(tmp_path / "documents")
    with serving(api_settings(tmp_path), [documents], reader.router) as served:
        (documents / "manual.pdf").unlink()
        with httpx.Client(base_url=served.url) as http:
            found = contents(http, served, "manual.pdf")
    assert (found["view"], found["pages"], found["has_file"]) == ("text", 3, False)
    assert "every 90 days" in found["sections"][1]["text"]


def test_words_are_found_whatever_their_case_and_white_space(http, served):
    document = served.document_id("manual.pdf")
    answer = http.get(f"/view/{document}/search", params={"containing": " NEEDS   oil "}).json()
    (hit,) = answer["hits"]
    assert (hit["page"], hit["start"], hit["end"], hit["words"]) == (2, 9, 18, "needs oil")
    assert (hit["before"], hit["after"].strip()) == ("The pump ", "every 90 days.")
    assert not answer["has_more"]
    page = http.get(f"/documents/{document}/pages/2", params={"start": hit["start"], "end": hit["end"]}).json()
    assert page["quote"] == "needs oil"


def test_places_without_pages_are_offsets_in_the_whole_text(http, served):
    document = served.document_id("prices.csv")
    (hit,) = http.get(f"/view/{document}/search", params={"containing": "P-300"}).json()["hits"]
    text = "".join(section["text"] for section in contents(http, served, "prices.csv")["sections"])
    assert hit["page"] is None
    assert text[hit["start"] : hit["end"]] == "P-300"


def test_signs_of_a_pattern_are_only_signs(http, served):
    document = served.document_id("manual.pdf")
    assert http.get(f"/view/{document}/search", params={"containing": "p.*p"}).json()["hits"] == []
    assert http.get(f"/view/{document}/search", params={"containing": " "}).json()["hits"] == []


def test_more_hits_than_are_shown_are_told(tmp_path):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "owls.txt").write_text("An owl hoots. " * (reader.MAX_HITS + 1))
    with serving(api_settings(tmp_path), [documents], reader.router) as served:
        url = f"{served.url}/view/{served.document_id('owls.txt')}/search?containing=owl"
        answer = httpx.get(url).json()
    assert (len(answer["hits"]), answer["has_more"]) == (reader.MAX_HITS, True)


def test_a_document_that_is_not_there(http):
    assert http.get("/view/doc_none/contents").status_code == 404
    assert http.get("/view/doc_none/search?containing=oil").status_code == 404
