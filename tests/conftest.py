"""What all tests share: no settings from outside, and the two embedding models (the real one is loaded once)."""

from __future__ import annotations

import os

import pytest

from rag.backends.embeddings import open_embedding
from rag.settings import EmbeddingSettings, Settings
from tests.chroma_process import chroma_process


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith("RAG_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path):
    """Settings of an application that needs no model: words are counted, replies are scripted."""
    return Settings(
        _env_file=None,
        storage={"dir": tmp_path / "storage"},
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
def chroma(tmp_path_factory):
    """A Chroma server; who uses it takes a database of their own."""
    with chroma_process(tmp_path_factory.mktemp("chroma")) as server:
        yield server
