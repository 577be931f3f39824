"""What CONTRIBUTING.md shows is true: in a copy of the code each example is added as printed, and its tests pass."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = {"format": 2, "model provider": 4, "route": 2}  # what is added → how many tests it has
_BLOCK = re.compile(r"([^\n]*)\n\n```python\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.slow


def add(folder, words, code):
    """Put the code where the words before it say: into a new file, or before or after a line of one."""
    *_, path = re.findall(r"`([\w/]+\.py)`", words)
    place = re.search(r"(before|after) `([^`]+)`", words)
    file = folder / path
    if place is None:
        assert not file.exists()
        file.write_text(code, encoding="utf-8")
        return path
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (index,) = [number for number, line in enumerate(lines) if line.startswith(place[2])]
    lines.insert(index + (place[1] == "after"), code)
    file.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("what", EXAMPLES)
def test_an_example_works_as_printed(what, tmp_path):
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide.partition(f"## Adding a {what}\n")[2].partition("\n## ")[0]
    hidden = shutil.ignore_patterns("__pycache__", "e2e", "compose", "public")
    for package in ("ingest", "rag", "tests"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=hidden)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    added = [add(tmp_path, words, code) for words, code in _BLOCK.findall(section)]

    (test,) = [path for path in added if path.startswith("tests/")]
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert re.search(rf"^{EXAMPLES[what]} passed", run.stdout, re.MULTILINE), run.stdout + run.stderr
    style = [sys.executable, "-m", "ruff", "check", "--ignore", "I001", *set(added)]
    run = subprocess.run(style, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
