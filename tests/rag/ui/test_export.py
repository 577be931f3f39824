"""What is taken away of a conversation: Markdown whose footnotes do not collide, and a page to print."""

from __future__ import annotations

import pytest
from lxml import html

from rag.storage.conversations import Conversation, Element, Step
from rag.ui.export import answer_markdown, entry_of, file_name, transcript_markdown, transcript_of, transcript_page

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
    "source": "/home/anna/private/h.pdf",
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
    text = transcript_markdown(transcript)
    assert text.startswith("# From which day?\n\n*2026-11-21*\n\n> From which day?\n> And why <i>?\n")
    assert "day [^2-1], not `x[1]` nor [2]." in text
    assert "[^2-1]: Handbook · Illness · page 7 (h.pdf): “day four”" in text
    assert "東京 [^3-1]." in text
    assert answer_markdown(transcript.entries[1]).endswith("[^1]: Handbook · Illness · page 7 (h.pdf): “day four”")


def test_what_the_check_found_is_told_as_text():
    check = {
        "summary": "1 of 2 statements not confirmed",
        "is_doubtful": True,
        "sentences": ["Without a source: “<b>.”"],
    }
    element = Element("e1", "a1", {"props": {"citations": [NOTE], "check": check}})
    conversation = Conversation("c1", "Day?", {}, "2026-11-21T10:00:00+00:00", "")
    transcript = transcript_of(conversation, [Step("a1", "assistant_message", "Day four [1].")], [element])
    assert "*1 of 2 statements not confirmed*\n\n- Without a source" in transcript_markdown(transcript)
    page = html.document_fromstring(transcript_page(transcript, "en"))
    assert [line.text for line in page.find_class("check")] == [check["summary"], "Without a source: “<b>.”"]


def test_the_page_holds_all_that_was_said(transcript):
    page = html.document_fromstring(transcript_page(transcript, "de"))
    assert page.get("lang") == "de"
    assert page.findtext("head/title") == "From which day?"
    (question,) = page.iter("h2")
    assert question.text == "From which day?\nAnd why <i>?"
    first, second = page.iter("article")
    assert [item.text_content() for item in first.iter("li")] == ["one", "two, with weight"]
    assert [cell.text for cell in first.iter("td")] == ["4", "yes <b>"]
    assert first.find("pre").text_content() == 'print("code")\n'
    assert first.find(".//code").text == "x[1]"
    assert "nor [2]." in first.text_content()
    assert "Привет, Öl, 東京 [1]." in second.text_content()


def test_marks_on_the_page_lead_to_the_notes_of_their_own_answer(transcript):
    page = html.document_fromstring(transcript_page(transcript, "en"))
    for answer in page.iter("article"):
        (mark,) = answer.iter("a")
        (note,) = answer.find_class("note")
        assert mark.get("href") == f"#{note.get('id')}"
        assert note.text_content().strip() == "[1] Handbook · Illness · page 7 (h.pdf)“day four”"
    assert len({note.get("id") for note in page.find_class("note")}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![x](http://203.0.113.7/x.png)",
        "[x](javascript:alert(1))",
        "<img src=x onerror=y>",
    ],
)
def test_nothing_that_was_said_is_fetched_or_run(text):
    conversation = Conversation("c1", text, {}, "2026-11-21T10:00:00+00:00", "")
    steps = [Step("q1", "user_message", text), Step("a1", "assistant_message", text)]
    notes = Element("e1", "a1", {"props": {"citations": [{**NOTE, "title": text, "quote": text}]}})
    page = html.document_fromstring(transcript_page(transcript_of(conversation, steps, [notes]), "en"))
    assert [script.get("src") for script in page.iter("script")] == ["/public/transcript.js"]
    assert list(page.iter("img")) == []
    assert not any("javascript" in link.get("href") for link in page.iter("a"))
    assert page.text_content().count(text) >= 4  # title, heading, question and note show it as it is


def test_an_answer_without_footnotes_stays_as_it_is():
    assert answer_markdown(entry_of(Step("a1", "assistant_message", "Yes [1]."), [])) == "Yes [1]."


def test_a_file_is_called_like_the_conversation():
    assert file_name('Who/what: "Öl"?\n..') == "Who what Öl.md"
    assert file_name("???") == "conversation.md"
