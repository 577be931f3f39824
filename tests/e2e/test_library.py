"""The page of documents: add, find, open, read again, remove; collections that are shared; users for admins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.files import write_pdf
from tests.e2e.test_login import log_in


def choose(page: Page, name: str) -> None:
    page.locator("#collections").get_by_role("button", name=re.compile(name)).click()
    expect(page.locator("#title")).to_have_text(name)


def documents(page: Page) -> list[str]:
    return page.locator("#documents .title").all_inner_texts()


@pytest.mark.parametrize("dark", [False, True])
def test_documents_are_added_found_and_removed(
    open_page: Callable[..., Page], quotes_url: str, tmp_path: Path, dark: bool
) -> None:
    page = open_page(dark=dark, width=390 if dark else 1280, height=844)
    ChatPage(page, quotes_url)
    page.locator("#header a[href='/library']").click()
    expect(page.locator("#title")).to_have_text("default")
    expect(page.get_by_text("On this machine.")).to_be_visible()
    title = "Moles by night" if dark else "Moles"
    page.locator("#new-title").fill(title)
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#title")).to_have_text(title)
    expect(page.get_by_text("Drop some anywhere on this page")).to_be_visible()
    good = write_pdf(tmp_path / "moles & <b>voles.pdf", ["The mole sleeps in hall nine.", "So does the vole."])
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnot really")
    page.locator("#files").set_input_files([good, broken])
    expect(page.locator("#documents .title")).to_have_text("moles & <b>voles", timeout=60_000)
    expect(page.locator("#uploads .failed")).to_contain_text("broken.pdf", timeout=60_000)
    row = page.locator("#rows tr")
    expect(row.locator("td.type")).to_have_text("PDF")
    expect(row.locator("td.pages")).to_have_text("2")
    expect(row.locator("td.status")).to_have_text("Ready")
    row.locator("details summary").click()
    expect(row.locator("details dl")).to_contain_text("uploaded")
    failed = page.locator("#uploads li").filter(has_text="broken.pdf")
    failed.get_by_role("button", name="Dismiss").click()
    page.reload()
    expect(page.locator("#documents .title")).to_have_count(1)
    expect(failed).to_have_count(0)
    page.locator("#search").fill("no such name")
    expect(page.get_by_text("No document has “no such name”")).to_be_visible()
    page.locator("#search").fill("hall nine")
    expect(page.locator("#documents .title")).to_have_count(1)
    page.locator("#search").fill("VOLES")
    expect(page.locator("#documents .title")).to_have_count(1)
    reader = str(page.locator("#documents .title").get_attribute("href"))
    assert reader.startswith("/view/")
    source = f"{quotes_url}{reader.replace('/view/', '/documents/')}/source"
    assert page.request.get(source).body() == good.read_bytes()
    page.reload()
    expect(page.locator("#title")).to_have_text(title)
    page.locator("#documents").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#documents .title")).to_have_count(0)
    page.get_by_role("button", name="Delete collection").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete collection").click()
    expect(page.locator("#title")).to_have_text("default")


def test_folders_of_the_command_line_are_there_and_read_again(page: Page, quotes_url: str) -> None:
    page.goto(f"{quotes_url}/library")
    page.locator("#search").fill("handbook")
    found = page.locator("#rows tr").first
    found.get_by_role("button", name="Re-index").click()
    expect(page.get_by_text("Nothing has changed.")).to_be_visible()


def test_german_browsers_get_german_texts(open_page: Callable[..., Page], quotes_url: str) -> None:
    page = open_page()
    page.add_init_script("Object.defineProperty(navigator, 'languages', {value: ['de-AT', 'en']})")
    page.goto(f"{quotes_url}/library")
    expect(page.get_by_role("heading", name="Sammlungen")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_a_collection_is_shared_and_taken_back(open_page: Callable[..., Page], closed_url: str, tmp_path: Path) -> None:
    anna, ben = open_page(), open_page()
    for page, name in ((anna, "anna"), (ben, "ben")):
        log_in(page, closed_url, name)
        expect(page.locator("#chat-input")).to_be_visible(timeout=30_000)
        page.goto(f"{closed_url}/library")
        expect(page.get_by_text("Only you can read these documents.")).to_be_visible()
    anna.locator("#new-title").fill("Plans of anna")
    anna.get_by_role("button", name="Create").click()
    expect(anna.locator("#title")).to_have_text("Plans of anna")
    anna.locator("#files").set_input_files([write_pdf(tmp_path / "plan.pdf", ["The plan is secret."])])
    expect(anna.locator("#documents .title")).to_have_text("plan", timeout=60_000)
    ben.reload()
    expect(ben.locator("#collections")).not_to_contain_text("Plans of anna")
    anna.get_by_role("button", name="Who may read it").click()
    anna.get_by_role("dialog").get_by_label("ben").check()
    anna.get_by_role("button", name="Save").click()
    expect(anna.get_by_text("You share these documents with ben.")).to_be_visible()
    ben.reload()
    choose(ben, "Plans of anna")
    expect(ben.get_by_text("These documents are shared with you.")).to_be_visible()
    expect(ben.locator("#documents .title")).to_have_text("plan")
    expect(ben.get_by_role("button", name="Delete")).to_have_count(0)
    expect(ben.locator("#upload")).to_be_hidden()
    expect(ben.locator("#to-people")).to_be_hidden()


def test_who_is_not_logged_in_is_sent_to_the_log_in(page: Page, closed_url: str) -> None:
    page.goto(f"{closed_url}/library")
    expect(page).to_have_url(re.compile("/login"))


def test_an_admin_adds_and_removes_users(page: Page, open_page: Callable[..., Page], closed_url: str) -> None:
    log_in(page, closed_url, "dora")
    expect(page.locator("#chat-input")).to_be_visible(timeout=30_000)
    page.goto(f"{closed_url}/library")
    page.get_by_role("button", name="People").click()
    page.get_by_label("Name", exact=True).fill("emil")
    page.get_by_label("Password", exact=True).fill("a password of emil")
    page.get_by_role("button", name="Add", exact=True).click()
    emil = page.locator("#users li").filter(has_text="emil")
    expect(emil).to_be_visible()
    other = open_page()
    log_in(other, closed_url, "emil", "a password of emil")
    expect(other.locator("#chat-input")).to_be_visible(timeout=30_000)
    emil.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(emil).to_have_count(0)
    # Chromium may hang at closing a page on its way there, so it is waited for.
    expect(other).to_have_url(re.compile("/login"), timeout=20_000)
    expect(other.get_by_role("button", name="Sign In")).to_be_visible()
    own = page.locator("#users li").filter(has_text="dora")
    expect(own.get_by_role("button", name="Delete")).to_have_count(0)


def test_a_table_of_documents_is_sorted_filtered_and_worked_on_together(
    page: Page, quotes_url: str, tmp_path: Path
) -> None:
    page.goto(f"{quotes_url}/library")
    page.locator("#new-title").fill("Many")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#title")).to_have_text("Many")
    files = [write_pdf(tmp_path / f"report {n}.pdf", [f"Part {part}." for part in range(n)]) for n in (3, 1, 2)]
    note = tmp_path / "note.txt"
    note.write_text("The kestrel nests in hall four.")
    unreadable = tmp_path / "archive.xyz"
    unreadable.write_text("nobody reads this")
    page.locator("#files").set_input_files([*files, note, unreadable])
    expect(page.locator("#uploads .failed")).to_contain_text("of a type that cannot be read")
    expect(page.locator("#rows tr")).to_have_count(4, timeout=60_000)
    head = page.locator("#documents thead")
    head.get_by_role("button", name="Pages").click()
    expect(head.locator("[data-column=pages]")).to_have_attribute("aria-sort", "descending")
    assert documents(page)[0] == "report 3"
    head.get_by_role("button", name="Title").click()
    expect(page.locator("#rows .title").first).to_have_text("note")
    assert documents(page) == ["note", "report 1", "report 2", "report 3"]
    page.locator("#type").select_option("application/pdf")
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator("#total")).to_have_text("3 documents")
    page.locator("#type").select_option("")
    page.locator("#search").fill("kestrel hall")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.locator("#search").fill("")
    expect(page.locator("#rows tr")).to_have_count(4)
    page.get_by_label("Select report 2").check()
    page.get_by_label("Select report 3").check()
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.screenshot(path=SCREENSHOTS / "library-table.png")
    page.locator("#selection").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete 2 documents?")
    page.keyboard.press("Enter")
    expect(page.locator("#rows tr")).to_have_count(2)
    assert documents(page) == ["note", "report 1"]


def test_a_thousand_documents_come_as_one_scrolls(page: Page, quotes_url: str) -> None:
    page.goto(f"{quotes_url}/library")
    rows = [
        {
            "id": f"doc_{n}",
            "title": f"Document {n}",
            "file": f"{n}.pdf",
            "source": f"/{n}.pdf",
            "is_upload": True,
            "pages": 1,
        }
        | {"passages": 1, "size": 1000, "media_type": "application/pdf", "added": "2026-12-01T00:00:00+00:00"}
        | {"changed": "2026-12-01T00:00:00+00:00", "status": "ready", "error": ""}
        for n in range(1000)
    ]

    def answer(route: Route) -> None:
        offset = int(parse_qs(urlsplit(route.request.url).query)["offset"][0])
        found = {"documents": rows[offset : offset + 50], "total": 1000, "types": {"application/pdf": 1000}}
        route.fulfill(json=found)

    page.route("**/library/collections/*/documents?*", answer)
    page.reload()
    for _ in range(30):
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(50)
    expect(page.locator("#rows tr")).to_have_count(1000)
    expect(page.locator("#more")).to_be_hidden()


def test_the_theme_is_the_chats(page: Page, quotes_url: str) -> None:
    page.goto(f"{quotes_url}/library")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_label("Menu").click()
    page.get_by_label("Theme").select_option("Dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("link", name="Chat").click()
    expect(page.locator("html.dark")).to_have_count(1, timeout=30_000)
