"""What tests of exports and imports share: a storage folder, its files, and an archive of it."""

from __future__ import annotations

import pytest

from tests.rag.operations.archive.archives import build


@pytest.fixture
def archive(tmp_path, bag_of_words):
    build(tmp_path, bag_of_words)
    return tmp_path / "backup.zip"


@pytest.fixture
def storage(archive):
    return archive.with_name("storage")


@pytest.fixture
def papers(archive):
    return archive.with_name("papers")
