"""Readers of llama-index, in the sandbox and through an ingest."""

from __future__ import annotations

import json

import pytest

from ingest.loaders import Limits, load_document
from ingest.sandbox import Sandbox
from ingest.splitting import ChunkLimit
from rag.errors import ConfigurationError, UnreadableDocument
from rag.settings import IngestSettings, load_settings
from rag.text.tokenizers import WORDS

READERS = """
from pathlib import Path

from llama_index.core import SimpleDirectoryReader
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document


class Drawings(BaseReader):
    def load_data(self, file, extra_info=None):
        assert file.suffix == ".dwg"
        sheets = enumerate(Path(file).read_text().split("---"))
        return [Document(text=sheet, metadata={"page_label": f"A{n}", "title": "The crane"}) for n, sheet in sheets]


class Notes(BaseReader):
    def load_data(self, file):
        return [Document(text="First."), Document(text="Second.")]


class Broken(BaseReader):
    def load_data(self, file):
        raise ValueError("no such layer")


def nothing():
    return object()
"""


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    (tmp_path / "own_readers.py").write_text(READERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "crane.dwg"
    path.write_text("The hook carries 12 tons.---The boom is 40 metres long.")
    return path


def test_a_readers_documents_are_pages_where_it_numbers_them(drawing):
    settings = IngestSettings(readers={".dwg": "own_readers:Drawings"})
    with Sandbox(settings) as sandbox:
        loaded = sandbox.load(drawing, "crane.DWG", ChunkLimit(WORDS, 100))
    assert loaded.title == "The crane"
    assert [(section.text, section.page_index, section.page_label) for section in loaded.sections] == [
        ("The hook carries 12 tons.", 0, "A0"),
        ("The boom is 40 metres long.", 1, "A1"),
    ]
    assert loaded.pages == 2


def test_else_they_are_one_text(drawing):
    loaded = load_document(drawing, "crane.dwg", Limits(), "own_readers:Notes")
    assert "".join(section.text for section in loaded.sections).split() == ["First.", "Second."]
    assert {section.page_index for section in loaded.sections} == {None}


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("own_readers:Broken", "no such layer"),
        ("own_readers:Missing", "cannot be had"),
        ("no_such_package:Reader", "No module named"),
        ("own_readers:nothing", "has no load_data"),
    ],
)
def test_what_is_wrong_with_a_reader_is_said(drawing, reader, words):
    with pytest.raises(UnreadableDocument, match=words):
        load_document(drawing, "crane.dwg", Limits(), reader)


@pytest.mark.parametrize("readers", [{"dwg": "a:b"}, {".DWG": "a:b"}, {".dwg": "a"}])
def test_settings_that_name_no_reader_are_refused(readers, monkeypatch):
    monkeypatch.setenv("RAG_INGEST__READERS", json.dumps(readers))
    with pytest.raises(ConfigurationError, match="RAG_INGEST__READERS"):
        load_settings(None)
