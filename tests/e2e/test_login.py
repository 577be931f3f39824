"""Logging in: two users at one server, each with documents of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import PASSWORD
from tests.e2e.files import write_pdf


def log_in(page: Page, url: str, name: str, password: str = PASSWORD) -> None:
    page.goto(url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign In").click()


def test_a_wrong_password_is_told_and_opens_nothing(page: Page, closed_url: str) -> None:
    log_in(page, closed_url, "anna", "five words in a row")
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible()
    assert page.request.get(f"{closed_url}/v1/models").status == 401
    assert page.request.get(f"{closed_url}/project/settings?language=en-US").status == 401


def test_who_has_no_documents_is_told_whom_to_ask_and_no_settings(page: Page, closed_url: str) -> None:
    log_in(page, closed_url, "ben")
    expect(page.locator(".footnote-welcome")).to_contain_text(
        "Or ask dora to share a collection with you.", timeout=30_000
    )
    expect(page.locator("#model-banner")).to_have_text("No language model: answers are quotes.")


def test_each_user_has_documents_of_their_own(open_page: Callable[..., Page], closed_url: str, tmp_path: Path) -> None:
    annas, bens = open_page(), open_page(dark=True, width=390, height=844)
    log_in(annas, closed_url, "anna")
    log_in(bens, closed_url, "ben")
    anna, ben = ChatPage(annas, closed_url), ChatPage(bens, closed_url)
    anna.attach(write_pdf(tmp_path / "vault.pdf", ["The code word of the vault is zanzibar."]))
    answer = anna.ask("What is the code word of the vault?")
    expect(answer).to_contain_text("zanzibar")
    anna.open_footnote(answer)
    source = anna.panel.locator("a[href*='/documents/'], iframe, embed, object").first
    address = source.get_attribute("href") or source.get_attribute("src") or source.get_attribute("data") or ""
    assert annas.request.get(f"{closed_url}{address.partition('#')[0]}").status == 200
    assert bens.request.get(f"{closed_url}{address.partition('#')[0]}").status == 404
    expect(ben.ask("What is the code word of the vault?")).not_to_contain_text("zanzibar")
    expect(anna.ask("And what is it of, the code word zanzibar?")).to_contain_text("vault")
