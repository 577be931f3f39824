"""When the server is gone: the page says so, and goes on by itself when it is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ANSWER_TIMEOUT, ChatPage
from tests.e2e.conftest import application, free_port
from tests.e2e.model_server import ModelServer

ILL = "From which day of being ill do I need a doctor's certificate?"


def test_a_server_that_is_started_again_goes_on_with_the_conversation(
    open_page: Callable[..., Page], ingested: Path, running_model: ModelServer, model: ModelServer, tmp_path: Path
) -> None:
    settings = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": running_model.base_url}
    port = free_port()
    page = open_page()
    with application(tmp_path, ingested, port, **settings) as url:
        chat = ChatPage(page, url)
        chat.ask(ILL)
        page.locator("#chat-input").click()
        page.keyboard.insert_text("And what")
    expect(page.get_by_text("Footnote does not answer.").first).to_be_visible(timeout=30_000)
    page.screenshot(path=Path(__file__).parent / "screenshots" / "server-gone.png")
    with application(tmp_path, None, port, **settings):
        expect(page.locator("#session-error")).to_have_count(0, timeout=60_000)
        expect(page.get_by_text("Footnote is there again.")).to_be_visible()
        expect(page.locator("#chat-input")).to_contain_text("And what")
        expect(chat.answers).to_have_count(1)
        page.keyboard.insert_text(" else?")
        answer = chat.ask()
        expect(answer).to_contain_text("The documents say so")
        assert "assistant: The documents say so" in "".join(model.prompts), "it is the same conversation"
        page.reload()
        expect(chat.answers).to_have_count(2, timeout=ANSWER_TIMEOUT)
