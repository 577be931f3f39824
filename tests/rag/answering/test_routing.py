"""The kind of answer that a message wants: real questions always go to the documents."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from rag.answering.routing import route_message

MESSAGES = Path(__file__).parents[3] / "benchmarks" / "routing_messages.jsonl"
SAMPLE = Path(__file__).parents[2] / "sample_questions.jsonl"


def labelled():
    return [json.loads(line) for line in MESSAGES.read_text(encoding="utf-8").splitlines()]


def test_messages_of_every_kind_in_four_languages():
    kinds = Counter((message["kind"], message["language"]) for message in labelled())
    assert len(kinds) >= 5 * 4
    wrong = [
        message
        for message in labelled()
        if message["kind"]
        != route_message(
            message["text"],
            has_history=message.get("has_history", False),
            has_documents=message.get("has_documents", False),
        )
    ]
    assert len(wrong) <= 0.05 * len(labelled()), wrong


@pytest.mark.parametrize("has_history", [False, True])
@pytest.mark.parametrize("has_documents", [False, True])
def test_no_question_of_the_sample_is_kept_from_the_documents(has_history, has_documents):
    questions = [json.loads(line)["question"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    kinds = {q: route_message(q, has_history=has_history, has_documents=has_documents) for q in questions}
    assert set(kinds.values()) == {"question"}, kinds


@pytest.mark.parametrize("message", ["", "   ", "?!", "?" * 5000, "a " * 5000, "translate " * 3000, "#" * 100_000])
def test_odd_messages_are_questions(message):
    assert route_message(message) == "question"


def test_work_on_the_conversation_needs_one():
    assert route_message("Translate that into German.", has_history=True) == "conversation"
    assert route_message("Translate that into German.") == "question"


def test_a_task_is_known_by_the_conversation_that_it_quotes():
    quoted = "### Task:\nGenerate a title.\n<chat_history>\nUSER: When is payday?\n</chat_history>"
    assert route_message(quoted) == "task"
    assert route_message("### Task: which tasks does the safety officer have?") == "question"
