"""The chat's page as a test reads and works it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, Response, expect

ANSWER_TIMEOUT = 60_000  # milliseconds; test machines are slow
UPLOAD = "/project/file"


class ChatPage:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(url)
        expect(page.locator("#upload-button")).to_be_visible(timeout=30_000)  # has another id until it is connected

    @classmethod
    def log_in(cls, page: Page, url: str, name: str, password: str) -> ChatPage:
        """An open chat of that user."""
        page.goto(url)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Sign In").click()
        expect(page.locator("#upload-button")).to_be_visible(timeout=30_000)
        return cls(page, url)

    @property
    def banner(self) -> Locator:
        return self.page.locator("#model-banner")

    @property
    def starters(self) -> Locator:
        return self.page.locator("#starters button")

    @property
    def answers(self) -> Locator:
        return self.page.locator('[data-step-type="assistant_message"]')

    @property
    def steps(self) -> Locator:
        return self.page.locator('[data-step-type="tool"], [data-step-type="retrieval"]')

    @property
    def panel(self) -> Locator:
        return self.page.locator("#side-view-content")

    @property
    def panel_title(self) -> Locator:
        return self.page.locator("#side-view-title")

    def choose_profile(self, name: str) -> None:
        """Talk to another model or persona; the chat begins anew."""
        self.page.locator("#chat-profiles").click()
        has_begun = self.answers.count() > 0
        self.page.get_by_role("option", name=name).click()
        if has_begun:
            self.page.get_by_role("button", name="Confirm").click()
        expect(self.page.locator("#chat-profiles")).to_contain_text(name)
        expect(self.page.locator("#upload-button")).to_be_visible(timeout=30_000)

    def settings(self, *, mode: str = "", documents: Sequence[str] = (), pages: str = "") -> None:
        """Set these in the settings panel."""
        self.page.locator("#chat-settings-open-modal").click()
        panel = self.page.get_by_role("dialog")
        if mode:
            panel.locator("#mode").click()
            self.page.get_by_role("option", name=mode).click()
        for document in documents:
            panel.get_by_text("Only these documents").locator("xpath=following::input[@role='combobox'][1]").click()
            self.page.get_by_role("option", name=document).click()
        if pages:
            panel.locator("#pages").fill(pages)
        self.page.locator("#confirm").click()
        expect(panel).to_have_count(0)

    def attach(self, *files: Path) -> None:
        received = 0

        def all_received(response: Response) -> bool:
            nonlocal received
            received += UPLOAD in response.url
            return received >= len(files)

        with self.page.expect_response(all_received):
            self.page.locator("#upload-button-input").set_input_files(files)

    def drop(self, name: str, text: str) -> None:
        """Drop a text file on the page."""
        transfer = self.page.evaluate_handle(
            "([name, text]) => { const data = new DataTransfer();"
            " data.items.add(new File([text], name, {type: 'text/plain'})); return data; }",
            [name, text],
        )
        page_body = self.page.locator('[id="#upload-drop-input"]').locator("..")
        with self.page.expect_response(lambda response: UPLOAD in response.url):
            page_body.dispatch_event("drop", {"dataTransfer": transfer})

    def send(self, text: str = "") -> None:
        """Send what was typed and attached, without waiting for an answer."""
        if text:
            self.page.locator("#chat-input").click()
            self.page.keyboard.insert_text(text)
        submit = self.page.locator("#chat-submit")
        expect(submit).to_be_enabled(timeout=30_000)
        submit.click()

    def ask(self, text: str = "") -> Locator:
        """Send, and wait for the whole answer."""
        before = self.answers.count()
        self.send(text)
        return self.answer_after(before)

    def answer_after(self, before: int) -> Locator:
        """The last answer, once there are more than `before` and nothing runs any more."""
        expect(self.answers.nth(before)).to_be_visible(timeout=ANSWER_TIMEOUT)
        expect(self.page.locator("#stop-button")).to_have_count(0, timeout=ANSWER_TIMEOUT)
        return self.answers.nth(self.answers.count() - 1)

    def open_footnote(self, answer: Locator, number: int = 1) -> Locator:
        """Click the mark in the answer's text; the side panel's content."""
        answer.locator("a[href^='#footnote-']", has_text=f"[{number}]").first.click()
        expect(self.panel_title).to_contain_text(f"[{number}]")
        return self.panel

    def sources(self, answer: Locator) -> Sequence[str]:
        return answer.locator(".footnotes button").all_inner_texts()

    def judge(self, answer: Locator, comment: str) -> None:
        """A thumb up, with a comment."""
        answer.locator(".positive-feedback-off").click()
        dialog = self.page.get_by_role("dialog")
        dialog.locator("textarea").fill(comment)
        dialog.get_by_role("button", name="Submit").click()
        expect(answer.locator(".positive-feedback-on")).to_be_visible()

    def instruct(self, instructions: str) -> None:
        """Set the model's instructions in the settings panel."""
        self.page.locator("#chat-settings-open-modal").click()
        self.page.locator("#instructions").fill(instructions)
        self.page.locator("#confirm").click()
        expect(self.page.get_by_role("dialog")).to_have_count(0)

    # -------------------------------------------------------------------------------------------------------- history

    @property
    def history(self) -> Locator:
        """The conversations in the side bar."""
        return self.page.locator("#thread-history li[id^='thread-']")

    def open_history(self) -> None:
        """Open the side bar."""
        self.page.wait_for_load_state("networkidle")  # until then nobody can tell whether it is open
        trigger = self.page.locator("#header #sidebar-trigger-button")  # there while it is closed
        if trigger.is_visible():
            trigger.click()
        expect(self.page.locator("#thread-history")).to_be_in_viewport()

    def open_conversation(self, title: str) -> None:
        """Go on with a conversation of the side bar."""
        self.history.filter(has_text=title).first.click()
        expect(self.answers.first).to_be_visible(timeout=30_000)
        expect(self.page.locator("#upload-button")).to_be_visible(timeout=30_000)

    def rename_conversation(self, title: str, new_title: str) -> None:
        self._conversation_menu(title, "Rename")
        dialog = self.page.get_by_role("dialog")
        dialog.locator("input").fill(new_title)
        dialog.get_by_role("button", name="Confirm").click()

    def delete_conversation(self, title: str) -> None:
        self._conversation_menu(title, "Delete")
        self.page.get_by_role("alertdialog").get_by_role("button", name="Confirm").click()

    def search_history(self, text: str) -> None:
        self.page.locator("#search-chats-button").click()
        self.page.get_by_role("dialog").locator("input").fill(text)

    def _conversation_menu(self, title: str, entry: str) -> None:
        conversation = self.history.filter(has_text=title).first
        conversation.hover()
        conversation.locator("#thread-options").click()
        self.page.get_by_role("menuitem", name=entry).click()
