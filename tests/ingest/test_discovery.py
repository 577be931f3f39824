"""Discovery: what a path on the command line means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.discovery import discover, left_out, source_name
from rag.errors import NotFound, UnreadableDocument


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    for name in ("b.txt", "a.MD", "sub/c.pdf", "sub/deep/d.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    return root


def names(paths: list[Path], root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def test_folders_are_walked_in_one_order_and_a_file_is_found_once(folder, monkeypatch):
    expected = ["a.MD", "b.txt", "sub/c.pdf", "sub/deep/d.csv"]
    assert names(discover([folder]), folder) == expected
    assert names(discover([folder, folder / "sub", folder / "b.txt"]), folder) == expected

    monkeypatch.chdir(folder)
    assert discover([Path("sub/../b.txt"), folder / "b.txt"]) == [folder / "b.txt"]


def test_in_folders_hidden_and_foreign_files_are_left_out(folder):
    expected = discover([folder])
    for name in (
        ".hidden.txt",
        ".git/e.txt",
        "node_modules/f.md",
        "__pycache__/g.txt",
        "site-packages/g.py",
        "package-lock.json",
        "jquery.min.js",
        "~$letter.docx",
        "h.xyz",
        "shoppinglist",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("text")

    assert discover([folder]) == expected


def test_files_given_by_name_are_always_taken(folder):
    for name in (".hidden.txt", "h.xyz"):
        (folder / name).write_text("text")

    assert discover([folder / "h.xyz", folder / ".hidden.txt"]) == [folder / "h.xyz", folder / ".hidden.txt"]


def test_links_out_of_the_folder_loops_and_special_files_are_left_out(folder):
    expected = discover([folder])
    (folder.parent / "outside.txt").write_text("secret")
    (folder / "0-outside.txt").symlink_to(folder.parent / "outside.txt")
    (folder / "0-up").symlink_to(folder.parent)
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "0-self.txt").symlink_to("0-self.txt")
    (folder / "0-dangling.txt").symlink_to("nowhere.txt")
    (folder / "0-same.txt").symlink_to("b.txt")
    os.mkfifo(folder / "0-pipe.txt")

    assert discover([folder]) == expected


def test_a_link_inside_the_folder_to_a_file_found_nowhere_else_is_taken(folder):
    (folder / ".data").mkdir()
    (folder / ".data" / "x.txt").write_text("text")
    (folder / "x.txt").symlink_to(".data/x.txt")

    assert folder / "x.txt" in discover([folder])


def test_a_link_to_a_folder_given_by_name_is_walked(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)

    assert names(discover([link]), link) == ["a.MD", "b.txt", "sub/c.pdf", "sub/deep/d.csv"]


def test_what_does_not_exist_or_is_no_file_is_an_error_before_anything_is_done(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for path, message in (
        ("gone", "does not exist"),
        ("pipe.txt", "neither a file nor a folder"),
        ("two\nlines", "lines"),
    ):
        with pytest.raises(NotFound, match=message) as caught:
            discover([folder, tmp_path / path])
        assert caught.value.hint
        assert caught.value.message.isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(folder):
    folder.chmod(0)
    try:
        with pytest.raises(UnreadableDocument, match="may not be read"):
            discover([folder])
    finally:
        folder.chmod(0o700)


def test_an_empty_folder_has_no_files(tmp_path):
    assert discover([tmp_path]) == []
    assert discover([]) == []


def test_odd_names_are_found_and_have_a_printable_source(tmp_path):
    odd = [" spaces .txt", "kiln 🔥.txt", "latin-\udce9.txt", "two\nlines.txt"]
    for name in odd:
        (tmp_path / name).write_text("text")

    found = discover([tmp_path])

    assert sorted(path.name for path in found) == sorted(odd)
    for path in found:
        assert source_name(path).isprintable()
        assert source_name(path).encode()
    assert len({source_name(path) for path in found}) == len(odd)


def test_what_no_loader_reads_is_counted(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.txt", "old.DOC", "deep/older.doc", "song.mp3", "shoppinglist", ".hidden.zip"):
        (tmp_path / name).write_text("x")
    assert left_out([tmp_path, tmp_path / "a.txt"]) == {".doc": 2, ".mp3": 1, "": 1}
