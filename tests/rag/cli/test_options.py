"""The options that name a part of a collection, as they are typed."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from rag.cli.options import selection_options
from rag.errors import InvalidRequest
from rag.storage.selection import Selection, as_typed

YEAR = {"type": "gte", "key": "year", "value": 2021}
LEGAL = {"type": "eq", "key": "department", "value": "legal"}


def read(*arguments):
    @click.command()
    @selection_options
    def command(selection):
        return selection

    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value


@pytest.mark.parametrize(
    ("arguments", "selection"),
    [
        ([], Selection()),
        (["--document", "a.pdf", "--document", "doc_1"], Selection(documents=("a.pdf", "doc_1"))),
        (["--document", "/papers/../a.pdf"], Selection(documents=("/a.pdf",))),
        (["--where", "year>=2021"], Selection(filters=YEAR)),
        (
            ["--where", "year>=2021", "--where", "department=legal"],
            Selection(filters={"type": "and", "filters": [YEAR, LEGAL]}),
        ),
        (
            ["--filter", '{"type": "eq", "key": "department", "value": "legal"}', "--where", "year>=2021"],
            Selection(filters={"type": "and", "filters": [YEAR, LEGAL]}),
        ),
        (["--pages", "3-7"], Selection(pages=(3, 7))),
        (["--pages", " 3 – 7 "], Selection(pages=(3, 7))),
        (["--pages", "3"], Selection(pages=(3, 3))),
    ],
)
def test_what_is_typed_becomes_a_selection(arguments, selection):
    assert read(*arguments) == selection
    assert read(*shlex.split(as_typed(selection))) == selection


def test_a_relative_path_is_meant_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read("--document", "./a.pdf").documents == (f"{tmp_path}/a.pdf",)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pages", "iv"],
        ["--pages", "3-"],
        ["--pages", "-3"],
        ["--pages", "3-7-9"],
        ["--where", "year"],
        ["--filter", "{"],
        ["--filter", "[]"],
        ["--filter", "year>2021"],
    ],
)
def test_what_cannot_be_read_is_refused_with_a_hint(arguments):
    with pytest.raises(InvalidRequest) as raised:
        read(*arguments)
    assert raised.value.hint
