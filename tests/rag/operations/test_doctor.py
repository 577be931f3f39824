"""What the doctor says of a storage folder's permissions."""

from __future__ import annotations

import os
from itertools import takewhile

import pytest

from rag.operations.doctor import examine
from rag.settings import Settings


def examined(folder):
    """The results on the storage folder, by subject."""
    settings = Settings(_env_file=None, storage={"dir": folder})
    return {check.subject: check for check in takewhile(lambda check: check.subject != "GPU", examine(settings))}


def test_a_folder_of_many_users_is_told_and_no_problem_for_ever(tmp_path):
    (tmp_path / "note").touch()
    tmp_path.chmod(0o1777)
    check = examined(tmp_path)["Permissions"]
    assert check.ok
    assert "stays so" in check.summary
    assert "RAG_STORAGE__DIR" in check.advice


def test_the_folder_of_another_account_is_for_its_owner_to_shut(tmp_path):
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    (tmp_path / "note").touch()
    os.chown(tmp_path, 1234, -1)
    tmp_path.chmod(0o1770)
    check = examined(tmp_path)["Permissions"]
    assert check.ok
    assert "user 1234" in check.advice


def test_an_open_folder_is_a_problem_once(tmp_path):
    (tmp_path / "note").touch()
    tmp_path.chmod(0o755)
    assert not examined(tmp_path)["Permissions"].ok
    assert "Permissions" not in examined(tmp_path)


def test_what_is_no_folder_is_told_and_the_rest_examined(tmp_path):
    path = tmp_path / "storage"
    path.write_text("")
    path.chmod(0o644)
    checks = examined(path)
    assert not checks["Permissions"].ok
    assert "Not a directory" in checks["Permissions"].summary
    assert "Disk" in checks
