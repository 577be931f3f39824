"""The examples work as their README says: their personas are read, and answer from their own documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.ingestor import Ingestor
from rag.answering.modes.request import Request
from rag.answering.personas import addressed
from rag.auth.principals import LOCAL
from rag.models.models_file import load_models_file
from rag.operations.services import Services
from rag.settings import Settings
from rag.types.documents import AnswerCompleted, Message

EXAMPLES = Path(__file__).parent.parent / "examples"
ASKED = [
    ("restaurant-menus", "menus", "Where can I eat mussels in white wine?", "harbour-kitchen.md"),
    ("internship-offers", "offers", "Who looks for leaks with readings from meters?", "solvent-data.md"),
]


@pytest.mark.parametrize(("folder", "documents", "question", "source"), ASKED)
async def test_a_persona_answers_from_its_documents(tmp_path, folder, documents, question, source):
    settings = Settings(
        _env_file=None,
        storage={"dir": tmp_path / "storage"},
        embedding={"model": "bag-of-words"},
        llm={"provider": "scripted", "script": "So it says [1]."},
        models={"file": str(EXAMPLES / folder / "models.toml")},
    )
    (persona,) = load_models_file(settings).persona
    with Services(settings, Ingestor) as services:
        reports = [p.report for p in services.ingest.add_paths([EXAMPLES / folder / documents], persona.collection)]
        assert [report.outcome for report in reports if report] == ["added"] * 3
        request = Request([Message("user", question)], services.access(LOCAL).scope(persona.collection))
        request = addressed(request, persona.collection, services.roles, None)
        events = [event async for event in services.ask(request)]
        assert isinstance(events[-1], AnswerCompleted)
        (citation,) = events[-1].answer.citations
        assert citation.source.endswith(source)
        prompt = services.model.llm.prompts[-1]
        first, last = prompt.index(persona.instructions.strip()), prompt.index(f"user: {question}")
        for example in services.roles[0].examples:
            assert first < prompt.index(f"{example.role}: {example.content}") < last
        assert len(services.roles[0].examples) == 4


@pytest.mark.parametrize("folder", [folder for folder, *_ in ASKED])
def test_an_example_is_as_short_as_promised(folder):
    lines = (EXAMPLES / folder / "models.toml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 11, "a table's head and ten lines"
