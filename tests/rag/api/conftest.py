"""One server for all tests of the API that only read."""

from __future__ import annotations

import pytest

from rag.settings import Settings
from tests.rag.api.serving import serving, write_documents


def api_settings(folder, **llm):
    return Settings(
        _env_file=None,
        storage={"dir": folder / "storage"},
        embedding={"model": "bag-of-words"},
        llm={"provider": "scripted", "script": "Every 90 days [1]. Nothing [9]. Again [1].", **llm},
        server={"max_request_kb": 16},
        retrieval={"min_relevance": 0.5},  # words alone are not alike enough for the default
    )


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    with serving(api_settings(folder), [write_documents(folder / "documents")]) as served:
        yield served
