"""What is taken away of a conversation: Markdown whose footnotes do not collide, and a PDF of all of it."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader

from rag.storage.conversations import Conversation, Element, Step
from rag.ui.export import answer_markdown, entry_of, file_name, markdown, transcript_of
from rag.ui.transcript_pdf import pdf
from rag.ui.turns import Turn, documents_read, remembered, turns_of
from tests.rag.storage.test_votes import place

TEXT = r"""The *fourth* day [\[1\]](#footnote-1), not `x[1]` nor [2].

- one
- two, with **weight**

| day | needed |
|---|---|
| 4 | yes <b> |

```
print("code")
```"""
NOTE = {
    "number": 1,
    "title": "Handbook",
    "heading": "Illness",
    "place": "page 7",
    "source": "h.pdf",
    "quote": "day\nfour",
}


@pytest.fixture
def transcript():
    conversation = Conversation("c1", "From which day?", {}, "2026-11-21T10:00:00+00:00", "")
    steps = [
        Step("q1", "user_message", "From which day?\nAnd why <i>?"),
        Step("r1", "run", ""),
        Step("a1", "assistant_message", TEXT),
        Step("a2", "assistant_message", "Привет, Öl, 東京 [1]."),
    ]
    elements = [Element(f"e{n}", f"a{n}", {"props": {"citations": [NOTE]}}) for n in (1, 2)]
    return transcript_of(conversation, steps, elements)


def test_markdown_has_footnotes_of_its_own_for_each_answer(transcript):
    text = markdown(transcript)
    assert text.startswith("# From which day?\n\n*2026-11-21*\n\n> From which day?\n> And why <i>?\n")
    assert "day [^2-1], not `x[1]` nor [2]." in text
    assert "[^2-1]: Handbook · Illness · page 7 (h.pdf): “day four”" in text
    assert "東京 [^3-1]." in text
    assert answer_markdown(transcript.entries[1]).endswith("[^1]: Handbook · Illness · page 7 (h.pdf): “day four”")


def test_the_pdf_holds_all_that_was_said(transcript):
    read = PdfReader(io.BytesIO(pdf(transcript)))
    text = " ".join(page.extract_text() for page in read.pages)
    for words in ("And why <i>?", "fourth", "weight", "yes <b>", 'print("code")', "Handbook", "“day four”", "Öl"):
        assert words in text
    assert read.metadata.title == "From which day?"


def test_an_answer_without_footnotes_stays_as_it_is():
    assert answer_markdown(entry_of(Step("a1", "assistant_message", "Yes [1]."), [])) == "Yes [1]."


def test_a_file_is_called_like_the_conversation():
    assert file_name('Who/what: "Öl"?\n..', "md") == "Who what Öl.md"
    assert file_name("???", "pdf") == "conversation.pdf"


def test_turns_come_back_as_they_were_remembered():
    class Read:  # what a passage needs to be named
        document_id, page_index, start, end = "doc_a", 3, 10, 20

    metadata = remembered("q1", "Day 4 [1].", [Read()])
    assert documents_read(metadata) == ["doc_a"]
    assert metadata["passages"] == [place("doc_a")]
    steps = [
        Step("q1", "user_message", "Which day?"),
        Step("a0", "assistant_message", "**small** Day 4.", {"metadata": remembered("q1", "first", [])}),
        Step("a1", "assistant_message", "You chose large.", {"metadata": metadata}),
        Step("q2", "user_message", "Stopped?"),
        Step("a2", "assistant_message", "A note", {"metadata": remembered("q2", None, [])}),
    ]
    assert turns_of(steps) == [Turn("q1", "Which day?", "Day 4 [1]."), Turn("q2", "Stopped?", "")]
