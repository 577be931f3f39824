"""The retrievers of docs/llama-index.md, run as they are printed, but for the address."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs/llama-index.md").read_text("utf-8")


def run(heading, served):
    """The names that the example under a heading leaves behind."""
    code = re.search(rf"## {heading}\n.*?```python\n(.*?)```", PAGE, re.DOTALL)[1]
    assert "http://127.0.0.1:8000" in code
    names = {"__name__": "example"}
    exec(compile(code.replace("http://127.0.0.1:8000", served.url), "example", "exec"), names)
    return names


def test_a_query_engine_of_llama_index_answers_from_footnote(served, capsys):
    names = run("Footnote in a pipeline of llama-index", served)
    assert capsys.readouterr().out.startswith("manual.pdf 2.0 ")
    answer = names["answer"]
    assert answer.response.startswith("Every 90 days")
    assert answer.source_nodes[0].text == "The pump needs oil every 90 days."
    prompt = served.services.model.llm.prompts[-1]
    assert prompt.count("The pump needs oil every 90 days.") == 1, "nothing is searched a second time"


@pytest.mark.skipif(not find_spec("langchain_core"), reason="LangChain is none of Footnote's dependencies")
def test_a_retriever_of_langchain_finds_what_footnote_has(served, capsys):
    names = run("Footnote in a pipeline of LangChain", served)
    assert capsys.readouterr().out.startswith("manual.pdf 2.0 The pump needs oil")
    assert 0 < names["passages"][0].metadata["score"] <= 1
