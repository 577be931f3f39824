"""Kinds and languages of messages; benchmarks/routing.py has many more."""

from __future__ import annotations

import pytest

from rag.answering.message_kinds import classify, language_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("good evening", "small_talk"),
        ("vielen lieben Dank", "small_talk"),
        ("à bientôt !", "small_talk"),
        ("¿tú quién eres?", "small_talk"),
        ("which files are in here?", "collection"),
        ("welche Unterlagen hast du", "collection"),
        ("please give me a short summary of this document", "document"),
        ("de quoi traite ce document ?", "document"),
        ("now translate that into Italian", "conversation"),
        ("ponlo en una tabla por favor", "conversation"),
    ],
)
def test_what_is_no_question(text, kind):
    guess = classify(text, has_history=True)
    assert (guess.kind, guess.lead > 0) == (kind, True)


@pytest.mark.parametrize(
    "text",
    [
        "which documents must a tenant hand in?",
        "thanks, and how long is the warranty?",
        "What does the summary say about side effects?",
        "wer übersetzt den Mietvertrag?",
        "préavis",
        "¿y para los becarios?",
        "E-4711",
    ],
)
def test_what_looks_like_another_kind_and_is_a_question(text):
    assert classify(text, has_history=True).lead < 0


def test_without_a_history_nothing_is_work_on_one():
    assert classify("shorter please", has_history=True).kind == "conversation"
    assert classify("shorter please", has_history=False).kind != "conversation"


def test_the_name_of_a_document_is_read_as_such():
    text = "the main points of Zwingli Quux, please"
    named = classify(text, {"Zwingli", "Quux"}, has_history=False)
    assert named.kind == "document"
    assert named.lead > classify(text, has_history=False).lead


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How long is the warranty of the pump?", "en"),
        ("Wie lange gilt die Garantie der Pumpe?", "de"),
        ("Combien de temps la pompe est-elle garantie ?", "fr"),
        ("¿Cuánto dura la garantía de la bomba?", "es"),
        ("Сколько длится гарантия?", "en"),
        ("", "en"),
        ("😀", "en"),
    ],
)
def test_languages(text, language):
    assert language_of(text) == language


def test_a_long_message_takes_no_longer_than_its_beginning():
    beginning = "translate this: " + "a b " * 100
    assert classify(beginning + "x" * 1_000_000, has_history=True) == classify(beginning, has_history=True)
