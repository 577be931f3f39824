"""A storage folder that cannot be written to can be read and, on a full disk, deleted from; the cause is told."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import chromadb.errors
import httpx
import pytest

from rag.errors import StorageUnwritable, TooManyOpenFiles
from rag.storage.blobs import StoredFiles
from rag.storage.sqlite import SqliteDatabase
from rag.storage.unwritable import keep_reserve, readable_copy, release_reserve, unwritable
from tests.commands import ROOT, Commands, checked
from tests.conformance.server import free_port


@contextmanager
def mounted(folder, *options):
    """A file system of its own in `folder`; skips where that is not allowed."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


class OwnProcesses(Commands):
    """Commands that leave nothing open when they have ended, as a test's own process would."""

    def run(self, program, *arguments, code=0, **environment):
        with self.start(program, *arguments, **environment) as process:
            output, errors = process.communicate(timeout=120)
        return checked(subprocess.CompletedProcess(arguments, process.returncode, output, errors), code)


@pytest.fixture
def commands(tmp_path):
    """Commands whose storage folder is alone in its file system."""
    commands = OwnProcesses(tmp_path)
    commands.storage = tmp_path / "disk" / "storage"
    commands.environment["RAG_STORAGE__DIR"] = str(commands.storage)
    for number in range(3):
        (tmp_path / f"note{number}.txt").write_text(f"The pump {number} needs oil every 9{number} days.")
    return commands


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "words/new"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/tmp/new", None, "words/new"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "words/new"), "the file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "words/new"), "permission denied"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (chromadb.errors.InternalError("error code 13: database or disk is full"), "the disk is full"),
        (ValueError("Failed to open file: No space left on device (os error 28)"), "the disk is full"),
        (
            ValueError("IoError(Os { code: 30, kind: ReadOnlyFilesystem, … })"),
            "the file system is read-only",
        ),
        (OSError(errno.ENOENT, "No such file or directory", "words/new"), None),
        (sqlite3.DatabaseError("database disk image is malformed"), None),
        (sqlite3.OperationalError("unable to open database file"), None),  # it may be written to
        (PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"), None),
        (OSError(errno.ENOSPC, "No space left on device", "/media/stick/all.backup"), None),
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (ValueError("File too large: 3 GB are more than the 2 GB that are taken."), None),
        (RuntimeError("Permission denied (os error 13)"), None),
    ],
)
def test_the_cause_is_told_however_it_is_wrapped(tmp_path, monkeypatch, error, cause):
    monkeypatch.chdir(tmp_path)
    wrapped = RuntimeError("something")
    wrapped.__cause__ = error
    failure = unwritable(wrapped, tmp_path)
    assert (failure and failure.cause) == cause
    assert failure is None or (cause in failure.message and "Nothing that is stored is lost" in failure.hint)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system", "/etc/hosts"),
        ValueError("Failed to open file: Too many open files (os error 24)"),
        chromadb.errors.InternalError("Os { code: 24, kind: Uncategorized }"),
    ],
)
def test_that_nothing_more_can_be_opened_is_told_wherever_it_shows(tmp_path, error):
    failure = unwritable(error, tmp_path)
    assert isinstance(failure, TooManyOpenFiles)
    assert "ulimit -n" in failure.hint
    assert isinstance(unwritable(error), TooManyOpenFiles)


def test_what_an_error_has_nothing_to_do_with_is_not_its_cause(tmp_path):
    failed = RuntimeError("something else")
    failed.__context__ = sqlite3.OperationalError("database or disk is full")
    assert unwritable(failed, tmp_path)
    failed.__suppress_context__ = True
    assert unwritable(failed, tmp_path) is None


def test_without_a_folder_no_file_counts():
    assert unwritable(PermissionError(errno.EACCES, "Permission denied", "/etc/shadow")) is None
    assert unwritable(sqlite3.OperationalError("database or disk is full")).cause == "the disk is full"


@pytest.mark.slow
def test_an_upload_names_the_full_disk_and_a_backup_elsewhere_does_not_blame_it(tmp_path):
    stick = tmp_path / "stick"
    with (
        mounted(stick, "-t", "tmpfs", "-o", "size=1m", "none"),
        closing(SqliteDatabase(tmp_path / "catalog.sqlite3")) as database,
    ):
        with pytest.raises(StorageUnwritable) as raised, StoredFiles(stick).received(io.BytesIO(bytes(2_000_000))):
            pass
        assert raised.value.cause == "the disk is full"
        (stick / "fill").write_bytes(bytes(900_000))
        with pytest.raises(OSError, match="No space left") as raised:
            database.copy_to(stick / "copy")
        assert unwritable(raised.value, tmp_path / "storage") is None


def test_room_is_kept_once_and_given_back(tmp_path):
    keep_reserve(tmp_path)
    keep_reserve(tmp_path)
    [reserve] = tmp_path.iterdir()
    assert reserve.stat().st_blocks * 512 >= 8_000_000
    assert release_reserve(tmp_path)
    assert not release_reserve(tmp_path)


