"""`rag doctor`: whether the embedding model fits the language of the documents."""

from __future__ import annotations

import pytest

from ingest.ingestor import Ingestor
from rag.operations.doctor import examine
from rag.operations.services import open_index

ENGLISH = "The tenant pays the rent before the fifth day of each month, and the landlord repairs the roof."
SPANISH = "El inquilino paga la renta antes del quinto día de cada mes y el propietario repara el tejado."


@pytest.fixture
def examined(settings, tmp_path):
    """What is said of the languages of documents with these texts, by an index with the default model."""
    settings = settings.model_copy(update={"embedding": settings.embedding.model_copy(update=DEFAULT)})

    def results(*texts):
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.txt").write_text(text)
        with open_index(settings) as index, Ingestor(settings, index) as ingestor:
            assert all(True for _ in ingestor.add_paths([tmp_path / f"{number}.txt" for number in range(len(texts))]))
        return [check for check in examine(settings) if check.subject == "Languages"]

    return results


DEFAULT = {"model": "sentence-transformers/all-MiniLM-L6-v2", "device": "cpu"}


def test_another_model_is_recommended_where_many_documents_are_not_english(examined):
    [check] = examined(ENGLISH, ENGLISH + " Always.", SPANISH)
    assert check.ok
    assert check.summary.startswith("1 of 3 documents looked at seem not to be English")
    for words in ("make setup EXTRAS=multilingual", "rag reindex --model multilingual", "RAG_EMBEDDING__MODEL"):
        assert words in check.advice


def test_english_documents_need_none(examined):
    [check] = examined(ENGLISH, "def drain(pump):\n    return pump.valve.open(until='spring')  # before frost\n" * 5)
    assert "mostly English" in check.summary
    assert not check.advice
