"""Asking: the empty chat, answers and their footnotes, follow-ups, stop, and what is said when something fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.files import write_pdf
from tests.e2e.model_server import MODEL, ModelServer

ILL = "From which day of being ill do I need a doctor's certificate?"  # employee handbook, page 7, the 11th of the file


def test_the_empty_chat_names_the_model_and_suggests_questions(quotes_chat: ChatPage) -> None:
    expect(quotes_chat.page).to_have_title("Footnote")
    expect(quotes_chat.banner).to_contain_text("No language model: answers are quotes")
    expect(quotes_chat.banner).to_contain_text("RAG_LLM__BASE_URL")
    welcome = quotes_chat.page.locator(".footnote-welcome")
    expect(welcome.get_by_role("heading", name="Ask your documents")).to_be_visible()
    expect(welcome).to_contain_text("7 documents")
    expect(welcome.get_by_role("link", name="Add documents")).to_have_attribute("href", "/library")
    expect(quotes_chat.starters).to_have_count(4)
    labels = quotes_chat.starters.all_inner_texts()
    assert len(set(labels)) == 4
    assert any("Employee Handbook" in label for label in labels)
    quotes_chat.starters.first.click()
    answer = quotes_chat.answer_after(0)
    expect(answer.locator("a[href^='#footnote-']").first).to_be_visible()


def test_a_chat_without_documents_says_how_to_begin(
    open_page: Callable[..., Page], empty_url: str, tmp_path: Path
) -> None:
    chat = ChatPage(open_page(), empty_url)
    welcome = chat.page.locator(".footnote-welcome")
    expect(welcome).to_contain_text("There are no documents yet")
    expect(welcome).to_contain_text("PDF, Word, slides")
    chat.attach(write_pdf(tmp_path / "shed.pdf", ["The bicycle shed opens at six."]))
    answer = chat.ask("When does the bicycle shed open?")
    expect(answer).to_contain_text("opens at six")
    expect(ChatPage(open_page(), empty_url).starters.first).to_be_visible()


def test_a_model_answers_with_footnotes_and_a_follow_up_is_shown_as_searched(
    model_chat: ChatPage, model: ModelServer
) -> None:
    expect(model_chat.banner).to_contain_text(f"Answers by {MODEL}")
    model.reply = "Gather on the gravel car park [1]. Nothing else is known: key:value [9]."
    answer = model_chat.ask(ILL)
    expect(answer).to_contain_text("Gather on the gravel car park")
    expect(answer).to_contain_text("key:value")
    assert {*answer.locator("a[href^='#footnote-']").all_inner_texts()} == {"[1]"}
    expect(model_chat.open_footnote(answer).locator("blockquote")).not_to_be_empty()

    model.rewritten = "Who counts the people on the gravel car park?"
    model_chat.ask("And who counts us there?")
    expect(model_chat.steps.filter(has_text="Searched for")).to_contain_text(model.rewritten)


def test_stop_ends_the_models_work_too(model_chat: ChatPage, model: ModelServer) -> None:
    model_chat.send("Tell me slowly about the fire alarm.")
    expect(model_chat.answers.last).to_contain_text("slow3 slow4 slow5", timeout=60_000)
    model_chat.page.locator("#stop-button").click()
    assert model.hung_up.wait(10)
    expect(model_chat.answers.filter(has_text=re.compile(r"^Stopped\.$"))).to_be_visible()
    expect(model_chat.answers.filter(has_text="slow3 slow4 slow5")).to_be_visible()
    expect(model_chat.page.locator("#stop-button")).to_have_count(0)
    expect(model_chat.ask(ILL)).to_contain_text("The documents say so")


def test_an_edited_question_is_answered_anew(model_chat: ChatPage, model: ModelServer) -> None:
    model_chat.ask(ILL)
    model.reply = "Another answer [1]."
    page = model_chat.page
    page.locator('[data-step-type="user_message"]').hover()
    page.locator(".edit-message").click()
    page.locator("#edit-chat-input").fill("What is the yearly training budget?")
    page.locator(".confirm-edit").click()
    expect(model_chat.answers.last).to_contain_text("Another answer", timeout=60_000)
    expect(model_chat.answers).to_have_count(1)
    expect(model_chat.steps.filter(has_text="Searched for")).to_have_count(0)  # no history is left


def test_a_model_that_fails_is_said_in_words(model_chat: ChatPage, model: ModelServer) -> None:
    model.broken = True
    answer = model_chat.ask(ILL)
    expect(answer).to_contain_text(re.compile("out of order|does not answer|503|failed"))
    expect(answer).not_to_contain_text("Traceback")
    model.broken = False
    expect(model_chat.ask(ILL)).to_contain_text("The documents say so")


def test_nothing_an_answer_contains_is_fetched_or_run(model_chat: ChatPage, model: ModelServer) -> None:
    model.reply = (
        "See ![x](http://203.0.113.7/leak.png) <img src=http://203.0.113.7/x.png onerror=alert(1)> "
        "<script>document.title='owned'</script> [1]."
    )
    answer = model_chat.ask(ILL)
    expect(answer).to_contain_text("<img src=")
    expect(answer.locator(".message-content img")).to_have_count(0)
    expect(model_chat.page).to_have_title("Footnote")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_it_fits_the_screen(
    open_page: Callable[..., Page], quotes_url: str, width: int, height: int, dark: bool
) -> None:
    page = open_page(width=width, height=height, dark=dark)
    chat = ChatPage(page, quotes_url)
    assert page.evaluate("document.documentElement.classList.contains('dark')") is dark
    answer = chat.ask(ILL)
    panel = chat.open_footnote(answer)
    expect(panel.locator(".footnote-box").first).to_be_visible()
    page.wait_for_timeout(800)  # the panel slides in
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    box = panel.locator(".footnote-sheet").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= width
