"""Node parsers of llama-index, in the sandbox and through an ingest: real ones, and some that no footnote can quote."""

from __future__ import annotations

import pytest

from ingest.sandbox import Sandbox
from ingest.splitting import ChunkLimit
from rag.errors import ConfigurationError, UnreadableDocument
from rag.settings import IngestSettings, load_settings
from rag.text.tokenizers import WORDS, token_spans
from tests.commands import Commands

pytestmark = pytest.mark.slow
PARSERS = """
import re

from llama_index.core.node_parser import (
    HierarchicalNodeParser, MarkdownNodeParser, SentenceSplitter, SentenceWindowNodeParser, TokenTextSplitter
)
from llama_index.core.node_parser.interface import NodeParser
from llama_index.core.schema import TextNode


def cut(text):
    return re.findall(r"[^.]+[.]?[ ]?", text)


def sentences():
    return SentenceSplitter(chunk_size=60, chunk_overlap=8, chunking_tokenizer_fn=cut)


def windows():
    return SentenceWindowNodeParser.from_defaults(sentence_splitter=cut)


def tokens():
    return TokenTextSplitter(chunk_size=40, chunk_overlap=8)


def hierarchy():
    levels = [SentenceSplitter(chunk_size=size, chunk_overlap=8, chunking_tokenizer_fn=cut) for size in (256, 60)]
    parsers = {"large": levels[0], "small": levels[1]}
    return HierarchicalNodeParser.from_defaults(node_parser_ids=[*parsers], node_parser_map=parsers)


class Halves(NodeParser):
    \"\"\"The second half of each text is in no node, and no node says where it lies.\"\"\"

    def _parse_nodes(self, nodes, show_progress=False, **kwargs):
        return [TextNode(text=node.get_content()[: len(node.get_content()) // 2]) for node in nodes]

    def get_nodes_from_documents(self, documents, show_progress=False, **kwargs):
        return self._parse_nodes(documents)


class Broken(Halves):
    def _parse_nodes(self, nodes, show_progress=False, **kwargs):
        return 1 / 0


class Shouting(Halves):
    def _parse_nodes(self, nodes, show_progress=False, **kwargs):
        return [TextNode(text=node.get_content().upper()) for node in nodes]
"""
TEXT = "# Pumps\n\n" + "".join(
    f"Pump {number} stands in hall {number}. It needs oil every {number} days. Call extension {4000 + number}.\n\n"
    + (f"## Hall {number}\n\n" if number % 3 == 0 else "")
    for number in range(1, 13)
)
SIZE = 30  # words of a chunk


@pytest.fixture
def manual(tmp_path, monkeypatch):
    (tmp_path / "own_parsers.py").write_text(PARSERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = tmp_path / "manual.txt"
    path.write_text(TEXT)
    return path


def load(path, parser):
    with Sandbox(IngestSettings(node_parser=parser)) as sandbox:
        loaded = sandbox.load(path, path.name, ChunkLimit(WORDS, SIZE))
        assert sandbox.split(loaded.title, loaded.sections, ChunkLimit(WORDS, SIZE)) == (loaded.title, loaded.pieces)
    return loaded


REAL = [f"own_parsers:{name}" for name in ("sentences", "tokens", "hierarchy", "windows")]


@pytest.mark.parametrize("parser", [*REAL, "llama_index.core.node_parser:MarkdownNodeParser", "own_parsers:Halves"])
def test_nothing_is_lost_and_nothing_too_long(manual, parser):
    loaded = load(manual, parser)
    texts = [loaded.sections[piece.section].text[piece.start : piece.end] for piece in loaded.pieces]
    count = token_spans(WORDS)
    assert all(0 < len(count(text)) <= SIZE for text in texts)
    words = {word for text in texts for word in text.split()}
    assert words >= {word for section in loaded.sections for word in section.text.split()}


def test_chunks_are_the_parsers_nodes(manual):
    loaded = load(manual, "own_parsers:windows")
    texts = [loaded.sections[piece.section].text[piece.start : piece.end] for piece in loaded.pieces]
    assert "It needs oil every 7 days." in texts
    assert len(texts) > 3 * len(load(manual, "").pieces)


@pytest.mark.parametrize(
    ("parser", "words"),
    [
        ("own_parsers:Shouting", "nodes that are not in its text"),
        ("own_parsers:Broken", "ZeroDivisionError"),
    ],
)
def test_a_document_that_a_parser_does_not_cut_is_not_read(manual, parser, words):
    with pytest.raises(UnreadableDocument, match=words):
        load(manual, parser)


@pytest.mark.parametrize(
    ("parser", "words"),
    [("own_parsers:TextNode", "has no get_nodes_from_documents"), ("no_such_package:Parser", "No module named")],
)
def test_without_the_parser_nothing_is_read_again(manual, parser, words):
    commands = Commands(manual.parent)
    commands.environment["PYTHONPATH"] = str(manual.parent)
    commands.run("ingest", manual)
    assert words in commands.refused("ingest", manual, RAG_INGEST__NODE_PARSER=parser)
    assert "unchanged" in commands.run("ingest", manual).stdout


def test_a_setting_that_names_no_parser_is_refused(monkeypatch):
    monkeypatch.setenv("RAG_INGEST__NODE_PARSER", "SentenceSplitter")
    with pytest.raises(ConfigurationError, match="RAG_INGEST__NODE_PARSER"):
        load_settings(None)


def test_another_parser_reads_documents_again(manual):
    commands = Commands(manual.parent)
    assert "added" in commands.run("ingest", manual).stdout
    parser = {"RAG_INGEST__NODE_PARSER": "own_parsers:sentences", "PYTHONPATH": str(manual.parent)}
    assert "updated" in commands.run("ingest", manual, **parser).stdout
    assert "unchanged" in commands.run("ingest", manual, **parser).stdout
