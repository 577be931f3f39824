"""What a client asks on its own account is told from what its user asks of the documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.answering.client_tasks import is_client_task

SAMPLE = Path(__file__).parents[2] / "sample_questions.jsonl"
TURNS = "User: When is payday?\nAssistant: On the 26th [1]."
HISTORY = f"<chat_history>\n{TURNS.upper()}\n</chat_history>"


@pytest.mark.parametrize(
    "message",
    [
        f"### Task:\nFind a title of a few words and an emoji for the chat.\n### Output:\nJSON\n{HISTORY}",
        f"### Task:\nName up to three topics of the chat.\n### Chat History:\n{HISTORY}",
        f"### Task:\nWhich questions could the user go on with?\n{HISTORY}",
        "### Task:\nDecide whether the web is to be searched, and for what.\n<chat_history>USER: pump</chat_history>",
        f"Write a short title for the conversation below, and nothing else.\n\nConversation:\n{TURNS}",
        "Given this chat, return two search queries as JSON.\n\n**User**: When is payday?\n**AI**: Soon.",
        "Gib diesem Gespräch einen Titel.\n\nBenutzer: Wann ist Zahltag?\nAssistent: Am 26.",
        "Suggère un titre pour cette conversation.\n\nUtilisateur : La paie ?\nAssistant : Le 26.",
        "Escribe tres etiquetas para esta conversación.\n\nUsuario: ¿Cuándo pagan?\nAsistente: El 26.",
    ],
)
def test_tasks_of_clients(message):
    assert is_client_task(message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "### Task: which tasks does the safety officer have?",
        "What is the title of the chapter on pay?",
        "Suggest a title for the report on warranties.",
        f"Is this true?\n\n{TURNS}",
        f"Give me the title of the document that this comes from.\n{TURNS}",
        "### Task:\nAnswer with citations.\n<context>Pay is on the 26th.</context>\nWhen is payday?",
        "Write a title for this conversation.",
        "User: write a title for this conversation",
        "#" * 100_000,
        "user:" * 50_000,
    ],
)
def test_questions_of_users(message):
    assert not is_client_task(message)


def test_no_question_of_the_sample_is_taken_for_a_task():
    questions = [json.loads(line)["question"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    assert not any(map(is_client_task, questions))
