"""What a long message asks is found in it; a question for all of something is told from one for a single thing."""

from __future__ import annotations

import pytest

from rag.retrieval.question_cues import asking_part, asks_for_all, topic_asked_for
from tests.growth import assert_linear

TALE = "\n\n".join(
    f"On day {day} of the trip the crew repaired the old crane and had soup for lunch, as the pilot had wished."
    for day in range(60)
)


@pytest.mark.parametrize(
    "question",
    [
        "What is the notice period for senior staff?",
        "Please list the fees of the notary.",
        "Tell me who signs the lease",
        "Bitte nenne die Kündigungsfrist.",
        "Wer unterschreibt den Vertrag",
        "Expliquez la procédure de recours.",
        "Combien coûte la licence ?",
        "Dime cuánto cuesta la licencia.",
        "¿Quién firma el contrato?",
    ],
)
def test_a_long_message_is_searched_for_what_it_asks(question):
    assert asking_part(f"{TALE}\n\n{question}") == question
    assert asking_part(f"{question}\n\n{TALE}") == question
    assert asking_part(f"{TALE}\n\n{question}\n\nKind regards,\nMona") == question
    assert asking_part(question) == question


def test_several_questions_of_a_long_message():
    message = f"Who pays the crane?\n\n{TALE}\n\nWhen is the harbour closed? It was open before. Who has the key?"
    assert asking_part(message) == "Who pays the crane? When is the harbour closed? Who has the key?"
    many = asking_part("\n\n".join(f"Who had the watch on board in the night of day {day}?" for day in range(99)))
    assert many.endswith("in the night of day 98?")
    assert len(many) <= 600
    assert asking_part(many) == many


def test_a_long_message_that_asks_nothing_is_searched_for_its_last_paragraph():
    assert asking_part(f"{TALE}\n\nThe deposit of the lease.") == "The deposit of the lease."
    assert len(asking_part("word " * 5_000)) <= 600


@pytest.mark.parametrize(
    "question",
    [
        "List all leases with their rents",
        "Give me every report on safety",
        "What is the sum of all leases?",
        "Which contracts end in 2031?",
        "How many audits were there?",
        "Who earns the most?",
        "Liste bitte alle Mietverträge auf",
        "Welche Verträge laufen 2031 aus?",
        "Wie viele Prüfungen gab es?",
        "Wer verdient am meisten?",
        "Quels contrats expirent en 2031 ?",
        "Combien de rapports y a-t-il ?",
        "Liste tous les baux",
        "¿Cuántos informes hay?",
        "Enumera todos los contratos",
        "¿Qué contratos terminan en 2031?",
    ],
)
def test_questions_for_all_of_something(question):
    assert asks_for_all(question)


@pytest.mark.parametrize(
    "question",
    [
        "Which lease is the oldest?",
        "When does the lease end?",
        "What is the rent of the shop?",
        "Which was the first audit?",
        "Did the rent rise each year, with all of its supplements?",
        "Who signs the lease?",
        "Welche Frist gilt für die Kündigung?",
        "Was kostet die Lizenz?",
        "Quel est le loyer ?",
        "¿Cuál es la renta?",
        "¿Qué plazo tiene el contrato?",
    ],
)
def test_questions_for_one_thing(question):
    assert not asks_for_all(question)


def test_a_run_of_marks_takes_linear_time():
    assert_linear(lambda length: asking_part("?" * length + "a"), 16_000)


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        ("is there a document about mooring lines in here?", "mooring lines"),
        ("have you anything on knots or only on sails?", "knots"),
        ("Gibt es Unterlagen zur Winterlagerung?", "Winterlagerung"),
        ("y a-t-il des documents sur les amarres ?", "les amarres"),
        ("¿hay algo sobre los nudos entre los archivos?", "los nudos"),
        ("which documents do you have?", None),
        ("what can I ask you about?", None),
        ("Überblick über alle Dateien bitte", None),
        ("¿Sobre qué puedo preguntarte?", None),
    ],
)
def test_the_topic_that_documents_are_asked_for(message: str, topic: str | None) -> None:
    assert topic_asked_for(message) == topic
