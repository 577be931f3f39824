"""The storage lock: one owner at a time, told apart by the operating system and not by the note."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from rag.errors import ConfigurationError, StorageLocked
from rag.storage.lock import Owner, StorageLock, read_owner

HOLD = """
import sys, pathlib
from rag.storage.lock import Owner, StorageLock
lock = StorageLock(pathlib.Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
lock.release()
"""


@contextmanager
def other_process(folder):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_second_process_is_refused_and_told_whom_to_wait_for(tmp_path):
    with other_process(tmp_path) as process:
        with pytest.raises(StorageLocked, match=str(process.pid)) as raised:
            StorageLock(tmp_path).acquire()
        assert raised.value.hint
        assert read_owner(tmp_path) == Owner(process.pid)
        process.communicate("")
        StorageLock(tmp_path).acquire().release()
    assert read_owner(tmp_path) is None


@pytest.mark.slow
def test_the_lock_ends_with_a_killed_process_and_its_note_is_stale(tmp_path):
    with other_process(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert read_owner(tmp_path) == Owner(process.pid)
        lock = StorageLock(tmp_path).acquire()
        assert read_owner(tmp_path) == Owner(os.getpid())
        lock.release()


def test_the_same_process_does_not_get_it_twice(tmp_path):
    first = StorageLock(tmp_path).acquire()
    with pytest.raises(StorageLocked):
        StorageLock(tmp_path).acquire()
    first.release()
    first.release()
    StorageLock(tmp_path).acquire().release()


def test_a_refused_process_leaves_the_note_alone(tmp_path):
    first = StorageLock(tmp_path).acquire()
    first.announce(Owner(1, "http://127.0.0.1:1", "secret"))
    second = StorageLock(tmp_path)
    with pytest.raises(StorageLocked):
        second.acquire()
    second.release()
    assert read_owner(tmp_path) == Owner(1, "http://127.0.0.1:1", "secret")
    first.release()


def test_the_note_is_for_this_user_only(tmp_path):
    lock = StorageLock(tmp_path).acquire()
    lock.announce(Owner(1, "http://127.0.0.1:1", "secret"))
    assert (tmp_path / "owner.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "lock").stat().st_mode & 0o077 == 0
    lock.release()


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"pid": 1, "unknown": 2}', json.dumps("text"), "\xff"])
def test_a_damaged_note_is_no_note(tmp_path, note):
    (tmp_path / "owner.json").write_bytes(note.encode("latin-1"))
    assert read_owner(tmp_path) is None
    StorageLock(tmp_path).acquire().release()


def test_a_folder_that_cannot_be_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ConfigurationError, match="cannot be used") as raised:
            StorageLock(folder).acquire()
        assert "RAG_STORAGE__DIR" in raised.value.hint


def test_a_server_in_another_container_is_called_by_the_name_of_that():
    here, there = socket.gethostname(), "0123456789ab"
    assert Owner(1, "http://127.0.0.1:8000", "t", here).address == "http://127.0.0.1:8000"
    assert Owner(1, "http://127.0.0.1:8000", "t", there).address == "http://0123456789ab:8000"
    assert Owner(1, "http://[::1]:8000", "t", there).address == "http://0123456789ab:8000"
    assert Owner(1, "http://10.0.0.7:8000", "t", there).address == "http://10.0.0.7:8000"
