"""The page of documents: add, find, open, read again, remove; collections that are shared; users for admins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
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
    page.get_by_role("link", name="Documents").click()
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
    expect(page.locator("#documents .facts")).to_contain_text("2 pages · 2 passages")
    page.locator("#search").fill("no such name")
    expect(page.get_by_text("No document has “no such name”")).to_be_visible()
    page.locator("#search").fill("VOLES")
    expect(page.locator("#documents .title")).to_have_count(1)
    reader = str(page.locator("#documents .title").get_attribute("href"))
    assert reader.startswith("/view/")
    source = f"{quotes_url}{reader.replace('/view/', '/documents/')}/source"
    assert page.request.get(source).body() == good.read_bytes()
    page.reload()
    expect(page.locator("#title")).to_have_text(title)
    page.locator("#documents").get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("#documents .title")).to_have_count(0)
    page.get_by_role("button", name="Delete collection").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete collection").click()
    expect(page.locator("#title")).to_have_text("default")


def test_folders_of_the_command_line_are_there_and_read_again(page: Page, quotes_url: str) -> None:
    page.goto(f"{quotes_url}/library")
    page.locator("#search").fill("handbook")
    found = page.locator("#documents article").first
    found.get_by_role("button", name="Read again").click()
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
    expect(ben.get_by_role("button", name="Remove")).to_have_count(0)
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
    emil.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(emil).to_have_count(0)
    expect(other).to_have_url(re.compile("/login"))  # and Chromium may hang at closing a page on its way there
    expect(other.get_by_role("button", name="Sign In")).to_be_visible()
    own = page.locator("#users li").filter(has_text="dora")
    expect(own.get_by_role("button", name="Remove")).to_have_count(0)
