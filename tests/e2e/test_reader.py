"""The reader: a page for every format, with cited places marked, searched and worked by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.test_accessibility import violations

ILL = "fourth day"  # on the employee handbook's page 7, the 11th of the file


@pytest.fixture
def document(page: Page, quotes_url: str) -> Callable[[str], str]:
    """The address of the reader for a document of the sample, by the beginning of its file's name."""

    def address(name: str) -> str:
        collections = page.request.get(f"{quotes_url}/library/collections").json()
        found = [
            document
            for collection in collections
            for document in page.request.get(
                f"{quotes_url}/library/collections/{collection['id']}/documents?limit=200"
            ).json()["documents"]
            if document["file"].startswith(name)
        ]
        return f"{quotes_url}/view/{found[0]['id']}"

    return address


def place_of(page: Page, address: str, words: str) -> tuple[int | None, int, int]:
    """Where a document has these words."""
    hit = page.request.get(f"{address}/search", params={"containing": words}).json()["hits"][0]
    return hit["page"], hit["start"], hit["end"]


def test_the_pages_of_a_pdf_with_several_places_marked(page: Page, document: Callable[[str], str]) -> None:
    address = document("employee-handbook")
    number, start, end = place_of(page, address, ILL)
    assert number == 11
    page.goto(f"{address}?page=11&start={start}&end={end}&mark=12:10-90")
    expect(page.locator("[data-page='11'] .box.mark.current")).to_be_in_viewport(timeout=10_000)
    expect(page.locator("#citation")).to_have_text("Citation 1 of 2")
    expect(page.locator("#page")).to_have_value("7")  # as it is printed
    expect(page.get_by_role("img", name="Page 7 of Employee Handbook, with the passage marked")).to_be_visible()
    page.get_by_role("button", name="Next citation").click()
    expect(page.locator("[data-page='12'] .box.current").first).to_be_in_viewport(timeout=10_000)
    page.keyboard.press("p")
    expect(page.locator("#citation")).to_have_text("Citation 1 of 2")
    expect(page.locator("[data-page='11'] .box.current")).to_be_in_viewport()
    assert page.locator(".sheet").count() == 25
    assert page.locator(".sheet img").count() < 12  # only what is near


def test_text_over_a_page_is_selected_as_it_stands(page: Page, document: Callable[[str], str]) -> None:
    page.goto(f"{document('employee-handbook')}?page=11")
    line = page.locator("[data-page='11'] .layer span").filter(has_text="fourth").first
    expect(line).to_be_visible(timeout=10_000)
    box, sheet = line.bounding_box(), page.locator("[data-page='11']").bounding_box()
    assert box is not None
    assert sheet is not None
    assert sheet["x"] < box["x"] < box["x"] + box["width"] < sheet["x"] + sheet["width"]
    line.click(click_count=3)
    assert "fourth" in page.evaluate("getSelection().toString()")


def test_search_and_jump_and_zoom(page: Page, document: Callable[[str], str]) -> None:
    page.goto(document("employee-handbook"))
    expect(page.locator(".sheet img").first).to_be_visible(timeout=10_000)
    page.keyboard.press("/")
    page.keyboard.type("CERTIFICATE")
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text(re.compile("^1 of "))
    expect(page.locator(".box.hit.current").first).to_be_in_viewport(timeout=10_000)
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text(re.compile("^2 of "))
    page.get_by_label("Search this document").fill("no such words")
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text("No match")
    page.locator("#page").fill("8")
    page.keyboard.press("Enter")
    expect(page.locator("[data-page='12']")).to_be_in_viewport()
    width = page.locator("[data-page='12']").bounding_box()["width"]  # type: ignore[index]
    page.get_by_role("button", name="Larger").click()
    assert page.locator("[data-page='12']").bounding_box()["width"] > 1.2 * width  # type: ignore[index]


def test_a_passage_that_has_changed_is_not_marked(page: Page, document: Callable[[str], str]) -> None:
    for name in ("employee-handbook", "minutes"):
        page.goto(f"{document(name)}?{'page=11&' if name.startswith('e') else ''}start=10&end=30&check=1")
        expect(page.get_by_text("The document has changed since")).to_be_visible(timeout=10_000)
        expect(page.locator(".box, mark")).to_have_count(0)


