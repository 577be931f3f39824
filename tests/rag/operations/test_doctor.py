"""What `rag doctor` says of a storage folder: its permissions, and the language of its documents."""

from __future__ import annotations

import os
from itertools import takewhile

import pytest

from ingest.ingestor import Ingestor
from rag.operations.doctor import examine
from rag.operations.services import open_index
from rag.settings import Settings

ENGLISH = "The tenant pays the rent before the fifth day of each month, and the landlord repairs the roof."
SPANISH = "El inquilino paga la renta antes del quinto día de cada mes y el propietario repara el tejado."


@pytest.fixture
def languages(settings, tmp_path):
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


def test_another_model_is_recommended_where_many_documents_are_not_english(languages):
    [check] = languages(ENGLISH, ENGLISH + " Always.", SPANISH)
    assert check.ok
    assert check.summary.startswith("1 of 3 documents looked at seem not to be English")
    for words in ("make setup EXTRAS=multilingual", "rag reindex --model multilingual", "RAG_EMBEDDING__MODEL"):
        assert words in check.advice


def test_english_documents_need_none(languages):
    [check] = languages(ENGLISH, "def drain(pump):\n    return pump.valve.open(until='spring')  # before frost\n" * 5)
    assert "mostly English" in check.summary
    assert not check.advice


def examined(folder):
    """The results on the storage folder, by subject."""
    settings = Settings(_env_file=None, storage={"dir": folder})
    return {check.subject: check for check in takewhile(lambda check: check.subject != "GPU", examine(settings))}


def test_a_folder_of_many_users_is_told_and_no_problem_for_ever(tmp_path):
    (tmp_path / "note").touch()
    tmp_path.chmod(0o1777)
    check = examined(tmp_path)["Permissions"]
    assert check.ok
    assert "stays so" in check.summary
    assert "RAG_STORAGE__DIR" in check.advice


def test_the_folder_of_another_account_is_for_its_owner_to_shut(tmp_path):
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    (tmp_path / "note").touch()
    os.chown(tmp_path, 1234, -1)
    tmp_path.chmod(0o1770)
    check = examined(tmp_path)["Permissions"]
    assert check.ok
    assert "user 1234" in check.advice


def test_an_open_folder_is_a_problem_once(tmp_path):
    (tmp_path / "note").touch()
    tmp_path.chmod(0o755)
    assert not examined(tmp_path)["Permissions"].ok
    assert "Permissions" not in examined(tmp_path)


def test_what_is_no_folder_is_told_and_the_rest_examined(tmp_path):
    path = tmp_path / "storage"
    path.write_text("")
    path.chmod(0o644)
    checks = examined(path)
    assert not checks["Permissions"].ok
    assert "Not a directory" in checks["Permissions"].summary
    assert "Disk" in checks
