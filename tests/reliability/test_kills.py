"""Killed at any moment and done again, every operation ends as if nothing had been: a few kills of three of them; for
more, `python -m tests.reliability.kills --count 300`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import ROOT


@pytest.mark.slow
def test_killed_and_done_again_all_is_as_if_nothing_had_been():
    command = [sys.executable, "-m", "tests.reliability.kills", "--count", "6", "--operations", "ingest,upload,restore"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=290, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