def test_rows_are_a_table_that_is_sorted(page: Page, document: Callable[[str], str]) -> None:
    address = document("price-list")
    _, start, end = place_of(page, address, "Ember 140 School")
    page.goto(f"{address}?mark={start}-{end}")
    expect(page.locator("tr.mark")).to_contain_text("2340.00")
    page.get_by_role("button", name="price_eur").click()
    first = page.locator("tbody tr:not([aria-hidden])").first
    expect(page.get_by_role("columnheader", name="price_eur")).to_have_attribute("aria-sort", "ascending")
    cheapest = first.inner_text()
    page.get_by_role("button", name="price_eur").click()
    expect(page.get_by_role("columnheader", name="price_eur")).to_have_attribute("aria-sort", "descending")
    assert first.inner_text() != cheapest
    expect(page.locator("tr.mark")).to_contain_text("EB-140S")


def test_text_has_its_passage_marked_and_lines_their_numbers(page: Page, document: Callable[[str], str]) -> None:
    address = document("minutes")
    _, start, end = place_of(page, address, "the new hoist in Hall B")
    page.goto(f"{address}?mark={start}-{end}")
    expect(page.locator("mark")).to_have_text("the new hoist in Hall B")
    expect(page.get_by_role("heading", name="1. Minutes of the February meeting")).to_be_visible()
    page.goto(document("travel-policy"))
    assert page.locator(".line").nth(1).inner_text() == "TRAVEL POLICY"
    assert "line" in page.locator(".line").nth(1).evaluate("line => getComputedStyle(line, '::before').content")


def test_a_hundred_thousand_rows(page: Page, quotes_url: str) -> None:
    rows = [f"article: P-{number:06}; price: {number * 7 % 100_003}; note: row\n" for number in range(100_000)]
    contents = {"title": "stock", "file": "stock.csv", "has_file": False, "view": "table", "pages": 0}
    section = {"page": None, "label": "", "heading": "", "text": "".join(rows)}
    page.route("**/contents", lambda route: route.fulfill(json={**contents, "sections": [section]}))
    start = sum(map(len, rows[:90_000]))
    page.goto(f"{quotes_url}/view/doc_stock?mark={start}-{start + 20}")
    expect(page.locator("tr.mark")).to_contain_text("P-090000")
    assert page.locator("tbody tr").count() < 100
    sorting = """() => {
        const begun = performance.now();
        document.querySelectorAll("th button")[1].click();
        return performance.now() - begun;
    }"""
    assert page.evaluate(sorting) < 3000  # milliseconds; a fraction of that where nothing else runs
    page.locator(".rows").evaluate("rows => rows.scrollTop = 0")
    expect(page.locator("tbody tr:not([aria-hidden])").first).to_contain_text("P-000000")


def test_a_stranger_sees_what_nobody_sees(page: Page, quotes_url: str, closed_url: str) -> None:
    page.goto(f"{quotes_url}/view/doc_none")
    expect(page.get_by_text("There is no such document, or you may not read it.")).to_be_visible()
    page.goto(f"{closed_url}/view/doc_none")
    expect(page).to_have_url(re.compile("/login"))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_the_theme_of_the_chat(
    open_page: Callable[..., Page], document: Callable[[str], str], theme: str, width: int
) -> None:
    page = open_page(width=width, height=844, dark=theme == "light")  # what was chosen counts, not the system
    page.add_init_script(f"localStorage.setItem('vite-ui-theme', '{theme}')")
    found = {}
    for name in ("employee-handbook", "price-list", "minutes", "travel-policy"):
        page.goto(
            f"{document(name)}?page=11&start=20&end=60" if name.startswith("e") else f"{document(name)}?mark=20-60"
        )
        expect(page.locator(".sheet img, tbody tr:not([aria-hidden]), .line").first).to_be_visible(timeout=10_000)
        found[name] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
    assert not any(found.values()), found


def test_a_footnote_and_where_it_looked_lead_to_the_passage(quotes_chat: ChatPage) -> None:
    answer = quotes_chat.ask("From which day of being ill do I need a doctor's certificate?")
    panel = quotes_chat.open_footnote(answer)
    link = panel.get_by_role("link", name="Open in the reader")
    quote = panel.locator("blockquote mark").inner_text()
    step = quotes_chat.steps.filter(has_text="Read ")
    with quotes_chat.page.context.expect_page() as opened:
        link.click()
    reader = opened.value
    expect(reader.locator(".box.mark.current").first).to_be_in_viewport(timeout=10_000)
    expect(reader.locator("#notice")).to_be_hidden()
    expect(reader.locator(".sheet:has(.box.current) .layer")).to_contain_text(quote.split()[0])
    reader.close()
    quotes_chat.page.keyboard.press("Escape")
    step.get_by_role("button").first.click()
    place = step.locator("tbody tr a").first
    expect(place).to_have_text(re.compile("Employee Handbook"))
    quotes_chat.page.goto(str(place.evaluate("link => link.href")))
    expect(quotes_chat.page.locator(".box.mark.current").first).to_be_in_viewport(timeout=10_000)
