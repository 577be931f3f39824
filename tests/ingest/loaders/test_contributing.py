"""The loader that CONTRIBUTING.md shows is true: in a copy of the packages its row and its tests work as printed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_loader_in_the_guide_works(tmp_path):
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    loader, row, test = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    for package in ("ingest", "rag"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "public"))
    tests = tmp_path / "tests" / "ingest" / "loaders"
    tests.mkdir(parents=True)
    for folder in (tests, tests.parent, tests.parent.parent):
        (folder / "__init__.py").touch()
    for name in ("documents.py", "test_load_document.py"):
        shutil.copy(Path(__file__).parent / name, tests)

    (tmp_path / "ingest" / "loaders" / "subtitles.py").write_text(loader, encoding="utf-8")
    (tests / "test_subtitles.py").write_text(test, encoding="utf-8")
    table = tmp_path / "ingest" / "loaders" / "__init__.py"
    code = table.read_text(encoding="utf-8")
    code = code.replace(
        "from ingest.loaders.text", "from ingest.loaders.subtitles import load_srt\nfrom ingest.loaders.text"
    )
    table.write_text(code.replace('    ".txt": load_text,\n', f'    ".txt": load_text,\n{row}'), encoding="utf-8")

    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-k",
        "subtitles or srt",
        "-p",
        "no:cacheprovider",
        str(tests),
    ]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert re.search(r"^4 passed", run.stdout, re.MULTILINE), run.stdout + run.stderr
