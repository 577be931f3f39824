"""Every file of a storage folder × every kind of damage: it is told, what can be derived is made again, and no search
misses anything silently."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.corpus import write_corpus

QUICK = {"data_level0.bin", "chroma.sqlite3", ".term", "catalog.sqlite3"}  # kinds of files in the short form
_CHANGED_BYTES = 64


def flip(path: Path) -> None:
    """Turn some bytes, spread over the file, into others; as many as a small file has."""
    content = bytearray(path.read_bytes())
    chance = random.Random(path.name)
    for place in chance.sample(range(len(content)), min(_CHANGED_BYTES, len(content))):
        content[place] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Lose the second half of the file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: Path) -> None:
    """Turn the whole file into zeros."""
    path.write_bytes(bytes(path.stat().st_size))


def delete(path: Path) -> None:
    """Lose the file."""
    path.unlink()


DAMAGES = {"flipped": flip, "cut": cut, "zeroed": zero, "deleted": delete}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, bag_of_words):
    """A storage folder, and what is found in it undamaged."""
    storage = tmp_path_factory.mktemp("corpus") / "storage"
    write_corpus(storage, bag_of_words)
    return storage, look(storage)[0]


def look(storage, *options):
    """What a process of its own finds in the storage folder, and what it says."""
    command = [sys.executable, "-m", "tests.reliability.look", str(storage), *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), ran.stderr


def run_rag(storage, *arguments):
    environment = os.environ | {"RAG_STORAGE__DIR": str(storage), "RAG_EMBEDDING__MODEL": "bag-of-words"}
    command = [sys.executable, "-c", "from ingest.cli import rag_main; rag_main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)


def damaged_copies(storage, tmp_path, is_chosen):
    """Copies of the storage folder, in each of which one file is damaged, with what that is."""
    for file in sorted(path.relative_to(storage) for path in storage.rglob("*") if path.is_file()):
        if file.name.endswith(".lock") or not is_chosen(file):
            continue
        for kind, damage in DAMAGES.items():
            copy = tmp_path / f"{file.name}-{kind}"
            shutil.copytree(storage, copy)
            damage(copy / file)
            yield file, kind, copy
            shutil.rmtree(copy)
