"""Names in a question that nothing knows which was found for it."""

from __future__ import annotations

import pytest

from rag.retrieval.missing_names import missing_names
from rag.types.documents import Chunk, Hit


def hit(text, *, title="Report", source="/reports/annual_2023.pdf", heading=""):
    chunk = Chunk("doc_a:1:0", "doc_a", 0, 0, "1", heading, None, 0, len(text), text)
    return Hit(chunk, title, source, 1.0, (0, len(text)))


HITS = [
    hit("Revenue of Harbour Freight Lines rose by 3 %. Net income fell. Mahatma Gandhi was quoted."),
    hit("Costs fell.", source="/reports/QUUXINDUSTRIES_2023.pdf", title="Quux", heading="Smith & Sons"),
]


@pytest.mark.parametrize(
    "question",
    [
        "What was the revenue of Harbour Freight Lines?",
        "Did Quux Industries grow in 2023?",  # as one word, in a file's name
        "What did Smith & Sons pay?",
        "Who quoted Ghandi?",  # spelt a little otherwise
        "What was the EBITDA in USD?",  # no names
        "Has revenue grown? Costs have.",
        "Revenue?",
        "Translate what was said in March into English, on Monday",
        "",
    ],
)
def test_what_is_known(question):
    assert missing_names(question, HITS) == []


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("What was the revenue of Zephyr Airways?", ["Zephyr Airways"]),
        ("Zephyr's revenue in FY2022?", ["Zephyr"]),
        ("Is Zephyr a capital intensive business? Is Quux?", ["Zephyr"]),
        ("Compare Harbour Freight Lines and Blue Cargo with Zephyr Airways.", ["Blue Cargo", "Zephyr Airways"]),
        ("¿Cuánto ganó Aerolíneas Céfiro?", ["Aerolíneas Céfiro"]),
    ],
)
def test_what_is_not(question, missing):
    assert missing_names(question, HITS) == missing


def test_single_words_can_be_left_out_of_account():
    question = "Was verdiente Zephyr, und was Zephyr Airways, laut Bericht?"
    assert missing_names(question, HITS, least=2) == ["Zephyr Airways"]
    for german in ("Welche Kündigungsfrist gilt?", "Durchschnittlicher Betrag im Februar?", "Welcher Kunde zahlt?"):
        assert missing_names(german, HITS, least=2) == []


def test_a_long_question_takes_linear_time():
    assert missing_names("Zephyr Airways " * 20_000, HITS[:1])[0].startswith("Zephyr Airways Zephyr")
