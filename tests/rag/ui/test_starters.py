"""Suggested questions: from different documents, about their substance."""

from rag.ui.starters import Suggestion, suggestions
from rag.ui.translations import translations_in

ENGLISH = translations_in("en")


def test_each_document_has_its_turn_before_any_has_a_second():
    headings = [("Handbook", "1 Pay"), ("Handbook", "2 Illness"), ("Handbook", "3 Travel"), ("Manual", "Error codes")]
    found = suggestions(headings, ENGLISH, limit=2)
    assert [suggestion.label.partition(" · ")[2] for suggestion in found] == ["Handbook", "Manual"]


def test_the_question_names_the_heading_without_number_and_path():
    assert suggestions([("Manual", "Care › 5.2 Error codes")], ENGLISH) == [
        Suggestion("What is said about “Error codes”? · Manual", "What is said about “Error codes”?")
    ]


def test_a_heading_that_is_a_question_is_asked_as_it_stands():
    assert suggestions([("FAQ", "Do you ship to Norway?")], ENGLISH)[0].question == "Do you ship to Norway?"


def test_commonplace_headings_are_no_topics_and_a_document_without_topics_is_asked_as_a_whole():
    found = suggestions(
        [("Report", "Contents"), ("Report", "1 Introduction"), ("List", "rows 2–21"), ("Letter", "")], ENGLISH
    )
    assert [suggestion.question for suggestion in found] == [
        "What is “Report” about?",
        "What is “List” about?",
        "What is “Letter” about?",
    ]


def test_nothing_makes_nothing():
    assert suggestions([], ENGLISH) == []
