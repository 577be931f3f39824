"""axe-core over every page, light and dark: nothing serious or critical in what is ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import PASSWORD

ILL = "From which day of being ill do I need a doctor's certificate?"

# What Chainlit's own page does, which we cannot change: (rule, part of the element's HTML).
CHAINLITS = {
    ("aria-allowed-attr", 'id="thread-options"'),  # the menu of a conversation is a <div> in a <button>
    ("nested-interactive", 'data-state="closed"'),  # the header's link stands in a <button>
    ("list", 'data-sidebar="menu"'),  # the list of conversations has <div>s between <ul> and <li>
    ("aria-valid-attr-value", "data-panel-resize-ha"),  # the panel's handle names a pane by an id that it has not
}


def violations(page: Page) -> list[str]:
    """What axe finds serious or critical, a line for each element."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html']} {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(rule["id"] == name and part in node["html"] for name, part in CHAINLITS)
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_chat_and_its_footnotes(open_page: Callable[..., Page], quotes_url: str, dark: bool) -> None:
    chat = ChatPage(open_page(dark=dark), quotes_url)
    expect(chat.page.locator("#upload-button[aria-label]")).to_be_visible()  # the names come a little later
    found = {"empty": violations(chat.page)}
    answer = chat.ask(ILL)
    expect(answer.get_by_role("button", name="Helpful", exact=True)).to_be_visible()
    found["answer"] = violations(chat.page)
    panel = chat.open_footnote(answer)
    expect(panel.locator(".footnote-box").first).to_be_visible()
    chat.page.wait_for_timeout(600)  # it slides in
    found["footnote"] = violations(chat.page)
    chat.page.add_init_script("window.print = () => {}")  # the real dialog waits for somebody
    chat.page.goto(quotes_url + str(answer.locator(".footnotes-html").get_attribute("href")))
    expect(chat.page.locator("h2")).to_have_text(ILL)
    found["printed"] = violations(chat.page)
    assert not any(found.values()), found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_log_in_and_the_library(open_page: Callable[..., Page], closed_url: str, dark: bool) -> None:
    page = open_page(dark=dark)
    page.goto(closed_url)
    expect(page.get_by_label("Password", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Show the password")).to_be_visible()
    found = {"log-in": violations(page)}
    ChatPage.log_in(page, closed_url, "dora", PASSWORD)
    page.goto(f"{closed_url}/library")
    expect(page.locator("#collections button").first).to_be_visible()
    found["library"] = violations(page)
    page.get_by_role("button", name="People").click()
    expect(page.locator("#users li").first).to_be_visible()
    found["people"] = violations(page)
    assert not any(found.values()), found
