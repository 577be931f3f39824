"""A conversation of three hundred messages: it opens from history, is all there, and scrolls."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Page, expect

from rag.auth.principals import LOCAL
from rag.storage.catalog import Catalog
from rag.storage.conversations import Conversations, Element, Step
from rag.storage.database import CATALOG_NAME
from rag.ui.markdown import mark
from tests.e2e.chat_page import ANSWER_TIMEOUT, ChatPage
from tests.e2e.conftest import application

TURNS = 150
TIME = {"createdAt": "2026-01-01T10:00:00Z"}
NOTE = {
    **dict.fromkeys(("heading", "position", "source", "before", "after", "address", "warning"), ""),
    "number": 1,
    "file": "a.pdf",
    "place": "page 1",
    "page": 1,
    "start": 0,
    "end": 5,
    "is_pdf": False,
    "table": None,
    "statements": [],
}
SCROLL = """
async () => {  // scrolls from the top to the end in two seconds, and counts what is drawn meanwhile
  const steps = document.querySelectorAll("[data-step-type]");
  let box = steps[0];
  while (getComputedStyle(box).overflowY !== "auto" || box.scrollHeight <= box.clientHeight) box = box.parentElement;
  const gaps = [];
  let before = performance.now();
  const began = before;
  for (let part = 0; part < 1;) {
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - before);
    before = now;
    part = Math.min((now - began) / 2000, 1);
    box.scrollTop = part * (box.scrollHeight - box.clientHeight);
  }
  gaps.sort((one, other) => one - other);
  return { frames: gaps.length, median: gaps[gaps.length >> 1], longest: gaps[gaps.length - 1],
           height: box.scrollHeight, end: box.scrollTop + box.clientHeight };
}
"""


def write_conversation(storage: Path, conversation_id: str) -> None:
    """A conversation as the chat keeps it, with a footnote and a look at the search under each answer."""
    with closing(Catalog(storage / CATALOG_NAME)) as catalog:
        document = next(found for found in catalog.documents("default") if found.source.endswith(".pdf"))
        own = Conversations(catalog.database, LOCAL.id)
        own.begin(conversation_id, "A long talk")
        for number in range(1, TURNS + 1):
            question, run, trace, answer = (f"{conversation_id}-{part}{number}" for part in "qrla")
            own.put_step(conversation_id, Step(question, "user_message", f"Question number {number}?", TIME))
            body = {**TIME, "name": "on_message", "start": TIME["createdAt"], "end": TIME["createdAt"]}
            own.put_step(conversation_id, Step(run, "run", "", body, question))
            body = {**TIME, "name": "Read 1 passage from 1 document"}
            own.put_step(conversation_id, Step(trace, "retrieval", "**Where it looked**\n", body, run))
            text = f"Answer number {number}: " + "the *documents* say **so**, at some length. " * 6 + mark(1)
            body = {**TIME, "metadata": {"question": question, "answer": text, "passages": []}}
            own.put_step(conversation_id, Step(answer, "assistant_message", text, body, run))
            note = {**NOTE, "document": document.id, "title": document.title, "quote": f"Quote {number}"}
            props = {"message": answer, "conversation": conversation_id, "citations": [note], "doubts": []}
            shown = {"type": "custom", "name": "Footnotes", "display": "inline", "url": "about:blank", "props": props}
            own.put_element(conversation_id, Element(str(uuid.uuid4()), answer, shown))


def test_three_hundred_messages_open_and_scroll(page: Page, ingested: Path, tmp_path: Path) -> None:
    with application(tmp_path, ingested, RAG_LLM__PROVIDER="quotes") as url:
        conversation_id = str(uuid.uuid4())
        write_conversation(tmp_path / "storage", conversation_id)
        began = time.monotonic()
        chat = ChatPage(page, f"{url}/thread/{conversation_id}")
        expect(chat.answers).to_have_count(TURNS, timeout=ANSWER_TIMEOUT)
        expect(page.locator(".footnotes")).to_have_count(TURNS, timeout=ANSWER_TIMEOUT)
        opened = time.monotonic() - began
        figures = page.evaluate(SCROLL)
        assert figures["end"] >= figures["height"] - 2
        assert figures["frames"] > 5
        expect(chat.answers.last).to_be_in_viewport()
        expect(chat.answers.last).to_contain_text(f"Answer number {TURNS}:")
        expect(chat.open_footnote(chat.answers.nth(TURNS // 2))).to_contain_text(f"Quote {TURNS // 2 + 1}")
        print(json.dumps({"seconds to open": round(opened, 1), **figures}))
