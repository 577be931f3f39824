"""Several models and ways to ask them: profiles, comparison with a vote, summary with progress, chosen documents."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.chat_page import ANSWER_TIMEOUT, ChatPage
from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.model_server import ModelServer
from tests.e2e.test_asking import ILL


def test_a_profile_is_a_model_or_a_persona(models_chat: ChatPage, model: ModelServer) -> None:
    page = models_chat.page
    expect(page.locator("#chat-profiles")).to_contain_text("small")
    expect(models_chat.banner).to_contain_text("small")
    expect(models_chat.ask(ILL)).to_contain_text("The documents say so")
    models_chat.choose_profile("large")
    expect(models_chat.banner).to_contain_text("Answers by large")
    expect(models_chat.ask(ILL)).to_contain_text("The handbook says more")
    assert "sailor" not in model.prompts[-1]


def test_a_persona_speaks_as_told(models_chat: ChatPage, model: ModelServer) -> None:
    models_chat.choose_profile("Sailor")
    expect(models_chat.page.locator("#welcome-screen")).to_contain_text("Knows the handbook, and the sea.")
    expect(models_chat.banner).to_contain_text("Sailor")
    expect(models_chat.ask(ILL)).to_contain_text("The handbook says more")
    assert model.prompts[-1].startswith("system: Speak like a sailor.")


def test_models_are_compared_and_voted_on(models_chat: ChatPage, model: ModelServer, models_folder: Path) -> None:
    models_chat.settings(mode="Compare")
    models_chat.ask(ILL)
    answers = models_chat.answers
    expect(answers).to_have_count(3)
    small, large = answers.filter(has_text="The documents say so"), answers.filter(has_text="The handbook says more")
    expect(small.locator(".message-content").first).to_contain_text("small")
    expect(large.locator(".message-content").first).to_contain_text("large")
    expect(models_chat.open_footnote(large).locator("blockquote")).to_have_count(1)
    expect(answers.last).to_contain_text("Which answer is better?")
    answers.last.get_by_role("button", name="large").click()
    expect(answers.last).to_contain_text("You chose large.")
    expect(answers.last.get_by_role("button", name="small")).to_have_count(0)
    with sqlite3.connect(models_folder / "storage" / "catalog.sqlite3") as catalog:
        ((question, chosen, passages),) = catalog.execute("SELECT question, chosen, passages FROM votes").fetchall()
    assert (question, chosen) == (ILL, "large")
    assert "doc_" in passages
    models_chat.settings(mode="Answer from the documents")
    models_chat.ask("And how do I report it?")
    assert "assistant: The handbook says more" in model.prompts[-1], "the conversation goes on with what was chosen"


def test_compared_answers_stand_side_by_side_and_on_a_phone_under_tabs(
    models_chat: ChatPage, model: ModelServer
) -> None:
    page = models_chat.page
    models_chat.settings(mode="Compare")
    models_chat.ask(ILL)
    small, large = models_chat.answers.nth(0), models_chat.answers.nth(1)
    expect(small).to_contain_text("The documents say so")
    expect(large).to_contain_text("The handbook says more")
    expect(page.get_by_role("tab")).to_have_count(0)
    left, right, vote = (answer.bounding_box() or {} for answer in (small, large, models_chat.answers.nth(2)))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert abs(left["width"] - right["width"]) < 1
    assert vote["y"] >= max(left["y"] + left["height"], right["y"] + right["height"]) - 1
    page.screenshot(path=SCREENSHOTS / "compare.png")
    page.set_viewport_size({"width": 390, "height": 844})
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_text(["small", "large"])
    expect(small.locator(".message-content")).to_be_visible()
    expect(large.locator(".message-content")).to_be_hidden()
    page.screenshot(path=SCREENSHOTS / "compare-phone.png")
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tabs.nth(1)).to_be_focused()
    expect(page.get_by_role("tab", selected=True)).to_have_text("large")
    expect(small.locator(".message-content")).to_be_hidden()
    expect(large.locator(".message-content")).to_be_visible()


def test_a_summary_shows_how_far_it_is_and_what_it_read(models_chat: ChatPage, model: ModelServer) -> None:
    model.pause = 0.4
    models_chat.settings(mode="Summarize", documents=["employee-handbook.pdf"])
    models_chat.send("What does the handbook say?")
    reading = models_chat.steps.filter(has_text="Reading 25 pages in 1 document")
    expect(reading).to_contain_text("(0 of 25)", timeout=ANSWER_TIMEOUT)
    expect(reading).to_contain_text(re.compile(r"\(([1-9]|1\d|2[0-4]) of 25\)"), timeout=ANSWER_TIMEOUT)
    answer = models_chat.answer_after(0)
    expect(reading).to_have_count(1)
    expect(reading).to_contain_text("(25 of 25)")
    expect(answer).to_contain_text("Read 25 pages of 25 in 1 document.")
    assert any("page" in source for source in models_chat.sources(answer))


def test_only_what_is_chosen_is_asked(models_chat: ChatPage) -> None:
    assert any("Handbook" in source for source in models_chat.sources(models_chat.ask(ILL)))
    models_chat.settings(documents=["employee-handbook.pdf"], pages="11")
    (source,) = models_chat.sources(models_chat.ask(ILL))
    assert source.startswith("1\nEmployee Handbook\n6 Illness · page 7\n“")
    models_chat.settings(pages="3-1")
    expect(models_chat.ask(ILL)).to_contain_text("no range of pages")


def test_an_answer_that_breaks_off_stays_and_says_so(models_chat: ChatPage, model: ModelServer) -> None:
    answer = models_chat.ask("From which day do I need a doctor's certificate? Answer abruptly.")
    expect(answer).to_contain_text("The documents say so")
    expect(answer).to_contain_text("⚠ The answer is incomplete:")
    models_chat.ask("And how do I report it?")
    assert "assistant: The documents say so" in model.prompts[-1]
