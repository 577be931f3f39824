"""Another file takes a file's place, or its bytes change, while it is read: no text gets another's hash."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading

import pytest

from ingest.sandbox import Sandbox
from ingest.splitting import ChunkLimit
from rag.errors import DocumentChanged
from rag.settings import IngestSettings
from rag.storage.file_hash import settled_state
from rag.text.tokenizers import WORDS
from tests.ingest.test_ingestor import embedding, index, ingestor  # noqa: F401  (fixtures)

LIMIT = ChunkLimit(WORDS, 254)


def write_in_place(path, other):
    times = path.stat()
    path.write_text("B" * path.stat().st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


ATTACKS = {
    "another file": lambda path, other: other.replace(path),
    "a link": lambda path, other: (path.unlink(), path.symlink_to(other)),
    "other words of the same length and time": write_in_place,
    "nothing": lambda path, other: path.unlink(),
    "a pipe": lambda path, other: (path.unlink(), os.mkfifo(path)),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(IngestSettings()) as sandbox:
        yield sandbox


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_takes_the_place_of_a_hashed_file_is_not_read_for_it(sandbox, tmp_path, attack):
    path, other = tmp_path / "note.txt", tmp_path / "other.txt"
    path.write_text("A" * 1000)
    other.write_text("B" * 1000)
    with path.open("rb") as file:
        state = settled_state(file)
    assert sandbox.load(path, path.name, LIMIT, state=state).sections[0].text == "A" * 1000
    ATTACKS[attack](path, other)
    with pytest.raises(DocumentChanged) as raised:
        sandbox.load(path, path.name, LIMIT, state=state)
    assert raised.value.hint


def swap(folder, spare, texts, is_over):
    """Let the three files be now the one text, now the other: by a link, by another file, by writing into it."""
    for text in itertools.cycle(texts):
        if is_over.wait(0.0003):
            return
        spare.unlink(missing_ok=True)
        spare.symlink_to(texts[text])
        spare.replace(folder / "linked.txt")
        spare.write_text(text)
        spare.replace(folder / "moved.txt")
        with (folder / "written.txt").open("r+") as file:
            file.write(text)


@pytest.mark.slow
def test_each_document_has_the_hash_of_its_text_whatever_is_swapped_meanwhile(ingestor, index, tmp_path):  # noqa: F811
    texts = {f"{letter} stands here. {letter * 90_000}.": tmp_path / f"{letter}.txt" for letter in "AB"}
    folder = tmp_path / "documents"
    folder.mkdir()
    for text, path in texts.items():
        path.write_text(text)
        for name in ("linked", "moved", "written"):
            (folder / f"{name}.txt").write_text(text)
    is_over = threading.Event()
    swapping = threading.Thread(target=swap, args=(folder, tmp_path / "spare", texts, is_over))
    swapping.start()
    try:
        found = [progress.report for _ in range(30) for progress in ingestor.add_paths(sorted(folder.iterdir()))]
    finally:
        is_over.set()
        swapping.join()
    assert {report.outcome for report in found if report} >= {"added", "updated"}
    assert {report.code for report in found if report and report.outcome == "failed"} <= {"document_changed"}
    for _ in range(2):
        for document in index.catalog.documents():
            (section,) = index.catalog.sections(document.id)
            assert hashlib.sha256(section.text.encode()).hexdigest() == document.sha256
        assert [p.report.code for p in ingestor.add_paths([*folder.iterdir()]) if p.report] == [""] * 3
