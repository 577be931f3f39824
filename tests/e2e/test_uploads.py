"""Uploads: by button and by drop, several at once, what could not be read and why, and whose files they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Response, expect

from tests.e2e.chat_page import UPLOAD, ChatPage
from tests.e2e.files import write_pdf


def test_a_question_sent_with_a_file_is_answered_from_it(quotes_chat: ChatPage, tmp_path: Path) -> None:
    notes = tmp_path / "🚀 *launch* <b>notes.md"
    notes.write_text("# Launch\n\nThe launch window of the Zephyr drone opens on 14 March at noon.\n", encoding="utf-8")
    quotes_chat.attach(notes)
    answer = quotes_chat.ask("When does the launch window open?")
    expect(answer).to_contain_text("14 March at noon")
    expect(quotes_chat.steps.first).to_contain_text("🚀 *launch* <b>notes.md: 1 passage")
    quotes_chat.open_footnote(answer)
    expect(quotes_chat.panel.locator("mark")).to_contain_text("14 March")


def test_files_alone_get_a_summary_with_the_reason_of_each_failure(quotes_chat: ChatPage, tmp_path: Path) -> None:
    good = write_pdf(tmp_path / "deck rules.pdf", ["Skateboards stay off the deck.", "So do scooters."])
    locked = write_pdf(tmp_path / "locked.pdf", ["Nobody sees this."], password="secret")
    empty = tmp_path / "empty.txt"
    empty.touch()
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnot really")
    quotes_chat.attach(good, locked, empty, broken)
    summary = quotes_chat.ask()
    expect(summary).to_contain_text("Read 1 of 4 files.")
    expect(summary).to_contain_text("deck rules.pdf: 2 pages, 2 passages")
    expect(summary).to_contain_text(re.compile("locked.pdf.*password"))
    expect(summary).to_contain_text(re.compile("empty.txt.*empty"))
    expect(summary).to_contain_text("broken.pdf")
    expect(quotes_chat.steps).to_have_count(4)
    expect(quotes_chat.ask("Where do skateboards stay off?")).to_contain_text("Skateboards stay off the deck")
    quotes_chat.page.get_by_role("button", name="Throw it away again").click()
    expect(quotes_chat.page.get_by_text("It is gone.")).to_be_visible()
    expect(quotes_chat.ask("Where do skateboards stay off?")).not_to_contain_text("Skateboards stay off the deck")


def test_a_dropped_file_is_taken_in(quotes_chat: ChatPage) -> None:
    quotes_chat.drop("canteen.txt", "The canteen serves soup on Thursdays.")
    expect(quotes_chat.ask("When is there soup?")).to_contain_text("soup on Thursdays")


def test_other_kinds_of_files_are_refused_at_once(quotes_chat: ChatPage, tmp_path: Path) -> None:
    program = tmp_path / "setup.exe"
    program.write_bytes(b"MZ")
    quotes_chat.page.locator("#upload-button-input").set_input_files(program)
    expect(quotes_chat.page.locator("[data-sonner-toast]")).to_be_visible()
    expect(quotes_chat.page.locator("#chat-submit")).to_be_disabled()


def test_an_uploaded_page_runs_nothing(quotes_chat: ChatPage, quotes_url: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap.html"
    trap.write_text("<h1>Trap</h1><p>The weather vane points north.</p><script>document.title='owned'</script>")
    quotes_chat.attach(trap)
    answer = quotes_chat.ask("Where does the weather vane point?")
    link = quotes_chat.open_footnote(answer).locator(".footnote-source a").get_attribute("href")
    source = quotes_chat.page.request.get(f"{quotes_url}{link}")
    assert source.headers["content-type"].startswith("text/plain")
    expect(quotes_chat.page).to_have_title("Footnote")


def test_a_chat_cannot_read_the_files_of_another(
    open_page: Callable[..., Page], quotes_url: str, tmp_path: Path
) -> None:
    mine, other = open_page(), open_page()
    uploads: dict[Page, Response] = {}
    for page in (mine, other):
        chat = ChatPage(page, quotes_url)
        private = tmp_path / "private.txt"
        private.write_text("Only for me.")
        with page.expect_response(re.compile(UPLOAD)) as received:
            chat.attach(private)
        uploads[page] = received.value
    file_id = uploads[mine].json()["id"]
    address = f"{quotes_url}/project/file/{file_id}?session_id="
    my_session, other_session = (re.search(r"session_id=([\w-]+)", uploads[p].url)[1] for p in (mine, other))
    assert mine.request.get(address + my_session).text() == "Only for me."
    assert other.request.get(address + other_session).status == 404
    assert other.request.get(address + "unknown").status == 404


def test_pages_of_other_sites_are_refused(page: Page, quotes_url: str) -> None:
    foreign = {"Origin": "http://203.0.113.7"}
    assert page.request.get(f"{quotes_url}/project/settings", headers=foreign).status == 403
    socket = f"{quotes_url}/ws/socket.io/?EIO=4&transport=polling"
    assert page.request.get(socket).ok
    assert page.request.get(socket, headers=foreign).status == 403
    policy = page.request.get(quotes_url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
