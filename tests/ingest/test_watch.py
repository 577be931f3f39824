"""A mirrored folder: what comes, changes, moves or goes does so in the index, whichever way an editor saves."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from ingest.ingestor import Ingestor
from ingest.watch import FolderWatcher
from rag.index.index import Index

pytestmark = pytest.mark.slow


@pytest.fixture
def mirrored(settings, bag_of_words, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "first.txt").write_text("The first text.")
    with (
        closing(Index(settings.storage.dir, bag_of_words)) as index,
        Ingestor(settings, index) as ingestor,
        FolderWatcher(ingestor, [folder], index.catalog.database),
    ):
        yield folder, index


def holds(index, expected):
    """Whether the index comes to hold these files with these texts, within the patience of a user."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = {Path(d.source).name: index.catalog.page_text(d.id, None).strip() for d in index.catalog.documents()}
        if found == expected:
            return True
        time.sleep(0.1)
    raise AssertionError(found)


def test_a_folder_is_mirrored(mirrored):
    folder, index = mirrored
    assert holds(index, {"first.txt": "The first text."})
    (folder / "second.txt").write_text("The second text.")
    assert holds(index, {"first.txt": "The first text.", "second.txt": "The second text."})
    for number in (2, 3):  # as many editors save
        (folder / ".first.tmp").write_text(f"The first text, edition {number}.")
        (folder / ".first.tmp").replace(folder / "first.txt")
        assert holds(index, {"first.txt": f"The first text, edition {number}.", "second.txt": "The second text."})
    ids = {Path(d.source).name: d.id for d in index.catalog.documents()}
    (folder / "second.txt").rename(folder / "moved.txt")
    assert holds(index, {"first.txt": "The first text, edition 3.", "moved.txt": "The second text."})
    assert {d.id for d in index.catalog.documents()} == set(ids.values())
    (folder / "v1.2026").mkdir()
    (folder / "moved.txt").rename(folder / "v1.2026" / "moved.txt")
    (folder / "first.txt").unlink()
    assert holds(index, {"moved.txt": "The second text."})
    (folder / "v1.2026").rename(folder.parent / "elsewhere")
    (folder / "last.txt").write_text("The last text.")
    assert holds(index, {"last.txt": "The last text."})


def test_a_folder_that_is_away_is_said_once_and_followed_when_it_comes(settings, bag_of_words, tmp_path, caplog):
    folder = tmp_path / "documents"
    with (
        closing(Index(settings.storage.dir, bag_of_words)) as index,
        Ingestor(settings, index) as ingestor,
        FolderWatcher(ingestor, [folder], index.catalog.database),
    ):
        time.sleep(11)  # two attempts
        folder.mkdir()
        (folder / "first.txt").write_text("The first text.")
        assert holds(index, {"first.txt": "The first text."})
    said = [record for record in caplog.records if "Following" in record.message]
    assert len(said) == 1
    assert said[0].exc_info is None
