"""Another embedding model: built beside, resumed when broken off, switched to at once."""

from __future__ import annotations

import io
from contextlib import closing
from itertools import pairwise

import pytest

from ingest.ingestor import Ingestor
from ingest.reindex import Reindexing
from ingest.sandbox import Sandbox
from rag.auth.principals import OF_THIS_MACHINE
from rag.errors import Conflict, IndexMismatch, UnreadableDocument
from rag.index.index import Index
from rag.storage.connect import open_database
from rag.types.documents import Chunking
from tests.ingest.test_ingestor import Counting, outcomes, paragraphs
from tests.rag.index.test_index import assert_consistent, scope

pytestmark = pytest.mark.databases


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("apple", "banana", "cherry"):
        (folder / f"{name}.txt").write_text(paragraphs(name, 4))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and then nonsense")
    return folder


@pytest.fixture
def sandbox(settings):
    with Sandbox(settings.ingest) as sandbox:
        yield sandbox


@pytest.fixture
def index(settings, bag_of_words, folder):
    with closing(Index(settings.storage.dir, bag_of_words, open_database(settings.storage))) as index:
        with Ingestor(settings, index) as ingestor:
            outcomes(ingestor, folder)
            outcomes(ingestor, folder / "apple.txt", collection="other")
        yield index
        assert_consistent(index)


def found(index, question):
    hits = index.live_chunks([i for i, _ in index.search_dense(question, scope(index), 3)], scope(index))
    return {hit.source.rsplit("/", 1)[-1] for hit in hits.values()}


def test_the_old_model_answers_until_all_is_done(index, sandbox, settings, minilm):
    texts = {d.id: index.catalog.sections(d.id) for d in index.catalog.documents()}
    before = index.embedding
    steps = 0
    for _ in Reindexing(index, sandbox, settings.ingest, minilm):
        if index.embedding is before:
            assert found(index, "banana paragraph") == {"banana.txt"}
            steps += 1
    assert steps > 3
    assert index.embedding is minilm
    assert found(index, "banana paragraph") == {"banana.txt"}
    assert {d.id: index.catalog.sections(d.id) for d in index.catalog.documents()} == texts
    with Ingestor(settings, index) as ingestor:
        assert outcomes(ingestor, settings.storage.dir.parent / "documents")["apple.txt"] == "unchanged"
    with pytest.raises(IndexMismatch, match="all-MiniLM"):
        Index(settings.storage.dir, before, open_database(settings.storage))


def test_a_document_is_cut_as_somebody_wanted_it(index, sandbox, settings, minilm):
    with Ingestor(settings, index) as ingestor:
        file_id = ingestor.keep(io.BytesIO(paragraphs("date", 4).encode()), "date.txt", "assistants", OF_THIS_MACHINE)
        ingestor.attach({file_id: {}}, "default", chunking={file_id: Chunking(100, 50)})
        assert ingestor.wait(ingestor.jobs()[0].id, 30).state == "done"
        list(Reindexing(index, sandbox, settings.ingest, minilm))
        (document,) = index.catalog.documents_of_file(file_id)
        chunks = list(index.catalog.chunks_of(document.id))
        assert document.chunking == Chunking(100, 50)
        assert all(after.start < before.end for before, after in pairwise(chunks))
        ingestor.attach({file_id: {}}, "default", chunking={file_id: Chunking(100, 50)})
        assert ingestor.wait(ingestor.jobs()[0].id, 30).report.outcome == "unchanged"


def test_broken_off_it_goes_on_where_it_was(index, sandbox, settings, minilm):
    first = Counting(minilm)
    for progress in Reindexing(index, sandbox, settings.ingest, first):
        if progress.files_done == 2:
            break
    assert index.embedding.name == "bag-of-words"
    second = Counting(minilm)
    progress = list(Reindexing(index, sandbox, settings.ingest, second))
    assert progress[-1].files_done == progress[-1].files_total == 4
    vectors = [set(index.catalog.vector_ids(document.id)) for document in index.catalog.documents()]
    assert len(first.embedded) + len(second.embedded) == sum(map(len, vectors)), "nothing is embedded twice"
    assert index.embedding is second


def test_what_changes_meanwhile_is_taken_as_it_is_then(index, sandbox, settings, minilm, folder):
    with Ingestor(settings, index) as ingestor:
        (folder / "apple.txt").write_text("Now it is about quinces.")
        (folder / "new.txt").write_text("A file about medlars.")
        gone = next(d.id for d in index.catalog.documents("other"))
        changed = False
        for progress in Reindexing(index, sandbox, settings.ingest, minilm):
            if progress.files_done == 2 and not changed:
                outcomes(ingestor, folder)
                ingestor.delete(gone)
                changed = True
        assert changed
    assert index.embedding is minilm
    assert "apple.txt" in found(index, "quinces")
    assert "new.txt" in found(index, "medlars")


def test_aiming_at_another_model_drops_what_was_staged(index, sandbox, settings, minilm, bag_of_words):
    for number, _ in enumerate(Reindexing(index, sandbox, settings.ingest, minilm)):
        if number == 3:
            break
    list(Reindexing(index, sandbox, settings.ingest, bag_of_words))
    assert index.embedding is bag_of_words


def test_an_ingest_that_began_with_the_old_model_writes_nothing_of_it(index, sandbox, settings, minilm, folder):
    (folder / "new.txt").write_text("A file about medlars.")
    with Ingestor(settings, index) as ingestor:
        going_on = ingestor.add_paths([folder])
        next(going_on)
        list(Reindexing(index, sandbox, settings.ingest, minilm))
        with pytest.raises(Conflict, match="embedding model"):
            list(going_on)
        assert outcomes(ingestor, folder)["new.txt"] == "added"


class Crashing:
    """A sandbox whose child dies over one document."""

    def __init__(self, sandbox, title) -> None:
        self._sandbox = sandbox
        self._title = title

    def split(self, title, sections, limit):
        if title == self._title:
            raise UnreadableDocument(f"{title} crashed its parser.", hint="", source=title)
        return self._sandbox.split(title, sections, limit)


def test_a_document_that_cannot_be_split_anew_keeps_its_chunks(index, sandbox, settings, minilm, folder):
    list(Reindexing(index, Crashing(sandbox, "banana"), settings.ingest, minilm))
    assert index.embedding is minilm
    assert found(index, "banana paragraph") == {"banana.txt"}
    with Ingestor(settings, index) as ingestor:
        after = outcomes(ingestor, folder)
    assert (after["banana.txt"], after["apple.txt"]) == ("updated", "unchanged")
