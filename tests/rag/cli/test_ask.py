"""The commands that ask a model: by mode and by name, here and through a running server; and `rag models`."""

from __future__ import annotations

import json

import pytest

from tests.commands import Commands
from tests.ingest.loaders.documents import make_pdf
from tests.rag.models.model_server import free_port

MODELS = """
[[model]]
name = "small"
provider = "scripted"
script = "Small says so [1]."

[[model]]
name = "large"
provider = "scripted"
script = "Large says more [1]."
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("asking"))
    make_pdf(commands.folder / "manual.pdf", [["The cover."], ["The pump needs oil every 90 days."]], title="Manual")
    (commands.folder / "models.toml").write_text(MODELS)
    commands.run("ingest", "manual.pdf")
    return commands


def check_answers(commands):
    assert commands.run("rag", "ask", "What needs oil?").stdout.startswith("Small says so [1].\n")
    compared = commands.run("rag", "ask", "What needs oil?", "--mode", "compare").stdout
    assert "small:\nSmall says so [1]." in compared
    assert "large:\nLarge says more [1]." in compared
    assert compared.count("[1] Manual, page 2 (") == 2
    summary = commands.run("rag", "summarize", "--document", "manual.pdf", "--model", "large").stdout
    assert summary.startswith("Large says more [1].")
    assert "Read 2 pages of 2 in 1 document." in summary
    lines = commands.run("rag", "models", "--json").stdout.splitlines()
    assert [(line["name"], line["problem"]) for line in map(json.loads, lines)] == [("small", ""), ("large", "")]


def test_here(commands):
    check_answers(commands)
    said = commands.run("rag", "models").stdout
    assert "small: reachable, reads 8,192 tokens, first word after" in said
    assert "nobody" in commands.refused("rag", "ask", "x", "--model", "nobody", code=1)
    assert commands.run("rag", "ask", "Hello", "--mode", "chat").stdout == "Small says so [1].\n"


@pytest.mark.slow
def test_through_a_running_server(commands):
    with commands.server(free_port()):
        check_answers(commands)


def test_a_model_that_cannot_be_asked_is_named_and_counts(commands):
    (commands.folder / "ill.toml").write_text(
        f'[[model]]\nname = "gone"\nbase_url = "http://127.0.0.1:{free_port()}/v1"\n'
        '[[persona]]\nname = "Cook"\nexamples = "missing.jsonl"\n'
    )
    ill = {"RAG_MODELS__FILE": "ill.toml"}
    assert "gone: not reachable" in commands.run("rag", "models", code=1, **ill).stdout
    said = commands.run("rag", "doctor", code=1, **ill).stdout
    assert "problem  Language model gone" in said
    assert "problem  Models file: The examples of the persona 'Cook' cannot be read" in said
    (commands.folder / "wrong.toml").write_text('[[model]]\nname = "x"\ntemprature = 1\n')
    said = commands.run("rag", "doctor", code=1, RAG_MODELS__FILE="wrong.toml").stdout
    assert "problem  Language model: wrong.toml is not valid (model 1 temprature)" in said
