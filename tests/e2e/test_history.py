"""What is kept: conversations over a restart and a reload, each user's own, with footnotes that still open."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import PASSWORD, SCREENSHOTS, application
from tests.e2e.model_server import ModelServer

ILL = "From which day of being ill do I need a doctor's certificate?"


def has_font(language: str) -> bool:
    """Whether a font of this machine has the letters of that language."""
    lists = shutil.which("fc-list")
    return bool(lists and subprocess.run([lists, f":lang={language}"], capture_output=True, check=True).stdout)


needs_east_asian_font = pytest.mark.skipif(not has_font("zh"), reason="no font of this machine has East Asian letters")


def test_a_conversation_outlives_a_restart_and_goes_on(
    open_page: Callable[..., Page], ingested: Path, running_model: ModelServer, model: ModelServer, tmp_path: Path
) -> None:
    settings = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": running_model.base_url}
    with application(tmp_path, ingested, **settings) as url:
        chat = ChatPage(open_page(), url)
        chat.ask(ILL)
    model.rewritten = "Who counts the people on the gravel car park?"
    with application(tmp_path, None, **settings) as url:
        chat = ChatPage(open_page(), url)
        chat.open_history()
        expect(chat.history).to_have_count(1)
        chat.open_conversation(ILL[:30])
        answer = chat.answers.first
        expect(answer).to_contain_text("The documents say so")
        expect(chat.open_footnote(answer).locator(".footnote-box").first).to_be_visible()
        chat.ask("And who counts us there?")
        expect(chat.steps.filter(has_text="Searched for")).to_contain_text(model.rewritten)
        assert "The documents say so" in "".join(model.prompts)


def test_an_answer_goes_on_when_the_page_is_loaded_anew(model_chat: ChatPage, model: ModelServer) -> None:
    model_chat.send("Tell me slowly about the fire alarm.")
    expect(model_chat.answers.last).to_contain_text("slow3 slow4 slow5", timeout=60_000)
    expect(model_chat.page).to_have_url(re.compile("/thread/"))
    model_chat.page.reload()
    expect(model_chat.answers.last).to_contain_text("slow3 slow4 slow5", timeout=10_000)
    expect(model_chat.page.locator("#stop-button")).to_be_visible()
    expect(model_chat.page.locator("#stop-button")).to_have_count(0, timeout=60_000)
    expect(model_chat.answers).to_have_count(1)
    assert len(re.findall(r"slow\d", model_chat.answers.last.inner_text())) == 600
    model_chat.page.reload()
    expect(model_chat.answers.last).to_contain_text("slow3 slow4 slow5")
    assert len(re.findall(r"slow\d", model_chat.answers.last.inner_text())) == 600


def test_a_conversation_is_found_renamed_and_deleted(quotes_chat: ChatPage) -> None:
    quotes_chat.ask("What is the price of the repair cement?")
    address = quotes_chat.page.url
    quotes_chat.open_history()
    quotes_chat.rename_conversation("What is the price", "Mortar 7")
    expect(quotes_chat.history.filter(has_text="Mortar 7")).to_have_count(1)
    quotes_chat.search_history("12.90")
    expect(quotes_chat.page.get_by_role("option").filter(has_text="Mortar 7")).to_have_count(1)
    quotes_chat.page.keyboard.press("Escape")
    quotes_chat.delete_conversation("Mortar 7")
    expect(quotes_chat.history.filter(has_text="Mortar 7")).to_have_count(0)
    quotes_chat.page.goto(address)
    expect(quotes_chat.page.get_by_text("price of the repair cement")).to_have_count(0)
    quotes_chat.open_history()
    expect(quotes_chat.history.filter(has_text="Mortar 7")).to_have_count(0)


def test_nobody_sees_anothers_conversations(open_page: Callable[..., Page], closed_url: str) -> None:
    anna, ben = (ChatPage.log_in(open_page(), closed_url, name, PASSWORD) for name in ("anna", "ben"))
    anna.ask("Where is the code word of the vault?")
    ben.ask("When does the bicycle shed open?")
    for chat, own, others in ((anna, "code word", "bicycle"), (ben, "bicycle", "code word")):
        chat.open_history()
        expect(chat.history.filter(has_text=own)).to_have_count(1)
        expect(chat.history.filter(has_text=others)).to_have_count(0)
    thread = anna.page.url.rpartition("/")[2]
    own_page = anna.page.request.get(f"{closed_url}/conversations/{thread}/transcript.md")
    assert "code word" in own_page.text()
    for path in (
        f"project/thread/{thread}",
        f"project/share/{thread}",
        f"conversations/{thread}/transcript.md",
        f"conversations/{thread}/transcript.html",
    ):
        assert ben.page.request.get(f"{closed_url}/{path}").status == 404
    renamed = {"threadId": thread, "name": "Mine"}
    assert ben.page.request.put(f"{closed_url}/project/thread", data=renamed).status == 404
    assert ben.page.request.delete(f"{closed_url}/project/thread", data=renamed).status == 404
    ben.page.goto(f"{closed_url}/thread/{thread}")
    expect(ben.page.locator("#upload-button")).to_be_visible(timeout=30_000)
    expect(ben.page.get_by_text("code word")).to_have_count(0)
    anna.page.reload()
    expect(anna.page.get_by_text("code word").first).to_be_visible()


def test_thumbs_with_a_comment_are_kept(quotes_chat: ChatPage) -> None:
    answer = quotes_chat.ask(ILL)
    quotes_chat.judge(answer, "Nothing to add.")
    quotes_chat.page.reload()
    expect(quotes_chat.answers.first.locator(".positive-feedback-on")).to_be_visible(timeout=30_000)


def test_a_command_searches_without_an_answer(model_chat: ChatPage, model: ModelServer) -> None:
    model_chat.page.locator("#chat-input").click()
    model_chat.page.keyboard.insert_text("/find")
    model_chat.page.get_by_text("Search only").click()
    answer = model_chat.ask("doctor's certificate")
    expect(answer).to_contain_text("Employee Handbook, page 7")
    expect(answer).to_contain_text("% likely")
    expect(model_chat.open_footnote(answer)).to_contain_text("certificate")
    assert model.prompts == []


def test_an_answer_and_a_conversation_are_taken_away(open_page: Callable[..., Page], quotes_url: str) -> None:
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat = ChatPage(page, quotes_url)
    answer = chat.ask(ILL)
    answer.get_by_role("button", name="Copy with footnotes").click()
    expect(page.get_by_text("Copied, with footnotes.")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "[^1]: Employee Handbook" in copied
    assert "fourth day" in copied
    with page.expect_download() as download:
        answer.get_by_role("link", name="as Markdown").click()
    assert Path(download.value.path()).read_bytes().startswith(b"# From which day")
    assert download.value.suggested_filename.startswith("From which day")


@pytest.mark.parametrize("words", ["<b>Öl</b>, Привет", pytest.param("第四日 水泵 한국", marks=needs_east_asian_font)])
def test_a_conversation_is_printed(model_chat: ChatPage, model: ModelServer, words: str) -> None:
    model.reply = f"It is the **fourth** day, {words} [1]."
    answer = model_chat.ask(f"{ILL} {words}")
    context = model_chat.page.context
    # the real dialog waits for somebody
    context.add_init_script("window.print = () => document.body.classList.add('is-printed')")
    with context.expect_page() as opened:
        answer.get_by_role("link", name="save it as PDF").click()
    page = opened.value
    expect(page.locator("body.is-printed")).to_be_visible()
    expect(page.locator("h2")).to_have_text(f"{ILL} {words}")
    assert page.title().startswith("From which day")
    assert page.evaluate("getComputedStyle(document.querySelector('h2')).whiteSpace") == "pre-wrap", "it has its style"
    page.screenshot(path=SCREENSHOTS / f"printed-{len(words)}.png", full_page=True)
    pdf = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True)))
    text = " ".join("".join(sheet.extract_text() for sheet in pdf.pages).split())
    assert text.count(words) >= 2, "question and answer"
    assert "It is the fourth day" in text
    assert re.search(r"\[1\] Employee Handbook · .* · page 7 .*“", text)
    page.close()


def test_settings_hold_for_later_conversations(open_page: Callable[..., Page], quotes_url: str) -> None:
    chat = ChatPage(open_page(), quotes_url)
    chat.instruct("Answer in three sentences.")
    later = ChatPage(open_page(), quotes_url)
    later.page.locator("#chat-settings-open-modal").click()
    expect(later.page.locator("#instructions")).to_have_value("Answer in three sentences.")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_the_side_bar_fits_the_screen(
    open_page: Callable[..., Page], quotes_url: str, width: int, height: int, dark: bool
) -> None:
    chat = ChatPage(open_page(width=width, height=height, dark=dark), quotes_url)
    chat.ask(ILL)
    expect(chat.page).to_have_url(re.compile("/thread/"))
    later = ChatPage(chat.page, chat.page.url)
    later.open_history()
    chat.page.wait_for_timeout(600)  # it slides in
    expect(chat.history.first).to_be_visible()
    assert chat.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_files_that_came_with_a_question_are_shown_again(quotes_chat: ChatPage, tmp_path: Path) -> None:
    notes = tmp_path / "tide table.md"
    notes.write_text("# Tides\n\nHigh tide at the old pier is at a quarter past nine.\n", encoding="utf-8")
    quotes_chat.attach(notes)
    quotes_chat.ask("When is high tide at the old pier?")
    expect(quotes_chat.page).to_have_url(re.compile("/thread/"))
    quotes_chat.page.reload()
    file = quotes_chat.page.locator("a.inline-file")
    expect(file).to_contain_text("tide table.md", timeout=30_000)
    with quotes_chat.page.context.expect_page() as opened:
        file.click()
    expect(opened.value.get_by_text("quarter past nine")).to_be_visible()
    opened.value.close()
    document = str(file.get_attribute("href")).split("/")[2]
    quotes_chat.page.request.delete(f"{quotes_chat.page.url.partition('/thread')[0]}/library/documents/{document}")
    quotes_chat.page.reload()
    expect(quotes_chat.page.get_by_text("high tide at the old pier").first).to_be_visible(timeout=30_000)
    expect(file).to_have_count(0)
