"""The documentation agrees with the code: generated parts are fresh, and what is printed as a command exists."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

import ingest.cli
from ingest.loaders import SUPPORTED_SUFFIXES
from ingest.loaders.source_code import SOURCE_CODE_SUFFIXES
from rag.settings import known_names

ROOT = Path(__file__).parent.parent
DOCS = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))
PAGES = ("README.md", "CONTRIBUTING.md", "examples/README.md", *DOCS)
COMMANDS = {"ingest": ingest.cli.ingest, "rag": ingest.cli.rag_commands()}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def printed_commands():
    """(page, words) of every line in a block of shell commands, and of every such command in the text."""
    for page in PAGES:
        text = read(page)
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        lines += re.findall(r"`((?:make|ingest|rag) [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in lines:
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield page, [words[0].removeprefix(".venv/bin/"), *words[1:]]


def commands_of(*programs):
    found = [pytest.param(words, id=f"{page}: {' '.join(words)}") for page, words in printed_commands()]
    return [parameter for parameter in found if parameter.values[0][0] in programs]


def generator():
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    return generate


@pytest.mark.parametrize("page", generator().GENERATED)
def test_generated_parts_are_fresh(page):
    assert read(page) == generator().with_generated(page, read(page)), "run `make docs`"


def test_the_readme_stays_short():
    assert len(read("README.md").splitlines()) <= 150


@pytest.mark.parametrize("words", commands_of("make"))
def test_make_targets_and_options_exist(words):
    makefile = read("Makefile")
    for word in words[1:]:
        name, assignment, _ = word.partition("=")
        assert re.search(rf"^{name} *:?=" if assignment else rf"^{name}:", makefile, re.MULTILINE), word


@pytest.mark.parametrize("words", commands_of("ingest", "rag"))
def test_subcommands_and_options_exist(words):
    group = COMMANDS[words[0]]
    if words[1:] == ["--help"]:
        return
    subcommands = group.commands
    if words[0] == "rag":
        assert words[1] in subcommands
    command = subcommands[words[1]] if words[1] in subcommands else subcommands["add"]
    if isinstance(command, click.Group) and len(words) > 2:
        command = command.commands[words[2]]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    assert {word for word in words[1:] if word.startswith("-")} <= options | {"--help"}
    mentioned = [word for word in words[1:] if word.startswith("data/")]
    assert all((ROOT / path).exists() for path in mentioned)


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", ".env.example"])
def test_settings_that_are_named_exist(page):
    named = set(re.findall(r"\bRAG_[A-Z_]*[A-Z]\b", read(page)))
    assert named <= known_names().keys() | {"RAG_EVALS_DIR"}  # where benchmarks find their data


def test_env_example_holds_only_lines_that_may_be_taken_over():
    lines = [line for line in read(".env.example").splitlines() if line and not line.startswith("# ")]
    assert lines
    assert all(re.fullmatch(r"#?[A-Z_]+=.*", line) for line in lines)
    open_lines = [line for line in lines if not line.startswith("#")]
    assert all(line.endswith("=") for line in open_lines), "secrets have no default"


def test_pages_link_to_files_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", read(page)):
            if "://" not in target:
                assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_every_format_is_named():
    line = re.search(r"\*\*Formats:\*\*(.*?)\n\n", read("docs/formats.md"), re.DOTALL)[1]
    same = {".htm": ".html", ".markdown": ".md", ".text": ".txt", ".log": ".txt"}
    assert all(same.get(suffix, suffix)[1:] in line for suffix in SUPPORTED_SUFFIXES - {*SOURCE_CODE_SUFFIXES})


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-extras.lock"])
def test_locks_are_exact_and_name_neither_index_nor_cuda(name):
    for line in read(name).splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; .+)?", line)
        assert not re.match(r"nvidia|cuda|triton", line)


def test_torch_is_locked_for_every_build_of_it():
    wanted = next(d for d in tomllib.loads(read("pyproject.toml"))["project"]["dependencies"] if d.startswith("torch"))
    assert [line for line in read("requirements.lock").splitlines() if line.startswith("torch==")] == [wanted]


def test_the_walks_pass_functions_that_there_are():
    walks = read("docs/architecture.md").partition("## A document's way in")[2].partition("## Every module")[0]
    names = re.findall(r"`((?:rag|ingest)(?:\.\w+)+)`", walks)
    assert len(names) > 25
    for name in names:
        assert pkgutil.resolve_name(name), name