def test_a_reserve_of_the_wrong_size_is_made_again(tmp_path):
    (tmp_path / "reserve").touch()
    (tmp_path / "reserve.new").write_text("of a crash")
    keep_reserve(tmp_path)
    [reserve] = tmp_path.iterdir()
    assert reserve.stat().st_size == 8_000_000


def test_no_part_of_a_reserve_stays_where_it_cannot_be_written(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))"
    keep = "from pathlib import Path; from rag.storage.unwritable import keep_reserve; keep_reserve(Path())"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", f"{limit}\n{keep}"], cwd=tmp_path, env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_a_copy_has_databases_of_its_own(tmp_path):
    folder = tmp_path / "storage"
    (folder / "words").mkdir(parents=True)
    (folder / "catalog.sqlite3").write_text("catalog")
    (folder / "words" / "segment").write_text("segment")
    (folder / "lock").touch()
    (folder / "replaced_1").mkdir()
    with readable_copy(folder) as copy:
        (copy / "catalog.sqlite3").write_text("changed")
        assert (copy / "words" / "segment").read_text() == "segment"
        assert not (copy / "lock").exists()
        assert not (copy / "replaced_1").exists()
    assert (folder / "catalog.sqlite3").read_text() == "catalog"
    assert not copy.exists()


@pytest.mark.slow
def test_a_read_only_file_system_is_read(commands, tmp_path):
    commands.run("ingest", *tmp_path.glob("note*.txt"))
    disk = tmp_path / "disk"
    with mounted(disk, "--bind", disk):
        subprocess.run(["mount", "-o", "remount,ro,bind", disk], check=True)
        assert "needs oil" in commands.run("rag", "search", "oil").stdout
        assert commands.run("rag", "ask", "How often does the pump need oil?").stdout
        assert "note1.txt" in commands.run("ingest", "ls").stdout
        (tmp_path / "more.txt").write_text("more")
        for refused in (("ingest", "more.txt"), ("ingest", "rm", "note1.txt"), ("ingest", "tag", "note1.txt", "a=1")):
            told = commands.refused(*refused, code=1)
            assert "read-only" in told
            assert "Nothing that is stored is lost" in told
        examined = commands.run("rag", "doctor", code=1).stdout
        assert "cannot be written to: the file system is read-only" in examined
        commands.run("rag", "backup", tmp_path / "all.backup")
        with commands.server(free_port()) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            assert client.get("/readyz").json()["unwritable"] == "the file system is read-only"
            question = {"messages": [{"role": "user", "content": "How often does the pump 1 need oil?"}]}
            answer = client.post("/v1/chat/completions", json={"model": "footnote/default", **question})
            assert answer.json()["citations"]
            refused = client.post("/v1/vector_stores", json={"name": "store"})
            assert (refused.status_code, "read-only" in refused.text) == (507, True)
    assert "3 documents" in commands.run("rag", "doctor").stdout


@pytest.mark.slow
def test_on_a_full_disk_documents_are_found_and_can_be_deleted(commands, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=120m", "none"):
        commands.run("ingest", *tmp_path.glob("note*.txt"))
        subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'fill'}", "bs=1k"], capture_output=True, check=False)
        assert shutil.disk_usage(disk).free == 0
        assert "needs oil" in commands.run("rag", "search", "oil").stdout
        (tmp_path / "more.txt").write_text("more")
        told = commands.refused("ingest", "more.txt", code=1)
        assert "the disk is full" in told
        assert "ingest rm" in told
        commands.run("ingest", "rm", "note1.txt")
        assert "note1.txt" not in commands.run("ingest", "ls").stdout
        assert "note1" not in commands.run("rag", "search", "oil").stdout
        (disk / "fill").unlink()
        commands.run("ingest", "more.txt")
        assert (commands.storage / "reserve").exists()


def test_another_users_folder_is_read_and_told(tmp_path):
    if os.geteuid():
        pytest.skip("only root can become another user")
    folder = tmp_path / "storage"
    folder.mkdir()
    child = os.fork()
    if not child:
        os.setuid(65534)
        try:
            (folder / "new").touch()
        except OSError as error:
            failure = unwritable(error, folder)
            os._exit(0 if isinstance(failure, StorageUnwritable) and failure.cause == "permission denied" else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.slow
def test_a_catalog_that_is_gone_beside_vectors_is_a_problem(commands, tmp_path):
    commands.run("ingest", "note1.txt")
    (commands.storage / "catalog.sqlite3").unlink()
    examined = commands.run("rag", "doctor", code=1).stdout
    assert "is gone, beside vectors, words" in examined
    assert "rag restore" in examined


@pytest.mark.slow
def test_a_damaged_catalog_is_found_though_it_opens(commands):
    commands.run("ingest", *(f"note{number}.txt" for number in range(3)))
    catalog = commands.storage / "catalog.sqlite3"
    with sqlite3.connect(catalog) as connection:
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sections'")
        [(size,)] = connection.execute("PRAGMA page_size")
    connection.close()
    content = bytearray(catalog.read_bytes())
    content[(page - 1) * size + 8 : page * size] = b"\xff" * (size - 8)
    catalog.write_bytes(content)
    examined = commands.run("rag", "doctor", code=1).stdout
    assert "is damaged: " in examined
    assert "rag restore" in examined
    assert "remove" not in examined
