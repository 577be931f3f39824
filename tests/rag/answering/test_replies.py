"""Footnote's own words, in the language of the question."""

from __future__ import annotations

import tomllib
from pathlib import Path
from string import Formatter

import pytest

import rag.answering.replies
from rag.answering.message_kinds import LANGUAGES
from rag.answering.replies import reply_to, says_not_found

TEXTS = tomllib.loads(Path(rag.answering.replies.__file__).with_name("replies.toml").read_text())


def fields(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_language_has_every_text_with_the_same_values(language):
    assert {name: fields(text) for name, text in TEXTS["en"].items()} == {
        name: fields(text) for name, text in TEXTS[language].items()
    }
    assert all(text != TEXTS["en"][name] for name, text in TEXTS[language].items())


def test_the_language_is_that_of_the_question():
    assert reply_to("Wie lang ist die Frist?", "documents_many", count=3) == "Es gibt 3 Dokumente:"
    assert reply_to("How long is the period?", "documents_many", count=3) == "There are 3 documents:"


def test_a_model_may_say_in_any_language_that_nothing_was_found():
    for texts in TEXTS.values():
        assert says_not_found(f"{texts['not_found']} Sorry.")
    assert not says_not_found("Every 90 days.")
