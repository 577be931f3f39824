"""What is kept: conversations over a restart and a reload, each user's own, with footnotes that still open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from rag.catalog import Catalog
from rag.database import CATALOG_NAME
from rag.users import Users
from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import application
from tests.e2e.model_server import ModelServer

ILL = "From which day of being ill do I need a doctor's certificate?"
PASSWORD = "a few words in a row"


@pytest.fixture(scope="module")
def closed_url(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application with a log-in, and two users."""
    folder = tmp_path_factory.mktemp("closed")
    with application(folder, ingested, RAG_LLM__PROVIDER="quotes"):
        pass  # makes a copy of the storage
    with closing(Catalog(folder / "storage" / CATALOG_NAME)) as catalog:
        for name in ("anna", "bert"):
            Users(catalog.database).add(name, PASSWORD)
        catalog.database.read("SELECT 1")
    with application(folder, ingested, RAG_LLM__PROVIDER="quotes", RAG_AUTH__REQUIRED="true") as url:
        yield url


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
        expect(chat.open_footnote(answer).locator("canvas")).to_be_visible()
        chat.ask("And who counts us there?")
        expect(chat.steps.filter(has_text="Searched for")).to_contain_text(model.rewritten)
        assert "The documents say so" in "".join(model.prompts)


def test_an_answer_goes_on_when_the_page_is_loaded_anew(model_chat: ChatPage, model: ModelServer) -> None:
    model_chat.send("Tell me slowly about the fire alarm.")
    expect(model_chat.answers.last).to_contain_text("slow slow slow", timeout=60_000)
    expect(model_chat.page).to_have_url(re.compile("/thread/"))
    model_chat.page.reload()
    expect(model_chat.answers.last).to_contain_text("slow slow slow", timeout=10_000)
    expect(model_chat.page.locator("#stop-button")).to_be_visible()
    expect(model_chat.page.locator("#stop-button")).to_have_count(0, timeout=60_000)
    expect(model_chat.answers).to_have_count(1)
    assert model_chat.answers.last.inner_text().count("slow") == 600
    model_chat.page.reload()
    expect(model_chat.answers.last).to_contain_text("slow slow slow")
    assert model_chat.answers.last.inner_text().count("slow") == 600


def test_a_conversation_is_found_renamed_and_deleted(quotes_chat: ChatPage) -> None:
    quotes_chat.ask("What is the price of the repair cement?")
    address = quotes_chat.page.url
    quotes_chat.open_history()
    quotes_chat.rename_conversation("What is the price", "Cement")
    expect(quotes_chat.history.filter(has_text="Cement")).to_have_count(1)
    quotes_chat.search_history("12.90")
    expect(quotes_chat.page.get_by_role("option").filter(has_text="Cement")).to_have_count(1)
    quotes_chat.page.keyboard.press("Escape")
    quotes_chat.delete_conversation("Cement")
    expect(quotes_chat.history.filter(has_text="Cement")).to_have_count(0)
    quotes_chat.page.goto(address)
    expect(quotes_chat.page.get_by_text("price of the repair cement")).to_have_count(0)
    quotes_chat.open_history()
    expect(quotes_chat.history.filter(has_text="Cement")).to_have_count(0)


def test_nobody_sees_anothers_conversations(open_page: Callable[..., Page], closed_url: str) -> None:
    anna, bert = (ChatPage.log_in(open_page(), closed_url, name, PASSWORD) for name in ("anna", "bert"))
    anna.ask(ILL)
    bert.ask("What is the price of the repair cement?")
    for chat, own in ((anna, ILL), (bert, "What is the price")):
        chat.open_history()
        expect(chat.history).to_have_count(1)
        expect(chat.history).to_contain_text(own[:20])
    thread = anna.page.url.rpartition("/")[2]
    for path in (f"thread/{thread}", f"thread/{thread}/element/{thread}", f"share/{thread}"):
        assert bert.page.request.get(f"{closed_url}/project/{path}").status == 404
    told = {"threadId": thread, "name": "Mine"}
    assert bert.page.request.put(f"{closed_url}/project/thread", data=told).status == 404
    assert bert.page.request.delete(f"{closed_url}/project/thread", data=told).status == 404
    bert.page.goto(f"{closed_url}/thread/{thread}")
    expect(bert.page.get_by_text("doctor's certificate")).to_have_count(0)
    anna.page.reload()
    expect(anna.answers.first).to_contain_text("fourth day")
