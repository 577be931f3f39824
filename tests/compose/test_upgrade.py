"""Data of an earlier version: this one goes on with it, alone and in the stack, and the way back is its backup."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.compose.stack import ROOT, Stack

EARLIER = os.environ.get("FOOTNOTE_EARLIER", "HEAD~25")  # a tag, once there are versions
QUESTION = "When is payday?"
MAIN = {"ingest": "from ingest.cli import main; main()", "rag": "from ingest.cli import rag_main; rag_main()"}


def run(tree: Path, storage: Path, program: str, *arguments: object) -> str:
    """What a command of the version in `tree` says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    settings = {"PYTHONPATH": str(tree), "RAG_STORAGE__DIR": str(storage), "RAG_LLM__PROVIDER": "quotes"}
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = {program!r}; {MAIN[program]}", *map(str, arguments)],
        env={**inherited, **settings},
        cwd=storage.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """The source of the earlier version."""
    archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"there is no {EARLIER} in this checkout")
    tree = tmp_path_factory.mktemp("earlier") / "tree"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tree, filter="data")
    return tree


@pytest.fixture(scope="module")
def storage(earlier, tmp_path_factory):
    """What the earlier version has stored, with a backup by it."""
    storage = tmp_path_factory.mktemp("upgrade") / "storage"
    run(earlier, storage, "ingest", ROOT / "data" / "sample")
    run(earlier, storage, "rag", "backup", storage.parent / "before.backup")
    return storage


def test_this_version_goes_on_and_the_earlier_one_comes_back(earlier, storage):
    listed = run(ROOT, storage, "ingest", "ls", "--json").splitlines()
    assert len(listed) > 3
    assert "26th" in run(ROOT, storage, "rag", "ask", QUESTION).lower()
    said = run(ROOT, storage, "ingest", ROOT / "data" / "sample")
    assert "failed" not in said
    run(earlier, storage, "rag", "restore", storage.parent / "before.backup", "--overwrite")
    assert len(run(earlier, storage, "ingest", "ls", "--json").splitlines()) == len(listed)
    assert "26th" in run(earlier, storage, "rag", "ask", QUESTION).lower()


def test_the_stack_takes_over_what_an_earlier_version_stored(image, storage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taken-over")
    storage.parent.chmod(0o755)
    run(ROOT, storage, "rag", "backup", storage.parent / "taken-over.backup")  # archives of another form are not read
    (storage.parent / "taken-over.backup").chmod(0o644)
    stack = Stack(folder, image, FOOTNOTE_DATA=str(storage.parent), RAG_LLM__PROVIDER="quotes")
    with stack.removed_at_the_end():
        stack.run("rag", "restore", "/data/taken-over.backup")
        stack.key = stack.run("rag", "keys", "create", "--user", "anna").stdout.strip()
        stack.run("rag", "users", "admin", "anna")
        stack.up()
        assert len(stack.documents()) > 3
        assert "26th" in stack.ask(QUESTION).text.lower()
