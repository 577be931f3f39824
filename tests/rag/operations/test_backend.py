"""A backend over the storage folder opens what is asked of it, and no more."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from ingest.ingestor import Ingestor
from rag.errors import NotFound, StorageLocked
from rag.index.index import Index
from rag.operations.backend import open_backend
from rag.operations.control_protocol import SearchRequest
from rag.storage.lock import StorageLock

OIL = SearchRequest(question="Which needs oil?", limit=3)


@pytest.fixture
def filled(settings, bag_of_words, tmp_path):
    path = tmp_path / "pump.txt"
    path.write_text("The pump needs oil every 90 days.")
    with closing(Index(settings.storage.dir, bag_of_words)) as index, Ingestor(settings, index) as ingestor:
        (report,) = [progress.report for progress in ingestor.add_paths([path]) if progress.report]
    return report.document_id


def test_an_empty_folder_stays_empty(settings):
    with open_backend(settings) as backend:
        for ask in (backend.warm_up, backend.collections, lambda: asyncio.run(backend.search(OIL))):
            with pytest.raises(NotFound, match="no documents"):
                ask()
    assert not settings.storage.dir.exists()


def test_documents_are_read_and_tagged_while_another_process_has_the_folder(settings, filled):
    lock = StorageLock(settings.storage.dir).acquire()
    try:
        with open_backend(settings) as backend:
            assert backend.collections() == ["default"]
            assert backend.tag(filled, {"year": 2021}).attributes == {"year": 2021}
            assert [document.attributes for document in backend.documents("default")] == [{"year": 2021}]
            document, text = backend.page_text(filled, None)
            assert (document.id, text) == (filled, "The pump needs oil every 90 days.")
            with pytest.raises(StorageLocked):
                asyncio.run(backend.search(OIL))
    finally:
        lock.release()


def test_a_search_takes_the_folder_until_the_end(settings, filled):
    lock = StorageLock(settings.storage.dir)
    with open_backend(settings) as backend:
        assert not lock.is_taken()
        (hit,) = asyncio.run(backend.search(OIL))
        assert hit.chunk.document_id == filled
        assert hit.relevance > 0
        assert lock.is_taken()
    assert not lock.is_taken()
