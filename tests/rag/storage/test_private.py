"""Another account of the machine reads nothing of a storage folder: tried by a process that really is another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rag.storage.private import is_open_to_others, make_private, shared_secret
from tests.commands import Commands
from tests.rag.models.model_server import free_port

NOBODY = 65534
SECRET = "zanzibar"
LOOK = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for folder, folders, names in os.walk(sys.argv[1]):
    for name in folders + names:
        print(os.path.join(folder, name))
for path in sys.argv[2:]:
    try:
        open(path, "rb").close()
    except PermissionError:
        continue
    print(path)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another account")


def seen_by_another_account(folder, paths):
    """What an account without rights finds beneath `folder`, and which of `paths`, known by name, it opens."""
    command = [sys.executable, "-I", "-c", LOOK, str(folder), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.splitlines()


@pytest.fixture
def place():
    """A folder that every account may enter; pytest's own ones are private already."""
    folder = Path(tempfile.mkdtemp(prefix="footnote-private-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def loosened(storage):
    """A storage folder as an older program left it."""
    for folder, _, names in os.walk(storage):
        Path(folder).chmod(0o755)
        for name in names:
            Path(folder, name).chmod(0o644)


@as_root
def test_another_account_reads_nothing_of_a_running_server(place):
    commands = Commands(place)
    (place / "note.txt").write_text(f"The code word is {SECRET}.")
    commands.run("ingest", "note.txt")
    loosened(commands.storage)
    assert seen_by_another_account(commands.storage, [commands.storage / "catalog.sqlite3"]), "or this shows nothing"
    with commands.server(free_port()):
        paths = [path for path in commands.storage.rglob("*") if path.is_file()]
        assert {"owner.json", "chat_secret", "catalog.sqlite3-wal", "lock"} <= {path.name for path in paths}
        assert seen_by_another_account(commands.storage, paths) == []


@as_root
@pytest.mark.slow
def test_what_is_made_anew_is_private_by_itself_wherever_it_is_copied_to(place):
    commands = Commands(place)
    (place / "note.txt").write_text(f"The code word is {SECRET}.")
    commands.run("ingest", "note.txt")
    commands.run("rag", "backup", place / "all.backup")
    commands.run("rag", "export", place / "some.archive")
    with commands.server(free_port()):
        pages = commands.storage / "chat" / "public"  # copies of what the package has, with its permissions
        made = [path for path in commands.storage.rglob("*") if path != pages and pages not in path.parents]
        made += [commands.storage, place / "all.backup", place / "some.archive"]
        assert [path for path in made if not path.is_symlink() and is_open_to_others(path)] == []
    commands.storage.chmod(0o755)  # as somebody may who copies it
    paths = [path for path in commands.storage.rglob("*") if path.is_file() and pages not in path.parents]
    open_to_it = seen_by_another_account(commands.storage / "files", [*paths, place / "note.txt"])
    assert open_to_it == [str(place / "note.txt")]


def test_the_doctor_tells_what_is_open(tmp_path):
    commands = Commands(tmp_path)
    commands.run("rag", "users", "list")
    assert "other accounts" not in commands.run("rag", "doctor").stdout
    commands.storage.chmod(0o755)
    report = commands.run("rag", "doctor", code=1).stdout
    assert f"other accounts of this machine could read {commands.storage}" in report
    assert "chmod -R go= " in report
    assert "other accounts" not in commands.run("rag", "doctor").stdout


def test_a_folder_of_many_users_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o1777)
    make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_a_secret_that_others_could_read_is_replaced(tmp_path):
    path = tmp_path / "secret"
    first = shared_secret(path)
    assert shared_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    second = shared_secret(path)
    assert second != first
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(second) > 40
