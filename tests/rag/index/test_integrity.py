"""What the note of a folder's files tells, and the checksums of tantivy's; tests/reliability damages whole folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    assert (note.is_certain, note.differences(), note.differences(deep=True)) == (True, ([], []), ([], []))


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
    assert (note.differences(), note.differences(deep=True)) == ((seen[0], []), (seen[1], []))


def test_a_file_that_is_gone_is_seen(folder):
    (folder / "records").unlink()
    assert FolderNote(folder).differences() == (["records"], [])


def test_other_times_of_files_whose_bytes_were_not_noted_are_a_reason_to_look(folder):
    (folder / "note.json").unlink()
    FolderNote(folder).write()
    replace_bytes(folder / "records", b"records")
    assert FolderNote(folder).differences(deep=True) == ([], ["records"])


def test_while_the_files_are_open_nothing_is_certain(folder):
    note = FolderNote(folder)
    note.begin()
    assert not FolderNote(folder).is_certain
    (folder / "records").write_bytes(b"more records")
    (folder / "part" / "data.bin").unlink()
    assert not FolderNote(folder).is_certain
    note.end()
    again = FolderNote(folder)
    assert (again.is_certain, again.differences(deep=True)) == (True, ([], []))


def test_doubt_stays_until_somebody_has_looked(folder):
    note = FolderNote(folder)
    note.begin()
    note.doubt()
    note.end()
    assert not FolderNote(folder).is_certain
    after_a_start = FolderNote(folder)
    after_a_start.begin()
    after_a_start.end()
    assert not FolderNote(folder).is_certain
    note.trust()
    assert FolderNote(folder).is_certain


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"records": [1]}', b'{"records": "x"}', bytes(100)])
def test_a_damaged_note_says_nothing(folder, content):
    (folder / "note.json").write_bytes(content)
    note = FolderNote(folder)
    assert (note.is_certain, note.differences()) == (False, ([], []))


def test_vectors_that_nobody_noted_are_probed(tmp_path):
    assert damage_of_vectors(tmp_path / "vectors") == ""
    data = np.eye(20, 8, dtype=np.float32) + 0.01
    with closing(VectorIndex(tmp_path / "vectors", "f")) as vectors:
        vectors.add("vs_1", [str(number) for number in range(20)], data)
        vectors.doubt()
    assert damage_of_vectors(tmp_path / "vectors") == ""
    (tmp_path / "vectors" / "chroma.sqlite3").write_bytes(b"no database")
    assert damage_of_vectors(tmp_path / "vectors") == "chroma.sqlite3 changed while nobody was writing"
    (tmp_path / "vectors" / "being-written").touch()
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


@pytest.fixture
def vectors_folder(tmp_path):
    """A closed folder of vectors."""
    with closing(VectorIndex(tmp_path / "vectors", "f")) as vectors:
        vectors.add("vs_1", [str(number) for number in range(20)], np.eye(20, 8, dtype=np.float32) + 0.01)
    return tmp_path / "vectors"


def test_a_probe_of_everything_does_not_make_sound_vectors_doubtful(vectors_folder):
    """It opens Chroma, which writes."""
    assert damage_of_vectors(vectors_folder, deep=True) == ""
    assert FolderNote(vectors_folder).is_certain
    assert damage_of_vectors(vectors_folder) == damage_of_vectors(vectors_folder, deep=True) == ""


_ADD_AND_DIE = """
import os, sys
from pathlib import Path
import numpy as np
from rag.index.dense import VectorIndex
vectors = VectorIndex(Path(sys.argv[1]), "f")
if sys.argv[2] == "add":
    rows = np.random.default_rng(1).random((1_200, 8), np.float32)
    vectors.add("vs_1", [str(number) for number in range(len(rows))], rows)
elif sys.argv[2] == "search":
    assert len(vectors.search("vs_1", np.ones(8, np.float32), 5)) == 5
os._exit(0)
"""


@pytest.mark.slow
def test_kills_in_a_row_leave_doubt_and_not_damage(tmp_path):
    """Chroma writes at its opening, too, and when it first reads a graph."""
    folder = tmp_path / "vectors"
    for action in ("add", "search", "search", "nothing"):
        subprocess.run([sys.executable, "-c", _ADD_AND_DIE, str(folder), action], check=True, timeout=60)
        assert not FolderNote(folder).is_certain
    assert damage_of_vectors(folder) == ""
    assert FolderNote(folder).is_certain
    subprocess.run([sys.executable, "-c", _ADD_AND_DIE, str(folder), "search"], check=True, timeout=60)
    assert damage_of_vectors(folder) == ""


@pytest.mark.parametrize("has_hashes", [False, True])
def test_a_copy_without_times_is_not_damaged(vectors_folder, tmp_path, has_hashes):
    if not has_hashes:
        (vectors_folder / "note.json").unlink()
        FolderNote(vectors_folder).write()
    copy = shutil.copytree(vectors_folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert damage_of_vectors(copy) == ""
    assert FolderNote(copy).is_certain


def test_a_probe_imports_nothing_from_the_working_folder(vectors_folder, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f":{os.environ.get('PYTHONPATH', '')}")  # an empty entry is the working folder
    assert damage_of_vectors(vectors_folder, deep=True) == ""
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("code", ["raise ImportError('no such library')", "import os; os.kill(os.getpid(), 9)"])
def test_a_probe_that_ends_for_another_reason_leaves_doubt(vectors_folder, tmp_path, monkeypatch, caplog, code):
    """A library is missing, or the machine has no memory left: that is not the fault of the files."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "chromadb.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    (vectors_folder / "being-written").touch()
    assert damage_of_vectors(vectors_folder) == ""
    assert "could not be found out" in caplog.text
    with closing(VectorIndex(vectors_folder, "f")) as vectors:
        assert vectors.count("vs_1") == 20
    assert not FolderNote(vectors_folder).is_certain


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "Chroma ends with signal 11"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "did not answer within"),
    ],
)
def test_a_probe_that_crashes_or_hangs_tells_damage(vectors_folder, tmp_path, monkeypatch, code, problem):
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "chromadb.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    (vectors_folder / "being-written").touch()
    assert problem in damage_of_vectors(vectors_folder)


def test_words_that_were_found_sound_are_read_again_only_if_all_are(tmp_path):
    writer = LexicalWriter(LexicalIndex(tmp_path))
    writer.add(LexicalEntry(f"doc_a:1:{n}", "vs", "Title", "", f"word {n}", n) for n in range(10))
    writer.close()
    assert damage_of_words(tmp_path) == ""
    terms = next(tmp_path.glob("*.term"))
    content = bytearray(terms.read_bytes())
    content[0] ^= 1
    replace_bytes(terms, bytes(content), keep_time=True)  # a bit that turned on the disk tells no time
    assert (damage_of_words(tmp_path), damage_of_words(tmp_path, deep=True)) == ("", f"{terms.name} damaged")
    replace_bytes(terms, bytes(content))
    assert damage_of_words(tmp_path) == f"{terms.name} damaged"
