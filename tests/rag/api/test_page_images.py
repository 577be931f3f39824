"""Pages for the chat's side panel."""

import httpx
import pytest

TEXT = "The pump needs oil every 90 days."


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url) as client:
        yield client


def test_a_page_with_boxes_around_the_quote_and_its_picture(http, served):
    document = served.document_id("manual.pdf")
    page = http.get(f"/documents/{document}/pages/2", params={"start": 9, "end": 18}).json()
    assert (page["number"], page["pages"], page["text"].strip()) == (2, 3, TEXT)
    assert page["quote"] == "needs oil"
    ((left, top, width, height),) = page["boxes"]
    assert 0 < left < left + width < 1
    assert 0 < top < top + height < 1
    picture = http.get(page["picture"])
    assert picture.headers["content-type"] == "image/png"
    assert "private" in picture.headers["cache-control"]
    assert picture.content.startswith(b"\x89PNG")


def test_the_text_of_a_page_lies_over_its_picture(http, served):
    page = http.get(f"/documents/{served.document_id('manual.pdf')}/pages/2").json()
    ((left, top, width, height, text),) = page["lines"]
    assert text.strip() == TEXT
    assert 0 < left < left + width < 1
    assert 0 < top < top + height < 1


def test_without_a_quote_nothing_is_marked(http, served):
    page = http.get(f"/documents/{served.document_id('manual.pdf')}/pages/1").json()
    assert (page["quote"], page["boxes"]) == ("", [])


@pytest.mark.parametrize("page", ["0", "-1", "4", "4.png", "0.png"])
def test_a_page_that_is_not_there(http, served, page):
    assert http.get(f"/documents/{served.document_id('manual.pdf')}/pages/{page}").status_code == 404


def test_what_has_no_pages_has_no_picture(http, served):
    document = served.document_id("page.html")
    assert http.get(f"/documents/{document}/pages/1").status_code == 404
    assert http.get(f"/documents/{document}/pages/1.png").status_code == 404
    assert http.get("/documents/nobody/pages/1").status_code == 404
    assert http.get("/documents/nobody/pages/1.png").status_code == 404
