"""Killed at any moment and run again, an ingest ends as if nothing had been; in between nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.ingest.kill_driver import take_in

pytestmark = pytest.mark.slow

POINTS = int(os.environ.get("FOOTNOTE_KILLS", "8"))


def text(number, state):
    return "\n\n".join(f"Paragraph {n} of file {number} in its {state} state. " * 12 for n in range(8))


def test_killed_at_many_moments(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(90):
        (folder / f"{number:02}.txt").write_text(text(number, "first"))
    take_in(tmp_path / "before", folder)
    for number in range(20, 60):
        (folder / f"{number}.txt").write_text(text(number, "second"))
    for number in range(60, 70):
        (folder / f"{number}.txt").rename(folder / f"moved {number}.txt")
    for number in range(70, 80):
        (folder / f"{number}.txt").unlink()
    for number in range(90, 130):
        (folder / f"{number}.txt").write_text(text(number, "first"))

    command = [sys.executable, "-m", "tests.ingest.kill_driver"]
    arguments = [tmp_path / "before", folder, tmp_path, POINTS]
    ran = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=290, check=False)
    assert ran.returncode == 0, ran.stderr
    points = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(points) == POINTS
    assert [point for point in points if point["wrong"] or not point["same_in_the_end"]] == []
    states = Counter(point["state"] for point in points)
    assert states["between"] >= max(1, POINTS // 10), states
