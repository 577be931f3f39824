"""Footnotes: what the side panel shows of a source, how one works it by keyboard, and where an answer looked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.files import write_pdf
from tests.e2e.model_server import ModelServer

ILL = "From which day of being ill do I need a doctor's certificate?"  # employee handbook, page 7, the 11th of the file
CEMENT = "What is the price of the repair cement?"


def number_of(chat: ChatPage, answer: Locator, place: str) -> int:
    return next(number for number, source in enumerate(chat.sources(answer), 1) if place.lower() in source.lower())


def test_a_footnote_opens_the_page_with_the_passage_marked(quotes_chat: ChatPage) -> None:
    answer = quotes_chat.ask(ILL)
    expect(answer).to_contain_text("fourth day")
    expect(quotes_chat.panel).to_have_count(0)  # nothing opens unasked
    number = number_of(quotes_chat, answer, "page 7")
    panel = quotes_chat.open_footnote(answer, number)
    expect(quotes_chat.panel_title).to_have_text(f"[{number}] Employee Handbook")
    expect(panel.locator(".footnote-place")).to_contain_text("6 Illness · page 7 · page 11 of the file")
    expect(panel.locator("blockquote mark")).to_contain_text("fourth day")
    expect(panel.locator(".footnote-tools")).to_contain_text("Page 7")
    expect(panel.locator(".footnote-tools")).to_contain_text("11 of 25")
    picture = panel.get_by_role("img", name="Page 7 of Employee Handbook, as it is printed, with the passage marked")
    expect(picture).to_be_visible()
    expect(panel.locator(".footnote-box")).to_have_count(3)  # lines of a paragraph
    sheet, first = picture.bounding_box(), panel.locator(".footnote-box").first.bounding_box()
    assert sheet is not None
    assert first is not None
    assert 0.25 < (first["y"] - sheet["y"]) / sheet["height"] < 0.3
    assert 0.7 < first["width"] / sheet["width"] < 0.85
    assert panel.locator(".footnote-source a").get_attribute("href", timeout=1000).endswith("/source#page=11")
    assert picture.evaluate("image => image.naturalWidth") > 1000


def test_one_can_leaf_through_the_document_and_come_back(quotes_chat: ChatPage) -> None:
    answer = quotes_chat.ask(ILL)
    panel = quotes_chat.open_footnote(answer, number_of(quotes_chat, answer, "page 7"))
    expect(panel.locator(".footnote-box").first).to_be_visible()
    panel.get_by_role("button", name="Next page").click()
    expect(panel.locator(".footnote-tools")).to_contain_text("Page 8")
    expect(panel.get_by_role("img", name="Page 8 of Employee Handbook")).to_be_visible()
    expect(panel.locator(".footnote-box")).to_have_count(0)
    expect(panel.locator(".footnote-note")).to_have_count(0)
    expect(panel.locator(".footnote-source a")).to_have_attribute("href", re.compile("#page=12$"))
    panel.get_by_role("button", name="Back to the passage").click()
    expect(panel.locator(".footnote-tools")).to_contain_text("Page 7")
    expect(panel.locator(".footnote-box").first).to_be_visible()


def test_page_one_is_shown_after_another_page(quotes_chat: ChatPage, tmp_path: Path) -> None:
    pages = ["The bicycle shed opens at six in the morning.", "Visitors leave their cars on deck three."]
    quotes_chat.attach(write_pdf(tmp_path / "site rules.pdf", pages))
    first = quotes_chat.ask("Where do visitors leave their cars?")
    expect(quotes_chat.open_footnote(first).locator(".footnote-tools")).to_contain_text("2 of 2")
    quotes_chat.attach(tmp_path / "site rules.pdf")
    second = quotes_chat.ask("When does the bicycle shed open in the morning?")
    expect(quotes_chat.open_footnote(second).locator(".footnote-tools")).to_contain_text("1 of 2")
    expect(quotes_chat.panel.get_by_role("button", name="Previous page")).to_be_disabled()
    expect(quotes_chat.open_footnote(first).locator(".footnote-tools")).to_contain_text("2 of 2")
    expect(quotes_chat.panel.get_by_role("button", name="Next page")).to_be_disabled()


def test_rows_of_a_sheet_are_a_table_with_the_row_marked(quotes_chat: ChatPage) -> None:
    panel = quotes_chat.open_footnote(quotes_chat.ask(CEMENT))
    expect(panel.locator("tr.marked")).to_contain_text("12.90")
    expect(panel.locator("th").first).to_be_visible()
    assert panel.locator("tbody tr").count() > 3
    expect(panel.locator("img")).to_have_count(0)


def test_other_formats_show_the_passage_in_its_surroundings(quotes_chat: ChatPage, tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    lines = [f"Paragraph {number} is about nothing of interest, and goes on." for number in range(8)]
    lines[4] = "The lighthouse keeper has a parrot called Admiral."
    notes.write_text("\n\n".join(lines), encoding="utf-8")
    quotes_chat.attach(notes)
    panel = quotes_chat.open_footnote(quotes_chat.ask("What is the lighthouse keeper's parrot called?"))
    expect(panel.locator("mark")).to_contain_text("Admiral")
    assert len(panel.locator("blockquote").inner_text()) > len(panel.locator("mark").inner_text()) + 100
    expect(panel.locator(".footnote-source a")).to_have_text("Open the file")


def test_sources_belong_to_one_answer(quotes_chat: ChatPage) -> None:
    quotes_chat.ask(ILL)
    price = quotes_chat.ask(CEMENT)
    expect(quotes_chat.open_footnote(price).locator("tr.marked")).to_contain_text("12.90")
    certificate = quotes_chat.answers.first
    expect(quotes_chat.open_footnote(certificate).locator("mark")).to_contain_text("fourth day")
    assert not any("price list" in source.lower() for source in quotes_chat.sources(certificate))


def test_what_a_source_does_not_bear_out_is_marked(model_chat: ChatPage, model: ModelServer) -> None:
    model.reply = (
        "A certificate is needed from the **fourth day** of absence [1]. "
        "After probation you receive full pay for the first twelve weeks of illness [1]. "
        "The hall is painted by elephants [1]."
    )
    answer = model_chat.ask(ILL)
    marked = "[...(CSS.highlights.get('footnote-{}') ?? [])].map(String).join('')"
    evaluate = model_chat.page.evaluate
    model_chat.page.wait_for_function("CSS.highlights.get('footnote-unsupported')?.size")
    assert "twelve weeks" in evaluate(marked.format("partly")) + evaluate(marked.format("unsupported"))
    assert "painted by elephants" in evaluate(marked.format("unsupported"))
    assert "fourth" not in evaluate(marked.format("partly")) + evaluate(marked.format("unsupported"))
    panel = model_chat.open_footnote(answer)
    statements = panel.locator(".footnote-statements li")
    expect(statements).to_have_count(3)
    expect(statements.nth(0)).to_contain_text("Borne out by the source")
    expect(statements.nth(1)).to_contain_text("“eight”")
    expect(statements.nth(2)).to_contain_text("Not borne out")


def test_the_check_is_one_line_that_opens_on_the_doubtful_sentences(model_chat: ChatPage, model: ModelServer) -> None:
    model.reply = "A certificate is needed from the fourth day of absence [1]. The hall is painted by elephants [1]."
    answer = model_chat.ask(ILL)
    expect(answer.locator(".prose")).not_to_contain_text("⚠")
    check = answer.locator(".footnotes-check")
    expect(check.locator("summary")).to_have_text("1 of 2 statements not confirmed")
    expect(check.locator("li")).to_be_hidden()
    check.locator("summary").click()
    expect(check.locator("li")).to_contain_text("Not borne out by its source: “The hall is painted by elephants.”")
    model.reply = "A certificate is needed from the fourth day of absence [1]."
    expect(model_chat.ask(ILL).locator("p.footnotes-check")).to_have_text(re.compile("was checked against its page"))


def test_a_mark_tells_the_mouse_and_the_keyboard_where_it_leads(model_chat: ChatPage, model: ModelServer) -> None:
    model.reply = "A certificate is needed from the fourth day of absence [1]."
    mark = model_chat.ask(ILL).locator("a[href^='#footnote-']").first
    tip = model_chat.page.get_by_role("tooltip")
    for show, hide in ((mark.hover, model_chat.page.locator("#header").hover), (mark.focus, mark.blur)):
        show()
        expect(tip).to_contain_text("Employee Handbook")
        expect(tip).to_contain_text("page 7")
        expect(tip.locator("q")).to_contain_text("fourth day of absence")
        assert mark.get_attribute("aria-describedby") == tip.get_attribute("id")
        hide()
        expect(tip).to_be_hidden()
    mark.focus()
    model_chat.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_the_keyboard_opens_and_closes_a_source(
    open_page: Callable[..., Page], quotes_url: str, width: int, height: int
) -> None:
    page = open_page(width=width, height=height)
    chat = ChatPage(page, quotes_url)
    mark = chat.ask(ILL).locator("a[href^='#footnote-']").first
    expect(mark).to_have_attribute("aria-label", re.compile("Source 1: "))
    for key in ("Enter", " "):
        mark.focus()
        page.keyboard.press(key)
        expect(chat.panel_title).to_be_visible()
        expect(page.get_by_role("button", name="Close", exact=False).last).to_be_focused()
        expect(chat.panel.locator(".footnote-box").first).to_be_visible()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#side-view-content') !== null")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        page.keyboard.press("Escape")
        expect(chat.panel).to_have_count(0)
        expect(mark).to_be_focused()
    if width > 1000:
        mark.press("Enter")
        expect(page.get_by_role("complementary", name="The source of footnote 1")).to_be_visible()


def test_where_it_looked_is_told_on_demand(quotes_chat: ChatPage) -> None:
    quotes_chat.ask(ILL)
    step = quotes_chat.steps.filter(has_text="Read ")
    expect(step.locator("table")).to_have_count(0)
    step.get_by_role("button").first.click()
    expect(step).to_contain_text("Where it looked")
    first = step.locator("tbody tr").first
    expect(first).to_contain_text("Employee Handbook")
    expect(first).to_contain_text("page 7")
    assert step.locator("tbody tr").count() > 3


@pytest.mark.parametrize(
    ("language", "asks", "page_word", "close", "link", "question", "refusal"),
    [
        (
            "de-AT",
            "Frag deine Dokumente…",
            "Seite 7",
            "Quelle schließen",
            "Dokumente",
            "Wer gewann die Ruderregatta?",
            "keine Antwort gefunden",
        ),
        (
            "fr-FR",
            "Interrogez vos documents…",
            "Page 7",
            "Fermer la source",
            "Documents",
            "Qui a gagné la régate d’aviron ?",
            "pas trouvé de réponse",
        ),
        (
            "es-MX",
            "Pregunta a tus documentos…",
            "Página 7",
            "Cerrar la fuente",
            "Documentos",
            "¿Quién ganó la regata de remo?",
            "No he encontrado",
        ),
        (
            "it-IT",
            "Ask your documents…",
            "Page 7",
            "Close the source",
            "Documents",
            "Who won the rowing regatta?",
            "could not find",
        ),
    ],
)
def test_the_chat_speaks_the_browsers_language(
    open_page: Callable[..., Page],
    quotes_url: str,
    language: str,
    asks: str,
    page_word: str,
    close: str,
    link: str,
    question: str,
    refusal: str,
) -> None:
    page = open_page(language=language)
    chat = ChatPage(page, quotes_url)
    expect(page.locator("#chat-input")).to_have_attribute("placeholder", asks)
    expect(page.locator("#header a[href='/library']")).to_have_text(link)
    answer = chat.ask(ILL)
    panel = chat.open_footnote(answer, number_of(chat, answer, page_word))
    expect(panel.locator(".footnote-tools")).to_contain_text(page_word)
    expect(page.get_by_role("button", name=close)).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == (language[:2] if language != "it-IT" else "en")
    expect(chat.ask(question)).to_contain_text(refusal)
