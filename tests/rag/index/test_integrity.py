"""What the note of a folder's files tells, and the checksums of tantivy's; tests/reliability damages whole folders."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np
import pytest

from rag.index.dense import VectorIndex
from rag.index.integrity import FolderNote, count_of_words, damage_of_vectors, damage_of_words
from rag.index.lexical import LexicalEntry, LexicalIndex, LexicalWriter


@pytest.fixture
def folder(tmp_path):
    """A folder with a note of its files."""
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "data.bin").write_bytes(b"data")
    (tmp_path / "records").write_bytes(b"records")
    (tmp_path / "records-wal").write_bytes(b"passing")
    FolderNote(tmp_path).write(with_hashes=True)
    return tmp_path


def replace_bytes(path, content, *, keep_time=False):
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + (0 if keep_time else 1)))


def test_nothing_changed(folder):
    (folder / "records-wal").unlink()
    (folder / "another").touch()
    note = FolderNote(folder)
    assert (note.is_certain, note.changed(), note.changed(deep=True)) == (True, [], [])


@pytest.mark.parametrize(
    ("content", "keep_time", "seen"),
    [
        (b"DATA", False, (["part/data.bin"], ["part/data.bin"])),
        (b"dat", True, (["part/data.bin"], ["part/data.bin"])),
        (b"DATA", True, ([], ["part/data.bin"])),  # a bit that turned on the disk tells no time
        (b"data", False, ([], [])),  # copied, say
    ],
)
def test_other_bytes_are_seen(folder, content, keep_time, seen):
    replace_bytes(folder / "part" / "data.bin", content, keep_time=keep_time)
    note = FolderNote(folder)
    assert (note.changed(), note.changed(deep=True)) == seen


def test_a_file_that_is_gone_is_seen(folder):
    (folder / "records").unlink()
    assert FolderNote(folder).changed() == ["records"]


def test_what_is_written_is_noted(folder):
    note = FolderNote(folder)
    with note.writing():
        assert not FolderNote(folder).is_certain
        (folder / "records").write_bytes(b"more records")
        (folder / "part" / "data.bin").unlink()
    again = FolderNote(folder)
    assert (again.is_certain, again.changed()) == (True, [])


def test_a_write_that_failed_leaves_doubt_until_it_was_looked_at(folder):
    note = FolderNote(folder)
    with pytest.raises(OSError, match="full"), note.writing():
        raise OSError("the disk is full")
    with note.writing():
        pass
    assert not FolderNote(folder).is_certain
    note.trust()
    assert FolderNote(folder).is_certain


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"records": [1]}', b'{"records": "x"}', bytes(100)])
def test_a_damaged_note_says_nothing(folder, content):
    (folder / "note.json").write_bytes(content)
    note = FolderNote(folder)
    assert (note.is_certain, note.changed()) == (False, [])


def test_vectors_that_nobody_noted_are_probed(tmp_path):
    assert damage_of_vectors(tmp_path / "vectors") == ""
    data = np.eye(20, 8, dtype=np.float32) + 0.01
    with closing(VectorIndex(tmp_path / "vectors", "f")) as vectors:
        vectors.add("vs_1", [str(number) for number in range(20)], data)
        vectors.distrust()
    assert damage_of_vectors(tmp_path / "vectors") == ""
    (tmp_path / "vectors" / "chroma.sqlite3").write_bytes(b"no database")
    assert "not a database" in damage_of_vectors(tmp_path / "vectors")


def test_words_carry_their_checksums(tmp_path):
    assert damage_of_words(tmp_path) == ""
    writer = LexicalWriter(LexicalIndex(tmp_path))
    for document in ("doc_a", "doc_b"):
        writer.add(LexicalEntry(f"{document}:1:{n}", "vs", "Title", "", f"word {n}", n) for n in range(10))
    writer.delete(["doc_b:1"])
    writer.add(
        [LexicalEntry("doc_c:1:0", "vs", "Title", "", "word"), LexicalEntry("doc_d:1:0", "vs", "Title", "", "word")]
    )
    writer.delete(["doc_d:1"])
    writer.close()
    assert (damage_of_words(tmp_path), count_of_words(tmp_path)) == ("", 11)
    deleted = next(tmp_path.glob("*.del"))
    content = bytearray(deleted.read_bytes())
    content[0] ^= 1
    deleted.write_bytes(content)
    assert damage_of_words(tmp_path) == f"{deleted.name} damaged"
